"""The plot of the zoo: accuracy against multiply-adds, a mark for each record, drawn as SVG.

Places across and down are per cent of the drawing, so that it fits any screen; letters and marks have a size in pixels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from videohub.escaping import in_html
from videohub.formatting import with_letter
from videohub.registry import Record, Registry

# Colours that stay apart for most eyes (after Okabe and Ito), for light paper and for dark.
LIGHT = ("#0072b2", "#d55e00", "#009e73", "#b5579c", "#c48a00", "#2b9fd9", "#6b6b6b")
DARK = ("#4ba3e3", "#ff8a4c", "#2dc89b", "#e08fc8", "#f0b93a", "#93d4fb", "#b4b4b4")
SHAPES = ("circle", "square", "diamond", "triangle")
SIZES = (10_000_000, 100_000_000, 1_000_000_000)  # parameters, of the legend
LEFT, RIGHT, TOP, BOTTOM = 6.0, 97.0, 5.0, 91.0  # per cent: where the first and the last number lie


class Point(NamedTuple):
    """A record in a plot: its number in per cent, and what its network costs."""

    record: Record
    value: float
    params: int
    multiply_adds: int


class Mark(NamedTuple):
    """What stands for a family of networks: one of `SHAPES`, and which of the colours."""

    shape: str
    colour: int


class Scale(NamedTuple):
    """Numbers along an axis: where each lies, in per cent, and which are written there."""

    place: Callable[[float], float]
    ticks: Sequence[float]


def points(known: Registry) -> dict[tuple[str, str], list[Point]]:
    """Return the records of each data set and metric, by both names; the one with most records comes first.

    A record's number is the one to compare with, as everywhere (`Record.number`).
    """
    plots: dict[tuple[str, str], list[Point]] = {}
    for record in known.records.values():
        cost = known.costs.get(record.name)
        if record.number is not None and cost is not None:
            for metric, value in record.number.numbers().items():
                point = Point(record, value, cost.params, cost.multiply_adds)
                plots.setdefault((record.protocol.dataset, metric), []).append(point)
    return dict(sorted(plots.items(), key=lambda plot: -len(plot[1])))


def marks(known: Registry) -> dict[str, Mark]:
    """Return each family's mark, the families with most records first: all colours as circles, then as squares, …"""
    families = [family for family, _ in Counter(record.family for record in known.records.values()).most_common()]
    all_marks = [Mark(shape, colour) for shape in SHAPES for colour in range(len(LIGHT))]
    return dict(zip(families, all_marks, strict=False))


def drawing(
    shown: Sequence[Point], marked: Mapping[str, Mark], metric: str, *, href: Callable[[Record], str] | None
) -> str:
    """Return the inside of a plot's SVG: grid, names of the axes, and the marks, small ones in front.

    Args:
        href: Where a record's page is; None in a file without links.
    """
    across, down = _across(shown), _down(shown)
    lines = []
    for tick in across.ticks:
        x = f"{across.place(tick):.2f}%"
        lines.append(f'<line x1="{x}" y1="0" x2="{x}" y2="{BOTTOM + 3}%"/><text x="{x}" y="{BOTTOM + 3}%" dy="15" '
                     f'text-anchor="middle">{with_unit(tick)}</text>')  # fmt: skip
    for tick in down.ticks:
        y = f"{down.place(tick):.2f}%"
        lines.append(f'<line x1="0" y1="{y}" x2="100%" y2="{y}"/><text x="0" y="{y}" dy="-3">{tick:g}</text>')
    lines.append(f'<text x="0" y="0" dy="12" class="axis">{in_html(metric)}, %</text>')
    lines.append(
        f'<text x="100%" y="{BOTTOM + 3}%" dy="-5" text-anchor="end" class="axis">multiply-adds of one view</text>'
    )
    for point in sorted(shown, key=lambda point: -point.params):
        mark = marked.get(point.record.family)
        place = f"{across.place(point.multiply_adds):.2f}%", f"{down.place(point.value):.2f}%"
        shape = _shape(mark, radius(point.params), *place)
        if href is None:
            lines.append(shape)
        else:
            title = "\n".join(map(in_html, told(point, metric)))
            lines.append(f'<a href="{in_html(href(point.record))}"><title>{title}</title>{shape}</a>')
    return "\n".join(lines)


def told(point: Point, metric: str) -> tuple[str, str, str]:
    """Return what is told of a point, a line each: its record and number, its costs, its family."""
    counted = f"{with_letter(point.multiply_adds)} multiply-adds, {with_letter(point.params)} parameters"
    return f"{point.record.name}: {metric} {point.value:g}", counted, point.record.family


def image(known: Registry) -> str:
    """Return a file of SVG with the largest plot and its legend, for light and dark pages."""
    (dataset, metric), shown = next(iter(points(known).items()))
    marked = marks(known)
    present = [family for family in marked if any(point.record.family == family for point in shown)]
    title = f"{known.datasets[dataset].title}, {metric}: {len(shown)} published checkpoints"
    rows = [present[at : at + _IN_A_ROW] for at in range(0, len(present), _IN_A_ROW)]
    legend = []
    for down, row in enumerate(rows):
        for across, family in enumerate(row):
            x, y = 24 + across * (_WIDTH - 40) // _IN_A_ROW, _PLOT_END + 24 * (down + 1)
            legend.append(f'{_shape(marked[family], 6, x, y)}<text x="{x + 12}" y="{y + 5}">{in_html(family)}</text>')
    y = _PLOT_END + 24 * (len(rows) + 1) + 4
    legend.append(f'<text x="18" y="{y + 5}">parameters:</text>')
    for x, size in zip((124, 194, 284), SIZES, strict=True):
        legend.append(f'<circle cx="{x}" cy="{y}" r="{radius(size)}" class="m c6"/>'
                      f'<text x="{x + radius(size) + 5}" y="{y + 5}">{with_unit(size)}</text>')  # fmt: skip
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 24}" width="{_WIDTH}" height="{y + 24}" role="img">
<title>{in_html(title)}, against the multiply-adds of one view</title>
<style>
svg {{ font: 15px system-ui, sans-serif; overflow: visible; {palette(LIGHT)}; --ink: #444; --line: #8884; }}
@media (prefers-color-scheme: dark) {{ svg {{ {palette(DARK)}; --ink: #c8c8c8; }} }}
{STYLE}
.head {{ font-size: 18px; font-weight: 600; }}
</style>
<text x="16" y="24" class="head">{in_html(title)}</text>
<svg x="16" y="38" width="{_WIDTH - 32}" height="{_PLOT_END - 38}">
{drawing(shown, marked, metric, href=None)}
</svg>
{chr(10).join(legend)}
</svg>
"""


_WIDTH, _PLOT_END, _IN_A_ROW = 900, 520, 6  # pixels, pixels, families of the legend

STYLE = "\n".join([
    "line { stroke: var(--line); }",
    "text { fill: var(--ink); }",
    ".axis { font-weight: 600; }",
    ".m { fill-opacity: .55; stroke-width: 1; }",
    *(f".c{number} {{ fill: var(--c{number}); stroke: var(--c{number}); }}" for number in range(len(LIGHT))),
])  # fmt: skip


def palette(colours: Iterable[str]) -> str:
    """Return the colours as properties of CSS."""
    return "; ".join(f"--c{number}: {colour}" for number, colour in enumerate(colours))


def symbol(mark: Mark) -> str:
    """Return a small drawing of a mark, for a legend."""
    return f'<svg viewBox="-7 -7 14 14" width="14" height="14" aria-hidden="true">{_shape(mark, 5, 0, 0)}</svg>'


def radius(params: int) -> float:
    """Return a mark's radius in pixels: its area grows by the parameters, and the smallest can still be hit."""
    return round(2.5 + 11 * math.sqrt(params / 1e9), 1)


def with_unit(number: float) -> str:
    """Return a number of an axis: 500M, 1G, 20T."""
    power = min(int(math.log10(number) + 1e-9) // 3, 4)
    return f"{number / 1000**power:g}{['', 'k', 'M', 'G', 'T'][power]}"


def _shape(mark: Mark | None, r: float, x: object, y: object) -> str:
    shape, colour = mark or Mark("triangle", len(LIGHT) - 1)  # families beyond all marks share the last
    kind = f'class="m c{colour}"'
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{r}" {kind}/>'
    side = round(0.9 * r, 1)
    drawn = {
        "square": f'<rect x="{-side}" y="{-side}" width="{2 * side}" height="{2 * side}" {kind}/>',
        "diamond": f'<path d="M0 {-1.3 * r:.1f}L{1.3 * r:.1f} 0L0 {1.3 * r:.1f}L{-1.3 * r:.1f} 0Z" {kind}/>',
        "triangle": f'<path d="M0 {-1.2 * r:.1f}L{1.1 * r:.1f} {r * 0.8:.1f}H{-1.1 * r:.1f}Z" {kind}/>',
    }[shape]
    return f'<svg x="{x}" y="{y}">{drawn}</svg>'


def _across(shown: Sequence[Point]) -> Scale:
    """Logarithmic: powers of ten, and 2 and 5 between them where there is room."""
    low, high = (math.log10(end(point.multiply_adds for point in shown)) for end in (min, max))
    if high - low < 0.5:
        low, high = (low + high) / 2 - 0.25, (low + high) / 2 + 0.25
    steps = (1,) if high - low > 2 else (1, 2, 5)
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]

    def place(number: float) -> float:
        return LEFT + (RIGHT - LEFT) * (math.log10(number) - low) / (high - low)

    return Scale(place, [tick for tick in ticks if 1 < place(tick) < 99])


def _down(shown: Sequence[Point]) -> Scale:
    """Linear, from the top down; about six lines."""
    low, high = (end(point.value for point in shown) for end in (min, max))
    if high - low < 1:
        low, high = (low + high) / 2 - 0.5, (low + high) / 2 + 0.5
    step = next(step for step in (0.2, 0.5, 1, 2, 5, 10, 20) if (high - low) / step <= 7)
    ticks = [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return Scale(lambda number: BOTTOM - (BOTTOM - TOP) * (number - low) / (high - low), ticks)
