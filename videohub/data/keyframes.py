"""What the AVA protocol does to frames and boxes before normalising: both are brought to the network's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from videohub.data.bilinear import resize_linear
from videohub.data.crops import resized_size

SHRINKING = 48  # bytes that `shrink` takes for a pixel of what comes out: sums of whole numbers, several at a time

Box: TypeAlias = tuple[float, float, float, float]


def shrink(picture: npt.NDArray[np.uint8], short_side: int) -> npt.NDArray[np.uint8]:
    """Return a picture (H, W, 3) with its short side resized, smaller or larger, and rounded to 8 bits again.

    Source: the reference AVA protocol resizes the 8-bit pictures with OpenCV, where the others resize floats.
    """
    height, width = picture.shape[:2]
    return resize_linear(picture, *resized_size(height, width, short_side))


def boxes_in_pixels(boxes: Sequence[Box], height: int, width: int, short_side: int) -> npt.NDArray[np.float32]:
    """Return boxes, x1, y1, x2, y2 as fractions of a frame, in pixels of the resized frame: (K, 4).

    Args:
        boxes: Parts outside the frame are cut off.
        height: Of the frame before it is resized, in pixels.
        width: Likewise.
        short_side: What the short side is resized to; both axes take the ratio of the long sides, which is rounded.
    Source: the reference AVA protocol; the last pixel that a box can reach is the frame's last one, `width - 1`.
    """
    new_height, new_width = resized_size(height, width, short_side)
    ratio = new_height / height if width < height else new_width / width
    pixels = np.array(boxes, np.float64).reshape(-1, 4) * (width, height, width, height)
    pixels = _within(pixels, height, width) * ratio
    return _within(pixels, new_height, new_width).astype(np.float32)


def _within(boxes: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Cut off what lies outside of a frame."""
    return boxes.clip(0, (width - 1, height - 1, width - 1, height - 1))
