"""Where a frame's pixels go: its size once the short side is resized, and the squares that are cut from it."""

from __future__ import annotations

import math

from videohub.errors import UsageError


def resized_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return height and width, in pixels, after the short side has become `short_side`; the long side rounds down.

    Source: the reference resize, `floor(long / short * short_side)`: 352x288 becomes 312x256.
    """
    if height < width:
        return short_side, math.floor(width / height * short_side)
    return math.floor(height / width * short_side), short_side


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
