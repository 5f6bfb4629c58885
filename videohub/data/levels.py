"""What is done to 8-bit pictures as they are decoded, without torch: the first steps of some protocols.

OpenCV's INTER_LINEAR is done here in whole numbers, to the last bit; Pillow is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image

from videohub.data.geometry import resized_size
from videohub.protocols import ON_THE_CPU, Mirror, Pixels, Protocol, Resize, ResizeShortSide, ReverseChannels

SHRINKING = 48  # bytes that resizing takes for a pixel of what comes out: sums of whole numbers, several at a time

Indices: TypeAlias = npt.NDArray[np.intp]
Weights: TypeAlias = npt.NDArray[np.int32]
Taps: TypeAlias = tuple[Indices, Indices, Weights, Weights]  # the pixel before and the one after, and their weights

_ONE = np.float32(2048)  # a weight of 1: weights are whole numbers of 11 bits


def split_steps(protocol: Protocol) -> tuple[tuple[Pixels, ...], tuple[Pixels, ...]]:
    """Return the steps that are done here, up to the last resizing by OpenCV's or Pillow's arithmetic, and the rest."""
    steps = protocol.whole_frame_steps
    last = max((n for n, step in enumerate(steps, 1) if getattr(step, "arithmetic", None) in ON_THE_CPU), default=0)
    return steps[:last], steps[last:]


def apply(picture: npt.NDArray[np.uint8], steps: Sequence[Pixels]) -> npt.NDArray[np.uint8]:
    """Return a picture (H, W, 3) after some steps; without any it is the same object."""
    for step in steps:
        if isinstance(step, Resize | ResizeShortSide):
            picture = _resized(picture, step)
        elif isinstance(step, Mirror):
            picture = picture[:, ::-1]
        elif isinstance(step, ReverseChannels):
            picture = picture[..., ::-1]
    return np.ascontiguousarray(picture) if steps else picture


def _resized(picture: npt.NDArray[np.uint8], step: Resize | ResizeShortSide) -> npt.NDArray[np.uint8]:
    size = picture.shape[0], picture.shape[1]
    height, width = resized_size(*size, [step])
    if size == (height, width):
        return picture
    if step.arithmetic == "opencv_uint8":
        return resize_linear(picture, height, width)
    kind = PIL.Image.Resampling.BICUBIC if step.arithmetic == "pillow_bicubic" else PIL.Image.Resampling.BILINEAR
    return np.array(PIL.Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), kind))


def resize_linear(picture: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return a picture (H, W, 3) at another size, each pixel mixed from the four around it, without antialiasing.

    Source: OpenCV's arithmetic for 8-bit pictures. Within a row, two pixels times their weights are added up. Of two
        rows, each such sum loses 4 bits, is multiplied by its row's weight and loses 16 more, and the last 2 bits of
        both together are rounded off. The result may be 1 level off the exact one.
    """
    if picture.shape[:2] == (height, width):
        return picture
    left, right, from_left, from_right = _columns(picture.shape[1], width)
    above, below, from_above, from_below = _rows(picture.shape[0], height)
    values = picture.reshape(len(picture), -1)  # (H, W * 3)

    def across(rows: Indices, weights: Weights) -> npt.NDArray[np.int32]:
        """Mix the columns of these rows, and give the rows their weight."""
        chosen = values[rows]
        sums = chosen.take(left, axis=1) * from_left
        sums += chosen.take(right, axis=1) * from_right
        sums >>= 4
        sums *= weights[:, None]
        sums >>= 16
        return sums

    mixed = across(above, from_above)
    mixed += across(below, from_below)
    mixed += 2
    mixed >>= 2
    return mixed.astype(np.uint8).reshape(height, width, 3)


@lru_cache(maxsize=64)
def _rows(size: int, resized: int) -> Taps:
    """Say for each new row which two it lies between; where one of them is outside, the edge stands in for it."""
    first, fractions = _neighbours(size, resized)
    return np.clip(first, 0, size - 1), np.clip(first + 1, 0, size - 1), *_weights(fractions)


@lru_cache(maxsize=64)
def _columns(size: int, resized: int) -> Taps:
    """Say for each value of a new row which two of the old one it lies between; beyond an edge it is that edge."""
    first, fractions = _neighbours(size, resized)
    fractions = np.where((first < 0) | (first >= size - 1), np.float32(0), fractions)
    first = np.clip(first, 0, size - 1)
    before, after = (
        (3 * column[:, None] + np.arange(3)).ravel() for column in (first, np.minimum(first + 1, size - 1))
    )
    return before, after, *_weights(fractions.repeat(3))


def _neighbours(size: int, resized: int) -> tuple[Indices, npt.NDArray[np.float32]]:
    """Return the pixel before each new pixel's centre, and how far beyond that pixel's own centre it lies."""
    scale = 1 / (resized / size)  # OpenCV inverts twice, and rounds twice
    centres = ((np.arange(resized) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(centres)
    return first.astype(np.intp), centres - first


def _weights(fractions: npt.NDArray[np.float32]) -> tuple[Weights, Weights]:
    """Return the weights of the pixel before and the one after, each rounded half to even."""
    return np.rint((1 - fractions) * _ONE).astype(np.int32), np.rint(fractions * _ONE).astype(np.int32)
