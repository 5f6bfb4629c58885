"""Where everything lies in a report's charts: `templates/charts.html` draws them.

Across, positions are per cent of the chart's width, so that a chart fits any screen; heights have a size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from videohub.metrics.metric import AtClips, PerClass
from videohub.metrics.verdict import Comparison


class Mark(NamedTuple):
    """Something with a place: how far across, how far down, what is written there and where its letters grow from."""

    x: str = ""
    y: str = ""
    text: str = ""
    anchor: str = "middle"


class Span(NamedTuple):
    """A stretch of numbers across a chart."""

    x: str
    width: str


class IntervalChart(NamedTuple):
    """A published number beside the recomputed one: its interval, bounds and tolerance."""

    metric: str
    title: str
    description: str
    ticks: list[Mark]
    tolerance: Span | None
    bounds: Span
    chance: Span
    published: Mark
    measured: Mark


class Curve(NamedTuple):
    """What a metric is with the first clip alone, with the first two, and so on; `level` is the published number."""

    title: str
    description: str
    ticks: list[Mark]
    level: Mark
    above: int  # how far the level's words lie below it: the curve begins on the other side
    points: list[Mark]

    @property
    def lines(self) -> list[tuple[Mark, Mark]]:
        """From each point to the next."""
        return list(itertools.pairwise(self.points))


class Skyline(NamedTuple):
    """All classes as one row of bars, from the weakest to the strongest."""

    title: str
    description: str
    classes: int
    path: str


def interval(comparison: Comparison, name: str = "95 % interval") -> IntervalChart:
    """Lay out a comparison; `name` is what to call its interval."""
    published, recomputed = comparison.published, comparison.recomputed
    near, far = published - comparison.tolerance, published + comparison.tolerance
    low = min(near, *comparison.interval, *comparison.bounds)
    across = _Scale.around(low, max(far, *comparison.interval, *comparison.bounds))
    return IntervalChart(
        metric=comparison.metric,
        title=f"{comparison.metric}: published against recomputed, in per cent",
        description=(
            f"Published {published:.2f}, recomputed {recomputed:.2f}. {name} "
            f"{comparison.interval[0]:.2f} to {comparison.interval[1]:.2f}; with the missing videos all wrong or all "
            f"right {comparison.bounds[0]:.2f} to {comparison.bounds[1]:.2f}."
        ),
        ticks=[across.mark(tick, across.written(tick)) for tick in across.ticks()],
        tolerance=across.span((near, far)) if comparison.tolerance else None,
        bounds=across.span(comparison.bounds),
        chance=across.span(comparison.interval),
        published=across.mark(published, f"published {published:.2f}", near=18),
        measured=across.mark(recomputed, f"recomputed {recomputed:.2f}", near=18),
    )


def curve(points: Sequence[AtClips], metric: str, published: float) -> Curve:
    """Lay out a metric against the number of clips, 2 points at least."""
    values, clips = [point.values[metric] for point in points], [point.clips for point in points]
    up = _Scale.around(min(*values, published), max(*values, published))
    top, bottom, left, right = 14.0, 190.0, 9.0, 97.0
    every = math.ceil(len(clips) / 10)  # of many numbers of clips, about ten are written below

    def x(number: int) -> str:
        return percent(left + (right - left) * (number - clips[0]) / (clips[-1] - clips[0]))

    def y(value: float) -> str:
        return f"{bottom - (bottom - top) * up(value) / 100:.1f}"

    listed = ", ".join(f"{number}: {value:.2f}" for number, value in zip(clips, values, strict=True))
    return Curve(
        title=f"{metric} against the number of clips of each video, in per cent",
        description=f"Clips: {metric}. {listed}. Published: {published:.2f}.",
        ticks=[Mark(y=y(tick), text=up.written(tick)) for tick in up.ticks()],
        level=Mark(y=y(published), text=f"published {published:.2f}"),
        above=-6 if values[0] < published else 16,
        points=[
            Mark(x(number), y(value), str(number) if number % every == 0 or number == clips[0] else "")
            for number, value in zip(clips, values, strict=True)
        ],
    )


def skyline(classes: Sequence[PerClass]) -> Skyline:
    """Lay out all classes that have a value, at least one."""
    values = sorted(one.value for one in classes if one.value is not None)
    steps = "".join(f"V{100 - value:.2f}H{index + 1}" for index, value in enumerate(values))
    return Skyline(
        title="All classes, from the weakest to the strongest, in per cent",
        description=f"{len(values)} classes from {values[0]:.1f} to {values[-1]:.1f}; half of them are above "
        f"{median(values):.1f}.",
        classes=len(values),
        path=f"M0 100{steps}V100Z",
    )


def percent(place: float) -> str:
    """Return a place across a chart, 0 to 100, as SVG takes it."""
    return f"{place:.2f}%"


class _Scale:
    """A stretch of numbers laid over 0 to 100."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @classmethod
    def around(cls, low: float, high: float) -> _Scale:
        """Leave some air at both ends; numbers that are all alike get a point on either side."""
        air = 0.08 * (high - low) or 1.0
        return cls(low - air, high + air)

    def __call__(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low)

    def span(self, ends: tuple[float, float]) -> Span:
        """Return where a stretch of numbers lies."""
        low, high = (self(end) for end in ends)
        return Span(percent(low), percent(high - low))

    def mark(self, value: float, text: str, *, near: float = 4) -> Mark:
        """Return where a number lies; its letters grow away from an end of the chart that it is `near`."""
        place = self(value)
        return Mark(percent(place), "", text, "start" if place < near else "end" if place > 100 - near else "middle")

    def step(self) -> float:
        """Return the distance of ticks, 1, 2 or 5 times a power of ten, that makes at most six of them."""
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)

    def ticks(self) -> list[float]:
        """Return the numbers to write along the scale."""
        step = self.step()
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [index * step for index in range(first, last + 1)]

    def written(self, tick: float) -> str:
        """Return a tick with as many digits as its neighbours need."""
        return f"{tick:.{max(0, -math.floor(math.log10(self.step()) + 1e-9))}f}"
