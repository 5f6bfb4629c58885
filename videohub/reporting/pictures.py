"""The pictures of a report as SVG that stands inside a page: they take its colours, and any width.

Across, all positions are per cent of the picture's width; only heights and letters have a size. So a picture fits a
telephone and a sheet of paper alike, and its letters stay readable. Classes are styled in `style.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from videohub.escaping import in_html
from videohub.metrics import wilson_interval
from videohub.metrics.metric import AtClips, PerClass
from videohub.metrics.verdict import Comparison

_DIAMOND = "M0-7 6 0 0 7-6 0Z"
_FORMS = {
    "consistent": '<path d="M4.5 8.5 7 11l4.5-5.5"/>',
    "inconsistent": '<path d="M5 5l6 6M11 5l-6 6"/>',
    "insufficient data": '<path d="M5 5.6a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2M8 13.3v.1"/>',
}


def interval(comparison: Comparison, name: str = "95 % interval") -> str:
    """Draw a published number beside the recomputed one: its interval (as it is called), bounds and tolerance."""
    found = comparison
    near, far = found.published - found.tolerance, found.published + found.tolerance
    low, high = min(near, *found.interval, *found.bounds), max(far, *found.interval, *found.bounds)
    across = _Scale.around(low, high)
    ticks = "".join(
        f'<line class="grid" x1="{x}" x2="{x}" y1="22" y2="72"/>'
        f'<text class="tick" x="{x}" y="106" text-anchor="{_anchor(place)}">{across.written(tick)}</text>'
        for tick in across.ticks()
        for place in (across(tick),)
        for x in (_percent(place),)
    )
    said = (
        f"Published {found.published:.2f}, recomputed {found.recomputed:.2f}. {name} "
        f"{found.interval[0]:.2f} to {found.interval[1]:.2f}; with the missing videos all wrong or all right "
        f"{found.bounds[0]:.2f} to {found.bounds[1]:.2f}."
    )
    return _picture(
        "interval",
        112,
        f"{found.metric}: published against recomputed, in per cent",
        said,
        ticks
        + (_span("tolerance", across, (near, far), y=22, height=50) if found.tolerance else "")
        + _span("bounds", across, found.bounds, y=55, height=10)
        + _span("chance", across, found.interval, y=52, height=16)
        + _mark("published", across(found.published), 34, f'<path d="{_DIAMOND}"/>')
        + _mark("measured", across(found.recomputed), 60, '<circle r="6"/>')
        + _label("published", across(found.published), 14, f"published {found.published:.2f}")
        + _label("measured", across(found.recomputed), 88, f"recomputed {found.recomputed:.2f}"),
    )


def views_curve(points: Sequence[AtClips], metric: str, published: float) -> str:
    """Draw what a metric is with the first clip alone, with the first two, and so on; the published number across."""
    values = [point.values[metric] for point in points]
    up = _Scale.around(min(*values, published), max(*values, published))
    top, bottom, left, right = 14.0, 190.0, 9.0, 97.0

    def x(clips: int) -> float:
        first, last = points[0].clips, points[-1].clips
        return left + (right - left) * (clips - first) / (last - first)

    def y(value: float) -> str:
        return f"{bottom - (bottom - top) * up(value) / 100:.1f}"

    places = [(_percent(x(point.clips)), y(point.values[metric])) for point in points]
    grid = "".join(
        f'<line class="grid" x1="{left}%" x2="100%" y1="{y(tick)}" y2="{y(tick)}"/>'
        f'<text class="tick" x="{left - 1}%" y="{y(tick)}" dy="4" text-anchor="end">{up.written(tick)}</text>'
        for tick in up.ticks()
    )
    below = "".join(
        f'<text class="tick" x="{_percent(x(point.clips))}" y="214" text-anchor="middle">{point.clips}</text>'
        for point in points
        if point.clips in _round_numbers([point.clips for point in points])
    )
    lines = "".join(
        f'<line class="curve" x1="{a[0]}" y1="{a[1]}" x2="{b[0]}" y2="{b[1]}"/>' for a, b in itertools.pairwise(places)
    )
    dots = "".join(f'<circle class="dot" cx="{cx}" cy="{cy}" r="3.5"/>' for cx, cy in places)
    level = y(published)
    above = "-6" if values[0] < published else "16"  # the curve begins on the other side
    said = ", ".join(f"{point.clips}: {value:.2f}" for point, value in zip(points, values, strict=True))
    return _picture(
        "views",
        220,
        f"{metric} against the number of clips of each video, in per cent",
        f"Clips: {metric}. {said}. Published: {published:.2f}.",
        f'{grid}<line class="reference" x1="{left}%" x2="100%" y1="{level}" y2="{level}"/>'
        f'<text class="label published" x="{left + 1}%" y="{level}" dy="{above}">published {published:.2f}</text>'
        f"{lines}{dots}{below}",
    )


def skyline(classes: Sequence[PerClass]) -> str:
    """Draw all classes as one row of bars, from the weakest to the strongest."""
    values = sorted(found.value for found in classes if found.value is not None)
    height, top = 120, 8
    steps = "".join(f"V{100 - value:.2f}H{index + 1}" for index, value in enumerate(values))
    grid = "".join(
        f'<line class="grid" x1="9%" x2="100%" y1="{y}" y2="{y}"/>'
        f'<text class="tick" x="8%" y="{y}" dy="4" text-anchor="end">{value}</text>'
        for value in (0, 50, 100)
        for y in (top + height - height * value // 100,)
    )
    middle = values[len(values) // 2] if len(values) % 2 else sum(values[len(values) // 2 - 1 :][:2]) / 2
    return _picture(
        "skyline",
        height + 2 * top,
        "All classes, from the weakest to the strongest, in per cent",
        f"{len(values)} classes from {values[0]:.1f} to {values[-1]:.1f}; half of them are above {middle:.1f}.",
        f'{grid}<svg x="9%" y="{top}" width="91%" height="{height}" viewBox="0 0 {len(values)} 100" '
        f'preserveAspectRatio="none"><path class="bars" d="M0 100{steps}V100Z"/></svg>',
    )


def bar(share: float, *, chance: tuple[float, float] | None = None) -> str:
    """Draw a share of 100 for a table's cell; the number stands beside it, so no reader needs the picture.

    Args:
        share: 0 to 100.
        chance: An interval to draw over the bar.
    """
    whisker = ""
    if chance is not None:
        low, high = map(_percent, chance)
        whisker = f'<line class="whisker" x1="{low}" x2="{high}" y1="6" y2="6"/>'
    return (
        '<svg class="bar" height="12" aria-hidden="true"><rect class="rail" width="100%" height="12"/>'
        f'<rect class="filled" width="{_percent(share)}" height="12"/>{whisker}</svg>'
    )


def chance_of(found: PerClass) -> tuple[float, float] | None:
    """Return the 95 % interval of a class's accuracy; None for an average precision, which has none this simple."""
    return None if found.right is None or not found.count else wilson_interval(found.right, found.count)


def sign(answer: str) -> str:
    """Draw a verdict as a sign that does not need its colour: a tick, a cross, a question."""
    return f'<svg class="sign" width="20" height="20" viewBox="0 0 16 16" aria-hidden="true">{_FORMS[answer]}</svg>'


def swatch(kind: str) -> str:
    """Draw one entry of the interval pictures' legend."""
    forms = {
        "published": f'<g transform="translate(12 8)"><path d="{_DIAMOND}"/></g>',
        "measured": '<circle cx="12" cy="8" r="6"/>',
        "chance": '<rect x="1" width="22" height="16"/>',
        "bounds": '<rect x="1" y="3" width="22" height="10"/>',
        "tolerance": '<rect x="1" width="22" height="16"/>',
    }
    return f'<svg class="{kind}" width="24" height="16" aria-hidden="true">{forms[kind]}</svg>'


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


def _round_numbers(clips: Sequence[int]) -> set[int]:
    """Return which numbers of clips to write below a curve: all of few, else about ten."""
    every = math.ceil(len(clips) / 10)
    return {number for number in clips if every == 1 or number % every == 0 or number == clips[0]}


def _picture(kind: str, height: int, title: str, said: str, content: str) -> str:
    return (
        f'<svg class="picture {kind}" role="img" width="100%" height="{height}">'
        f"<title>{in_html(title)}</title><desc>{in_html(said)}</desc>{content}</svg>"
    )


def _span(kind: str, scale: _Scale, ends: tuple[float, float], *, y: int, height: int) -> str:
    low, high = (scale(end) for end in ends)
    return f'<rect class="{kind}" x="{_percent(low)}" width="{_percent(high - low)}" y="{y}" height="{height}"/>'


def _mark(kind: str, place: float, y: int, form: str) -> str:
    return f'<svg class="{kind}" x="{_percent(place)}" y="{y}" overflow="visible">{form}</svg>'


def _label(kind: str, place: float, y: int, words: str) -> str:
    return (
        f'<text class="label {kind}" x="{_percent(place)}" y="{y}" '
        f'text-anchor="{_anchor(place, near=18)}">{in_html(words)}</text>'
    )


def _anchor(place: float, near: float = 4) -> str:
    """Keep letters within the picture: those near an end grow away from it."""
    return "start" if place < near else "end" if place > 100 - near else "middle"


def _percent(place: float) -> str:
    return f"{place:.2f}%"
