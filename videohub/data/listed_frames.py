"""Read chosen frames of a video that somebody has taken apart into image files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from videohub.data.images import read_image
from videohub.data.samples import FrameList
from videohub.errors import UsageError, VideoError


def read_listed(source: FrameList, indices: Iterable[int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the picture of each index into the list, RGB (H, W, 3). No other file is opened.

    Pillow decodes them. The original used OpenCV, which gives the same pixels for the JPEG files that FFmpeg extracts:
    both leave it to libjpeg-turbo with its default settings. They part where a file is cut short (an error here, grey
    below the cut there) or carries a tag that turns the picture (left alone here, as FFmpeg never writes one).

    Raises: VideoError if an image is missing, damaged, or not as large as the one before it.
    """
    names = source.names.split("\n")  # `paths()` would build one object for each of AVA's 27,000
    first: Path | None = None
    shape: tuple[int, ...] = ()
    for index in indices:
        file = source.folder / names[index]
        try:
            picture = read_image(file)
        except UsageError as error:
            raise VideoError(f"{error}; it is frame {index + 1} of the {len(names)} in its list") from error
        if first is None:
            first, shape = file, picture.shape
        if picture.shape != shape:
            raise VideoError(
                f"{file}: this frame is {picture.shape[1]}x{picture.shape[0]} pixels large, but {first.name} of the "
                f"same video {shape[1]}x{shape[0]}; take the frames out of the video again"
            )
        yield picture
