"""Read one still image: a frame of a list, or what a network that looks at images is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from videohub.data.paths import existing_file
from videohub.errors import VideoError


def read_image(path: str | Path) -> npt.NDArray[np.uint8]:
    """Return an image file as RGB (H, W, 3). Grey, palette and transparent images become plain RGB.

    Pillow decodes it, as in the original's image tests; it is there because torchvision needs it (torchvision's own
    decoders are to be removed).

    Raises: UsageError if it is no file: absent, a folder, a pipe; VideoError if it is empty or no image.
    """
    file = existing_file(path, "image")
    if file.stat().st_size == 0:
        raise VideoError(f"{file}: the file is empty (0 bytes)")
    try:
        with Image.open(file) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # SyntaxError: Pillow's word for a broken PNG
        raise VideoError(f"{file}: not an image that can be read, or a damaged one: {error}") from error
