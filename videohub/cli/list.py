"""The verb list: which records there are."""

from __future__ import annotations

from collections.abc import Sequence

import click

from videohub import registry
from videohub.formatting import counted
from videohub.registry.schema import Published, Record
from videohub.terminal import completion
from videohub.terminal.layout import print_columns, tell
from videohub.terminal.options import print_json, with_json


@click.command("list")
@click.argument("pattern", default="*", shell_complete=completion.record)
@click.option(
    "--dataset",
    shell_complete=completion.dataset,
    help="kinetics400, ava (every version), kinetics (every one), ssv2, …",
)
@click.option("--arch", shell_complete=completion.arch, help="An architecture, such as i3d*; * and ? match.")
@click.option("--depth", shell_complete=completion.depth, help="R50, R101.")
@click.option("--status", shell_complete=completion.status, help="available, manual, unreleased, broken, program.")
@click.option("--publisher", shell_complete=completion.publisher, help="Who published it: pyslowfast; * and ? match.")
@click.option("--task", shell_complete=completion.task, help="classification, detection, features.")
@with_json
def command(pattern: str, as_json: bool, **filters: str | None) -> None:
    """List the records whose name matches PATTERN (* and ? match) and that fit the filters."""
    known = registry.default(keep=True)
    records = [known.records[name] for name in known.select(pattern, **filters)]
    if as_json:
        print_json([record.whole() for record in records])
    elif not records:
        tell(known.why_none(pattern, **filters))
    else:
        print_records(records)


def print_records(records: Sequence[Record]) -> None:
    """Print one line a record, within 80 columns."""
    rows = [
        (
            record.name,
            record.dataset.short or record.dataset.name,
            f"{record.frames}x{record.rate}" if record.frames else "image",
            _numbers(record.number),
            record.status,
        )
        for record in records
    ]
    summary = f"{counted(len(records), 'record')}; published: top-1 / top-5 in per cent, or mAP"
    print_columns(("name", "data", "clip", "published", "status"), rows, summary)


def _numbers(published: Published | None) -> str:
    """Return the numbers, rounded; the table's last line tells what they are."""
    if published is None:
        return "–"
    numbers = published.numbers()
    return ("" if published.top1 is not None or not numbers else f"{next(iter(numbers))} ") + " / ".join(
        f"{number:.1f}" for number in numbers.values()
    )
