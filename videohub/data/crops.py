"""From a decoded picture to what the network sees of it: normalise, resize the short side, place the crops."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from videohub.errors import UsageError


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (..., 3, H, W) pixels between 0 and 1 with `mean` subtracted and then divided by `std`, per channel."""
    means, stds = (torch.tensor(values, dtype=pixels.dtype).view(3, 1, 1) for values in (mean, std))
    return (pixels - means).div_(stds)


def resized_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return height and width, in pixels, after the short side has become `short_side`; the long side rounds down.

    Source: the reference resize, `floor(long / short * short_side)`: 352x288 becomes 312x256.
    """
    if height < width:
        return short_side, math.floor(width / height * short_side)
    return math.floor(height / width * short_side), short_side


def resize(images: Tensor, short_side: int) -> Tensor:
    """Return float images (B, C, H, W) with their short side resized to `short_side` pixels, smaller or larger.

    Bilinear, pixel centres at halves, no antialiasing. Images of that size already are returned as they are.
    """
    height, width = images.shape[-2:]
    if min(height, width) == short_side:
        return images
    size = resized_size(height, width, short_side)
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def crop_offsets(height: int, width: int, size: int, crops: int) -> list[tuple[int, int]]:
    """Return (top, left) of each crop of `size` pixels squared, in pixels.

    Args:
        height: Height of the resized frame.
        width: Width of the resized frame.
        size: Side of the square.
        crops: 1 for the centre; 3 for left, centre, right, or top, centre, bottom of a frame higher than wide.
    Raises: UsageError if `crops` is neither, or the square is larger than the frame.
    Source: the reference crops: the centre rounds up, `ceil((length - size) / 2)`; the last one touches the edge.
    """
    if crops not in (1, 3):
        raise UsageError(f"a view has 1 or 3 crops, not {crops}")
    if size > min(height, width):
        raise UsageError(f"a crop of {size} pixels does not fit into a frame of {width}x{height}")
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if crops == 1:
        return [(top, left)]
    if height > width:
        return [(0, left), (top, left), (height - size, left)]
    return [(top, 0), (top, left), (top, width - size)]
