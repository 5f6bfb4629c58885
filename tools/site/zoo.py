"""The zoo's page of the site: every record in a table and in a plot, which `docs/assets/zoo.js` filters and sorts.

All that can be seen is in the page itself: without the script it is whole, and is neither filtered nor sorted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from tools import zoo_page, zoo_plot
from tools.zoo_plot import Mark, Point
from videohub.escaping import in_html, in_narrow_html
from videohub.formatting import with_letter
from videohub.registry import Record, Registry

PROOFS = {"original": "the original", "other": "another implementation", "unproven": "unproven"}


class Column(NamedTuple):
    """A column of the table: its name in the page's address, its title, and whether there is a filter for it.

    `kind` is its class: `n` holds numbers, which are sorted as such; `w` may have its words on several lines.
    """

    key: str
    title: str
    kind: str = ""
    filtered: bool = False


class Cell(NamedTuple):
    """What a cell shows, as HTML; what it is sorted and filtered by, if that is not its text; what hovering tells."""

    html: str
    value: str | None = None
    title: str | None = None


COLUMNS = (
    Column("record", "Record"),
    Column("number", "Number, %", "n"),
    Column("params", "Params", "n"),
    Column("cost", "Multiply-adds", "n"),
    Column("clip", "Clip", "n"),
    Column("data", "Data set", "w", filtered=True),
    Column("family", "Family", filtered=True),
    Column("publisher", "Publisher", "w", filtered=True),
    Column("task", "Task", filtered=True),
    Column("licence", "Licence", filtered=True),
    Column("container", "Container", filtered=True),
    Column("proof", "Equal to", "w", filtered=True),
)


def pages(known: Registry) -> Iterator[tuple[str, str]]:
    """Yield the page, in place of `docs/zoo.md`, which is for readers of the repository."""
    yield "zoo.md", page(known)


def page(known: Registry) -> str:
    """Return the page, in Markdown that is HTML for the most part; every word of a record is escaped."""
    html = "\n".join([*_controls(known), *_plots(known), *_table(known)])
    return f"""\
---
hide: [navigation, toc]
---
# The zoo

{len(known.records)} published checkpoints, as the registry has them. The number is what the publisher states for the
views of the record's protocol; parameters and multiply-adds are counted from the network, for one view. "Equal to"
tells whose network ours was compared with, [as below](#what-was-checked-against-what). A licence marked "repo." is that
of the publisher's repository, which states none for the file.

<link rel="stylesheet" href="assets/zoo.css">
<script src="assets/zoo.js" defer></script>
<section id="zoo" data-search-exclude>
{html}
</section>

## What was checked against what

{zoo_page.CHECKED}"""


def href(record: Record) -> str:
    """Return where a record's page is, from the zoo's."""
    return f"records/{quote(record.name)}.html"


def _controls(known: Registry) -> Iterator[str]:
    """Yield what filters; the script fills in what can be chosen, and shows it."""
    yield '<form id="zoo-filters" role="search" aria-label="Records" hidden>'
    yield '<label class="wide">Search<input type="search" name="q" placeholder="Name, publisher, paper …"></label>'
    for column in COLUMNS:
        if column.filtered:
            yield f'<label>{column.title}<select name="{column.key}"><option value="">all</option></select></label>'
    yield '<button type="reset">Clear</button>'
    yield f'<output id="zoo-count" aria-live="polite">{len(known.records)} records</output>'
    yield "</form>"


def _plots(known: Registry) -> Iterator[str]:
    """Yield a plot for each data set and metric; all but the first are hidden until they are chosen."""
    marked, plots = zoo_plot.marks(known), zoo_plot.points(known)
    light, dark = zoo_plot.palette(zoo_plot.LIGHT), zoo_plot.palette(zoo_plot.DARK)
    rules = "\n".join(f".zoo-plot {rule}" for rule in zoo_plot.STYLE.splitlines())
    yield f'<style>#zoo {{ {light} }}\n[data-md-color-scheme="slate"] #zoo {{ {dark} }}\n{rules}</style>'
    yield '<div id="zoo-plots" role="region" aria-label="Plot">'
    yield '<label class="plot" hidden>Plot<select name="plot">'
    for (dataset, metric), shown in plots.items():
        title = in_html(f"{known.datasets[dataset].title}, {metric}")
        name = in_html(f"{dataset} {metric}")
        yield f'<option value="{name}" data-title="{title}">{title}: {len(shown)}</option>'
    yield "</select></label>"
    for number, ((dataset, metric), shown) in enumerate(plots.items()):
        yield from _plot(known.datasets[dataset].title, dataset, metric, shown, marked, hidden=number > 0)
    yield '<p id="zoo-none" hidden>None of these records has this number.</p>'
    sizes = (
        f'<svg width="{2 * size:.0f}" height="{2 * size:.0f}" aria-hidden="true"><circle cx="50%" cy="50%" '
        f'r="{size - 1}" class="m c6"/></svg>{zoo_plot.with_unit(params)}'
        for params in zoo_plot.SIZES
        for size in [zoo_plot.radius(params) + 1]
    )
    yield f'<ul class="zoo-plot zoo-sizes"><li>parameters:</li>{"".join(f"<li>{size}</li>" for size in sizes)}</ul>'
    yield '<div id="zoo-tip" role="tooltip" hidden></div>'
    yield "</div>"


def _plot(
    title: str, dataset: str, metric: str, shown: list[Point], marked: dict[str, Mark], *, hidden: bool
) -> Iterator[str]:
    label = f"{title}, {metric}, against multiply-adds; the arrow keys go from record to record"
    name = in_html(f"{dataset} {metric}")
    yield f'<figure class="zoo-plot" data-plot="{name}"{" hidden" if hidden else ""}>'
    yield f'<svg width="100%" height="100%" role="group" aria-label="{in_html(label)}">'
    yield zoo_plot.drawing(shown, marked, metric, href=href)
    yield "</svg><ul>"
    families = {point.record.family for point in shown}
    yield "".join(
        f'<li data-family="{in_html(family)}">{zoo_plot.symbol(mark)}{in_html(family)}</li>'
        for family, mark in marked.items()
        if family in families
    )
    yield "</ul></figure>"


def _table(known: Registry) -> Iterator[str]:
    yield '<div id="zoo-table" role="region" aria-label="Table of the records" tabindex="0">'
    yield '<table class="zoo"><thead><tr>'
    for column in COLUMNS:
        head = f'scope="col" data-key="{column.key}" class="{column.kind}"'
        yield f'<th {head}><button type="button">{column.title}</button></th>'
    yield "</tr></thead><tbody>"
    for record in known.records.values():
        also = in_html(" ".join([record.upstream_name, *record.aliases, record.paper, record.training]))
        cells = "".join(map(_cell, COLUMNS, _cells(known, record)))
        yield f'<tr data-also="{also}">{cells}</tr>'
    yield "</tbody></table></div>"


def _cells(known: Registry, record: Record) -> tuple[Cell, ...]:
    cost, publisher = known.costs.get(record.name), known.publishers.get(record.publisher or "")
    name, status = in_narrow_html(record.name), "" if record.status == "available" else f" <b>{record.status}</b>"
    clip, frames = "image", record.frames or 1
    if record.frames:
        clip = f"{record.frames} x {record.rate}" if record.rate else str(record.frames)
    stated, numbers = licence(record.checkpoint.license), record.number.numbers() if record.number else {}
    first = next(iter(numbers.items()), None)
    number = Cell("", "")
    if first is not None:
        all_numbers = ", ".join(f"{metric} {value:g}" for metric, value in numbers.items())
        number = Cell(f"{first[1]} <small>{in_html(first[0])}</small>", f"{first[1]}", all_numbers)
    return (
        Cell(f'<a href="{in_html(href(record))}">{name}</a>{status}', record.name),
        number,
        Cell(with_letter(cost.params), str(cost.params)) if cost else Cell("", ""),
        Cell(with_letter(cost.multiply_adds), str(cost.multiply_adds)) if cost else Cell("", ""),
        Cell(clip, str(frames + (record.rate or 0) / 1000)),
        Cell(in_html(record.dataset.title)),
        Cell(in_html(record.family)),
        Cell(in_html(publisher.title if publisher else record.publisher or "others")),
        Cell(in_html(record.task)),
        Cell(in_html(stated).replace(" (repository)", " <small>repo.</small>"), stated, record.checkpoint.license),
        Cell(in_html(record.checkpoint.container or "not known")),
        Cell(PROOFS[zoo_page.proof_state(record)], None, _compared_with(record)),
    )


def _cell(column: Column, cell: Cell) -> str:
    value = "" if cell.value is None else f' data-v="{in_html(cell.value)}"'
    title = "" if cell.title is None else f' title="{in_html(cell.title)}"'
    tag, end = ('th scope="row"', "th") if column.key == "record" else ("td", "td")
    kind = f' class="{column.kind}"' if column.kind else ""
    return f"<{tag}{kind}{value}{title}>{cell.html}</{end}>"


def _compared_with(record: Record) -> str:
    proof = record.proof
    return "its very configuration was not compared" if proof is None else str(proof.golden or proof.reference)


def licence(stated: str) -> str:
    """Return the licences that a publisher's sentence names, and whether it states them for the file at all."""
    names = re.findall(r"\b(?:Apache-\d\.\d|MIT|BSD-\d-Clause|(?:CC-BY|CC0|GPL|LGPL|MPL)[\w-]*[ -]\d\.\d)", stated)
    named = " / ".join(dict.fromkeys(name.replace(" ", "-") for name in names))
    if not named:
        return stated if len(stated) <= 40 else f"{stated[:39]}…"
    return f"{named} (repository)" if stated.startswith("not stated") else named
