"""The verb list: which records there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import click

from videohub import registry
from videohub.formatting import counted, with_letter
from videohub.registry import Cost, Sort
from videohub.registry.lookup import MARKS, Entry
from videohub.terminal import options
from videohub.terminal.layout import print_columns, tell

_SIGNS = {"NC": "NC", "unproven": "?"}  # of marks, in a narrow column


@click.command("list")
@click.argument("pattern", default="*", shell_complete=options.complete_record)
@click.option(
    "--dataset",
    shell_complete=options.complete_field("dataset"),
    help="kinetics400, ava (every version), kinetics (every one), ssv2, …",
)
@click.option(
    "--arch", shell_complete=options.complete_field("arch"), help="An architecture, such as i3d*; * and ? match."
)
@click.option("--depth", shell_complete=options.complete_field("depth"), help="R50, R101.")
@click.option(
    "--status", shell_complete=options.complete_field("status"), help="available, manual, unreleased, broken, program."
)
@click.option(
    "--publisher",
    shell_complete=options.complete_field("publisher"),
    help="Who published it: pyslowfast; * and ? match.",
)
@click.option("--task", shell_complete=options.complete_field("task"), help="classification, detection, features.")
@click.option(
    "--min-top1", type=click.FloatRange(0, 100), metavar="PERCENT", help="At least so accurate, as published."
)
@click.option(
    "--sort",
    type=click.Choice(get_args(Sort), case_sensitive=False),
    help="The best, the smallest or the cheapest first.  [default: as the registry has them]",
)
@options.with_json
def command(pattern: str, as_json: bool, min_top1: float | None, sort: Sort | None, **filters: str | None) -> None:
    """List the records that fit PATTERN and the filters.

    PATTERN is of names; * and ? match.
    """
    known = registry.default(keep=True)
    names = known.select(pattern, min_top1=min_top1, sort=sort, **filters)
    if as_json:
        options.print_json([known.whole(known.records[name]) for name in names])
    elif not names:
        tell(known.why_none(pattern, min_top1=min_top1, **filters))
    else:
        print_entries([known.entries[name] for name in names], known.costs, sort)


def print_entries(entries: Sequence[Entry], costs: Mapping[str, Cost], sort: Sort | None) -> None:
    """Print one line a record; what a narrow terminal has no room for is told by `show` and --json.

    What records are sorted by goes last of all.
    """
    marked = {mark for entry in entries for mark in entry.marks}
    rows = [
        (
            entry.name,
            entry.dataset_in_tables,
            _clip(entry),
            *_numbers(entry.numbers),
            *_cost(costs.get(entry.name)),
            *([" ".join(_SIGNS[mark] for mark in entry.marks)] if marked else []),
            entry.status,
        )
        for entry in entries
    ]
    summary = (
        f"{counted(len(entries), 'record')}; published: top-1 and top-5 in per cent, or mAP;\n"
        "counted: parameters, and multiply-adds (MACs) of one view"
    )
    for mark in filter(marked.__contains__, MARKS):
        summary += f"\n{_SIGNS[mark]}: {'' if _SIGNS[mark] == mark else f'{mark}: '}{MARKS[mark]}"
    header = ("name", "data", "clip", "top-1", "top-5", "params", "MACs", *(["marks"] if marked else []), "status")
    sorted_by = {"params": "params", "flops": "MACs"}.get(sort or "")
    dispensable = sorted(("top-5", "MACs", "params", "clip", "data"), key=lambda column: column == sorted_by)
    print_columns(header, rows, summary, dispensable=dispensable)


def _clip(entry: Entry) -> str:
    """Return frames x rate as the table prints them, which may have no rate."""
    if not entry.frames:
        return "image"
    return f"{entry.frames}x{entry.rate}" if entry.rate else str(entry.frames)


def _numbers(numbers: Mapping[str, float]) -> tuple[str, str]:
    """Return top-1 and top-5, or the first number of another metric by its name."""
    if "top-1" in numbers or not numbers:
        first, second = numbers.get("top-1"), numbers.get("top-5")
        return "–" if first is None else f"{first:.1f}", "–" if second is None else f"{second:.1f}"
    name, number = next(iter(numbers.items()))
    return f"{name} {number:.1f}", ""


def _cost(cost: Cost | None) -> tuple[str, str]:
    """Return parameters and multiply-adds, with three digits."""
    return ("–", "–") if cost is None else (with_letter(cost.params), with_letter(cost.multiply_adds))
