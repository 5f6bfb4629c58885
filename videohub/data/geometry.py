"""Where a frame's pixels go: its size once it is resized, the squares that are cut from it, the boxes within it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from videohub.errors import UsageError
from videohub.protocols import Crop, KeyFrames, Pixels, Place, Protocol, Resize, ResizeShortSide

Box: TypeAlias = tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of the frame


class Square(NamedTuple):
    """A square of a frame, or all of it: where it lies, in pixels, and whether left and right change places."""

    top: int
    left: int
    mirrored: bool = False


def resized_size(height: int, width: int, steps: Iterable[Pixels]) -> tuple[int, int]:
    """Return height and width, in pixels, of a frame to which all these steps are done; crops are no matter."""
    for step in steps:
        if isinstance(step, Resize):
            height, width = step.height, step.width
        elif isinstance(step, ResizeShortSide):
            height, width = short_side_size(height, width, step)
    return height, width


def short_side_size(height: int, width: int, step: ResizeShortSide) -> tuple[int, int]:
    """Return height and width, in pixels, after the short side has become `step.pixels`.

    Source: PySlowFast rounds down `long / short * pixels`: 352x288 becomes 312x256; torchvision and Pillow
        `pixels * long / short`; mmaction2 rounds `long * (pixels / short)` half up: 340x256 becomes 298x224, not 297.
    """
    short, long = sorted((height, width))
    if step.long_side == "floor":
        resized = math.floor(long / short * step.pixels)
    elif step.long_side == "truncate":
        resized = int(step.pixels * long / short)
    else:
        resized = int(long * (step.pixels / short) + 0.5)
    return (step.pixels, resized) if height < width else (resized, step.pixels)


def squares(height: int, width: int, protocol: Protocol) -> tuple[list[Square], tuple[int, int]]:
    """Return where the crops of resized frames lie, in the protocol's order, and how large each is, in pixels.

    Raises: UsageError if the crop is larger than the frame.
    """
    crop = next((step for step in protocol.pixels if isinstance(step, Crop)), None)
    if crop is None:
        return [Square(0, 0)], (height, width)
    if crop.size > min(height, width):
        raise UsageError(f"a crop of {crop.size} pixels does not fit into a frame of {width}x{height}")
    return crop_squares(height, width, crop, protocol.views.crops), (crop.size, crop.size)


def crop_squares(height: int, width: int, crop: Crop, places: Sequence[Place]) -> list[Square]:
    """Return the squares of these names; see `Crop` for whose arithmetic places them."""
    down, across = height - crop.size, width - crop.size
    return [_BY[crop.arithmetic](down, across, place) for place in places]


def boxes_in_pixels(boxes: Sequence[Box], height: int, width: int, protocol: Protocol) -> npt.NDArray[np.float32]:
    """Return boxes, x1, y1, x2, y2 as fractions of a frame of this size, in pixels of the resized frame: (K, 4).

    Source: the reference AVA protocol (`clipped`) cuts off what lies outside of a frame, whose last pixel is
        `width - 1`, before and after both axes take the ratio of the long sides. mmaction2 (`as_given`) cuts nothing,
        and each axis has its own ratio; it rounds to float32 twice.
    """
    new_height, new_width = resized_size(height, width, protocol.whole_frame_steps)
    given = np.array(boxes, np.float64).reshape(-1, 4)
    if isinstance(protocol.frames, KeyFrames) and protocol.frames.boxes == "as_given":
        pixels = (given * (width, height, width, height)).astype(np.float32)
        return pixels * np.array([new_width / width, new_height / height] * 2, np.float32)
    ratio = new_height / height if width < height else new_width / width
    inside = _within(given * (width, height, width, height), height, width) * ratio
    return _within(inside, new_height, new_width).astype(np.float32)


def _within(boxes: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Cut off what lies outside of a frame."""
    return boxes.clip(0, (width - 1, height - 1, width - 1, height - 1))


def _along(down: int, across: int, place: Place, centre: Callable[[int], int], end: Callable[[int], int]) -> Square:
    """Return a square that is moved along the longer side; across the other it lies in the centre."""
    if place == "centre":
        return Square(centre(down), centre(across))
    if down > across:
        return Square(0 if place == "start" else end(down), centre(across))
    return Square(centre(down), 0 if place == "start" else end(across))


def _mmaction2_ten(down: int, across: int, place: Place) -> Square:
    """Source: mmaction2's TenCrop; steps of `(length - size) // 4`, so corners may miss the edge by up to three."""
    quarter_down, quarter_across = down // 4, across // 4
    name = place.removesuffix("_mirrored")
    if name == "centre":
        top, left = 2 * quarter_down, 2 * quarter_across
    else:
        top = 4 * quarter_down if name.startswith("bottom") else 0
        left = 4 * quarter_across if name.endswith("right") else 0
    return Square(top, left, mirrored=name != place)


def _torchvision(down: int, across: int, place: Place) -> Square:
    """Source: torchvision's center_crop, `round((length - size) / 2)`, half to even."""
    return Square(round(down / 2), round(across / 2))


def _tsm(down: int, across: int, place: Place) -> Square:
    """Source: TSM's GroupFullResSample: steps of `(length - size) // 4`; a frame higher than wide has one square."""
    return Square(down // 4 * 2, across // 4 * {"start": 0, "centre": 2, "end": 4}[place])


_BY: dict[str, Callable[[int, int, Place], Square]] = {
    # the reference crops; the centre rounds up, `ceil((length - size) / 2)`, the last one touches the edge
    "pyslowfast": partial(_along, centre=lambda room: math.ceil(room / 2), end=lambda room: room),
    # mmaction2's CenterCrop and ThreeCrop; steps of `(length - size) // 2`, which may miss the edge by one
    "mmaction2": partial(_along, centre=lambda room: room // 2, end=lambda room: room // 2 * 2),
    "mmaction2_ten": _mmaction2_ten,
    "torchvision": _torchvision,
    "tsm": _tsm,
    # VideoMAE's test, `int(k * (length - size) / 2)`: the centre rounds down, the last touches the edge
    "videomae": partial(_along, centre=lambda room: room // 2, end=lambda room: room),
}
