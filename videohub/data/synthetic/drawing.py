"""Pictures of polygons on a torus: whatever leaves the canvas on one side comes back on the other.

Only additions, multiplications and comparisons touch pixels, each rounded the same way on every machine. The few sines
are taken number by number and rounded to 2⁻¹⁶, which hides the last digit, where mathematics libraries differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Canvas = npt.NDArray[np.float32]  # (3, H, W), 0 to 255


@dataclass(frozen=True)
class Shape:
    """A polygon with its corners on a circle, filled with stripes of two colours."""

    corners: tuple[float, ...]  # where on the circle, in rounds, ascending; no gap reaches half a round
    colours: tuple[tuple[float, ...], tuple[float, ...]]  # RGB, 0 to 255
    stripes: float  # for each radius
    stripe_angle: float  # rounds
    stripe_shift: float  # stripes


@dataclass(frozen=True)
class Pose:
    """Where a shape lies: its centre in pixels, its turn in rounds, the radius of its circle in pixels."""

    x: float
    y: float
    turn: float
    radius: float


def background(grids: list[npt.NDArray[np.uint8]], strengths: tuple[float, ...], width: int, height: int) -> Canvas:
    """Return soft clouds that wrap around both ways.

    Args:
        grids: Colours at the knots, (3, rows, columns) each, bilinear between them.
        strengths: The weight of each grid; together they spread around the middle grey.
        width: Of the canvas, in pixels.
        height: Of the canvas, in pixels.
    """
    canvas: Canvas = np.full((3, height, width), 127.5, np.float32)
    for grid, strength in zip(grids, strengths, strict=True):
        clouds = _stretch(_stretch(grid.astype(np.float32), 1, height), 2, width)
        canvas += (clouds - np.float32(127.5)) * np.float32(strength)
    return canvas


def draw_shape(canvas: Canvas, shape: Shape, pose: Pose) -> Canvas:
    """Return `canvas` with `shape` over it, its edges one pixel soft; its circle must be narrower than the canvas."""
    left, top, side = math.floor(pose.x - pose.radius), math.floor(pose.y - pose.radius), math.ceil(2 * pose.radius) + 1
    x = (np.arange(left, left + side) + (0.5 - pose.x)).astype(np.float32)
    y = (np.arange(top, top + side) + (0.5 - pose.y)).astype(np.float32)[:, None]
    coverage: Canvas = np.ones((side, side), np.float32)
    for corner, following in zip(shape.corners, (*shape.corners[1:], shape.corners[0] + 1), strict=True):
        across, down = _direction(pose.turn + (corner + following) / 2)
        inside = np.float32(pose.radius) * _direction((following - corner) / 2)[0]  # from the centre to the edge
        np.minimum(coverage, inside + np.float32(0.5) - y * down - x * across, out=coverage)
    np.maximum(coverage, 0, out=coverage)
    across, down = _direction(pose.turn + shape.stripe_angle)
    per_pixel = np.float32(shape.stripes / pose.radius)
    wave = x * (across * per_pixel) + (y * (down * per_pixel) + np.float32(shape.stripe_shift))
    wave -= np.floor(wave)
    blend = _limit(np.abs(wave - np.float32(0.5)) * 6 - 1, 1)
    first, second = (np.array(colour, np.float32)[:, None, None] for colour in shape.colours)
    rolled = np.roll(canvas, (-top, -left), (1, 2))  # now the shape crosses no border
    window = rolled[:, :side, :side]
    window += (first + (second - first) * blend - window) * coverage
    return np.roll(rolled, (top, left), (1, 2))


def finish(canvas: Canvas, noise: npt.NDArray[np.uint8], *, contrast: float, light: float) -> npt.NDArray[np.uint8]:
    """Return the picture (H, W, 3) that a camera of this contrast would take.

    Args:
        canvas: What it sees.
        noise: Grain of each pixel in grey levels, (2, H, W); the difference of both is added.
        contrast: Factor about the middle grey.
        light: Grey levels added everywhere.
    """
    grain = noise[0].astype(np.float32) - noise[1] + np.float32(127.5 * (1 - contrast) + light + 0.5)
    picture = np.empty((*grain.shape, 3), np.uint8)
    for channel, plane in enumerate(canvas):
        picture[:, :, channel] = _limit(plane * np.float32(contrast) + grain, 255)
    return picture


def _limit(values: Canvas, highest: int) -> Canvas:
    """Return `values`, none below 0 or above `highest`; twice as fast as `numpy.clip`."""
    np.maximum(values, 0, out=values)
    return np.minimum(values, highest, out=values)


def _direction(turn: float) -> tuple[np.float32, np.float32]:
    """Return the cosine and the sine of `turn` rounds, to 2⁻¹⁶."""
    angle = 2 * math.pi * turn
    return np.float32(round(math.cos(angle) * 65536) / 65536), np.float32(round(math.sin(angle) * 65536) / 65536)


def _stretch(grid: Canvas, axis: int, length: int) -> Canvas:
    """Return `grid` at `length` points along `axis`, linear between knots, the last knot followed by the first."""
    knots = grid.shape[axis]
    place = np.arange(length) * (knots / length)
    before = place.astype(np.intp)
    share = (place - before).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    left, right = np.take(grid, before, axis), np.take(grid, (before + 1) % knots, axis)
    stretched: Canvas = left + (right - left) * share
    return stretched
