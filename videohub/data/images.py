"""Read one still image for a network that looks at images, such as ImageNet's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from videohub.data.paths import existing_file
from videohub.errors import VideoError


def read_image(path: str | Path) -> Tensor:
    """Return an image file as RGB, uint8 (3, H, W). Grey, palette and transparent images become plain RGB.

    Pillow decodes it, as in the original; it is there because torchvision needs it (torchvision's own decoders are
    to be removed).

    Raises: UsageError if there is no such file or it is a folder; VideoError if it is empty or no image.
    """
    file = existing_file(path, "image")
    if file.stat().st_size == 0:
        raise VideoError(f"{file}: the file is empty (0 bytes)")
    try:
        with Image.open(file) as image:
            pixels = np.array(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # SyntaxError: Pillow's word for a broken PNG
        raise VideoError(f"{file}: not an image that can be read, or a damaged one: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)
