"""Scenes of a moving polygon, drawn so that no single frame can tell which motion it is.

A striped polygon moves before a drifting background, among smaller polygons with motions of their own. Its pose is
a point of a torus: (across, down, turn, size), each a fraction of one round. A motion adds to that point a
displacement that depends on time, never on the point; the start is uniform, and a uniform point of a torus stays
uniform whatever is added. So at each instant every class has the same distribution of poses, and all else in a
picture (frame size, shapes, colours, background, camera, noise) is drawn without looking at the class. One frame
therefore says nothing; two frames in order do.

The proof is about pictures as drawn. A lossy encoder predicts each from its neighbours and could leave faint traces.

Pictures are the same on every machine. Numbers come from PCG64 raw streams, one for each name. Only additions,
multiplications and comparisons touch pixels, each rounded the same way everywhere. The few sines are taken number by
number and rounded to 2⁻¹⁶, which hides the last digit, where mathematics libraries differ.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

CLASSES = (
    "moving left",
    "moving right",
    "moving up",
    "moving down",
    "turning clockwise",
    "turning counterclockwise",
    "growing",
    "shrinking",
    "swaying slowly",
    "swaying fast",
)

# What every class shares. All are ranges of a uniform draw unless they say otherwise.
SIZES = ((96, 72), (72, 96), (96, 96), (112, 112), (128, 96), (96, 128), (160, 120), (120, 160))  # width, height
RATES = (12, 15, 24, 25, 30)  # frames per second
SECONDS = (1.5, 3.5)
RADIUS = (0.26, 0.46)  # of the short side; the `size` phase runs through it once a round

# How fast. "Short sides" make a motion look the same at every frame size.
TRAVEL = (0.35, 0.80)  # short sides a second
TURN = (0.30, 0.75)  # rounds a second
GROWTH = (0.35, 0.70)  # rounds of the `size` phase a second
SWAY = 0.10  # short sides to either side, in any direction
SWAY_SLOWLY = (0.6, 1.1)  # swings a second
SWAY_FAST = (1.9, 2.8)

# What makes it hard.
CONTRAST = (0.7, 1.0)
CLOUDS = (0.20, 0.08)  # how far the background strays from grey: its large clouds, its small ones
CAMERA_DRIFT = 0.03  # short sides a second at most, in any direction
CAMERA_SHAKE = 0.004  # short sides at most, anew for each frame
DISTRACTORS = 1  # at most
DISTRACTOR_RADIUS = (0.06, 0.11)  # of the short side
NOISE = 4  # grey levels at most, anew for each pixel of each frame
FLICKER = 3.0  # grey levels at most, anew for each frame

Frame = npt.NDArray[np.uint8]  # (H, W, 3), RGB
Canvas = npt.NDArray[np.float32]  # (3, H, W), 0 to 255
Phases = tuple[float, float, float, float]  # across, down, turn, size: each in rounds
_T = TypeVar("_T")


@dataclass(frozen=True)
class Shape:
    """A polygon with its corners on a circle, filled with stripes of two colours."""

    corners: tuple[float, ...]  # where on the circle, in rounds, ascending; no gap reaches half a round
    colours: tuple[tuple[float, ...], tuple[float, ...]]  # RGB, 0 to 255
    stripes: float  # for each radius
    stripe_angle: float  # rounds
    stripe_shift: float  # stripes


@dataclass(frozen=True)
class Motion:
    """A displacement on the torus as a function of time: steady in `velocity`, and a swing of `reach`."""

    velocity: Phases = (0, 0, 0, 0)  # rounds a second
    reach: Phases = (0, 0, 0, 0)  # rounds
    swings: float = 0  # a second
    swing_start: float = 0  # swings

    def at(self, seconds: float) -> Phases:
        """Return the displacement, in rounds; it never depends on where the body started."""
        swing = math.sin(2 * math.pi * (self.swings * seconds + self.swing_start))
        across, down, turn, size = (v * seconds + r * swing for v, r in zip(self.velocity, self.reach, strict=True))
        return across, down, turn, size


@dataclass(frozen=True)
class Body:
    """A shape, where it started on the torus, how it moves, and the radii (pixels) its `size` phase runs through."""

    shape: Shape
    start: Phases
    motion: Motion
    radii: tuple[float, float]

    def phases(self, seconds: float) -> Phases:
        """Return the point of the torus where the body is, each phase in [0, 1)."""
        across, down, turn, size = (
            round((s + d) * 65536) % 65536 / 65536 for s, d in zip(self.start, self.motion.at(seconds), strict=True)
        )
        return across, down, turn, size


@dataclass(frozen=True)
class Scene:
    """One video before it is drawn: everything but the pixels."""

    name: str  # "motions/<split>/<index>": names its random numbers
    label: int
    width: int  # pixels
    height: int
    fps: int
    frames: int
    b_frames: int
    contrast: float
    drift: tuple[float, float]  # of the camera, pixels a second
    clouds: Canvas  # the background, (3, H, W)
    target: Body
    distractors: tuple[Body, ...]


def scene_of(name: str, label: int) -> Scene:
    """Return the scene called `name`; only the target's motion depends on `label`, an index into `CLASSES`."""
    draw = _Draw(name)
    width, height = draw.among(SIZES)
    fps = draw.among(RATES)
    frames = round(draw.between(*SECONDS) * fps)
    short = min(width, height)
    drift, heading = CAMERA_DRIFT * short * draw.between(0, 1), 2 * math.pi * draw.between(0, 1)
    clouds = _background([draw.bytes(3, 3, 4), draw.bytes(3, 9, 12)], CLOUDS, width, height)
    others = tuple(
        _body(draw, draw.below(len(CLASSES)), width, height, DISTRACTOR_RADIUS)
        for _ in range(draw.below(DISTRACTORS + 1))
    )
    return Scene(
        name=name,
        label=label,
        width=width,
        height=height,
        fps=fps,
        frames=frames,
        b_frames=draw.among((0, 2)),
        contrast=draw.between(*CONTRAST),
        drift=(drift * math.cos(heading), drift * math.sin(heading)),
        clouds=clouds,
        target=_body(draw, label, width, height, RADIUS),
        distractors=others,
    )


def picture(scene: Scene, frame: int) -> Frame:
    """Return frame number `frame` of `scene`, (H, W, 3) RGB; each has its own noise, so any order will do."""
    draw = _Draw(f"{scene.name}/{frame}")
    seconds = frame / scene.fps
    shake = CAMERA_SHAKE * min(scene.width, scene.height)
    # whole pixels: background and bodies move as one
    right, down = (round(speed * seconds + draw.between(-shake, shake)) for speed in scene.drift)
    canvas = np.roll(scene.clouds, (down, right), (1, 2))
    for body in (*scene.distractors, scene.target):
        x, y, turn, size = body.phases(seconds)
        small, large = body.radii
        centre = x * scene.width + right, y * scene.height + down
        canvas = _draw_shape(canvas, body.shape, centre, turn, small + (large - small) * size)
    light = draw.between(-FLICKER, FLICKER)
    noise = draw.bytes(2, scene.height, scene.width) % np.uint8(NOISE + 1)
    return _finish(canvas, noise, contrast=scene.contrast, light=light)


def _body(draw: _Draw, label: int, width: int, height: int, radius: tuple[float, float]) -> Body:
    """Draw a body that moves as class `label` does; every class takes the same draws in the same order."""
    gaps = [draw.between(1, 1.8) for _ in range(3 + draw.below(3))]
    first, second = ((float(red), float(green), float(blue)) for red, green, blue in draw.bytes(2, 3))
    shape = Shape(
        corners=tuple(sum(gaps[: n + 1]) / sum(gaps) for n in range(len(gaps))),
        colours=(first, second),
        stripes=draw.between(0.8, 1.6),
        stripe_angle=draw.between(0, 1),
        stripe_shift=draw.between(0, 1),
    )
    start = (draw.between(0, 1), draw.between(0, 1), draw.between(0, 1), draw.between(0, 1))
    pace, heading, swing_start = draw.between(0, 1), draw.between(0, 1), draw.between(0, 1)
    short = min(width, height)
    motion = _motion(CLASSES[label], pace, heading, swing_start, short / width, short / height)
    return Body(shape, start, motion, (radius[0] * short, radius[1] * short))


def _motion(name: str, pace: float, heading: float, swing_start: float, across: float, down: float) -> Motion:
    """Return the motion of class `name`; `across` and `down` are one short side in rounds."""

    def paced(slowest: float, fastest: float) -> float:
        return slowest + (fastest - slowest) * pace

    travel, turn, growth = paced(*TRAVEL), paced(*TURN), paced(*GROWTH)
    steady: dict[str, Phases] = {
        "moving left": (-travel * across, 0, 0, 0),
        "moving right": (travel * across, 0, 0, 0),
        "moving up": (0, -travel * down, 0, 0),
        "moving down": (0, travel * down, 0, 0),
        "turning clockwise": (0, 0, turn, 0),  # y points down, so angles grow clockwise
        "turning counterclockwise": (0, 0, -turn, 0),
        "growing": (0, 0, 0, growth),
        "shrinking": (0, 0, 0, -growth),
    }
    if name in steady:
        return Motion(velocity=steady[name])
    swings = paced(*(SWAY_FAST if name == "swaying fast" else SWAY_SLOWLY))
    reach = (SWAY * math.cos(2 * math.pi * heading) * across, SWAY * math.sin(2 * math.pi * heading) * down, 0, 0)
    return Motion(reach=reach, swings=swings, swing_start=swing_start)


class _Draw:
    """Numbers in a fixed order for one name, from the generator's raw stream: numpy promises only that to stay."""

    def __init__(self, name: str) -> None:
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")
        self._stream = np.random.PCG64(seed)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * (int(self._stream.random_raw()) >> 11) / (1 << 53)

    def below(self, number: int) -> int:
        return int(self._stream.random_raw()) % number

    def among(self, choices: Sequence[_T]) -> _T:
        return choices[self.below(len(choices))]

    def bytes(self, *shape: int) -> npt.NDArray[np.uint8]:
        size = math.prod(shape)
        raw = np.asarray(self._stream.random_raw(-(-size // 8)), "<u8")
        return raw.view(np.uint8)[:size].reshape(shape)


# --- pixels: a torus, too, on which whatever leaves the canvas on one side comes back on the other --------------------


def _background(grids: list[npt.NDArray[np.uint8]], strengths: tuple[float, ...], width: int, height: int) -> Canvas:
    """Return soft clouds around the middle grey, of grids (3, rows, columns) of colours, each with its weight."""
    canvas: Canvas = np.full((3, height, width), 127.5, np.float32)
    for grid, strength in zip(grids, strengths, strict=True):
        clouds = _stretch(_stretch(grid.astype(np.float32), 1, height), 2, width)
        canvas += (clouds - np.float32(127.5)) * np.float32(strength)
    return canvas


def _draw_shape(canvas: Canvas, shape: Shape, centre: tuple[float, float], turn: float, radius: float) -> Canvas:
    """Return `canvas` with `shape` over it, its edges one pixel soft.

    Centre and radius of its circle, which must be narrower than the canvas, are in pixels; the turn is in rounds.
    """
    left, top, side = math.floor(centre[0] - radius), math.floor(centre[1] - radius), math.ceil(2 * radius) + 1
    x = (np.arange(left, left + side) + (0.5 - centre[0])).astype(np.float32)
    y = (np.arange(top, top + side) + (0.5 - centre[1])).astype(np.float32)[:, None]
    coverage: Canvas = np.ones((side, side), np.float32)
    for corner, following in zip(shape.corners, (*shape.corners[1:], shape.corners[0] + 1), strict=True):
        across, down = _direction(turn + (corner + following) / 2)
        inside = np.float32(radius) * _direction((following - corner) / 2)[0]  # from the centre to the edge
        np.minimum(coverage, inside + np.float32(0.5) - y * down - x * across, out=coverage)
    np.maximum(coverage, 0, out=coverage)
    across, down = _direction(turn + shape.stripe_angle)
    per_pixel = np.float32(shape.stripes / radius)
    wave = x * (across * per_pixel) + (y * (down * per_pixel) + np.float32(shape.stripe_shift))
    wave -= np.floor(wave)
    blend = _limit(np.abs(wave - np.float32(0.5)) * 6 - 1, 1)
    first, second = (np.array(colour, np.float32)[:, None, None] for colour in shape.colours)
    rolled = np.roll(canvas, (-top, -left), (1, 2))  # now the shape crosses no border
    window = rolled[:, :side, :side]
    window += (first + (second - first) * blend - window) * coverage
    return np.roll(rolled, (top, left), (1, 2))


def _finish(canvas: Canvas, noise: npt.NDArray[np.uint8], *, contrast: float, light: float) -> Frame:
    """Return the picture (H, W, 3) that a camera of this contrast about the middle grey would take.

    To each pixel are added, in grey levels, `light` and the difference of both `noise` (2, H, W).
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
