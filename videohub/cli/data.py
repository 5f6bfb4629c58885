"""The verb data: a data set, looked at before any model time is spent on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from videohub.terminal import options
from videohub.terminal.layout import coloured, console, facts, indented, styled

if TYPE_CHECKING:
    from videohub.formatting import Spread
    from videohub.preflight import Check

_SHOWN = 5  # frame rates


@click.group("data")
def command() -> None:
    """Look at a data set before any model time is spent on it."""


@command.command()
@options.with_name
@options.with_data
@options.with_root
@options.with_list
@options.with_labels
@options.with_label_map
@click.option("--deep", is_flag=True, help="Also decode every video to its end.")
@options.with_json
def check(name: str, data: str, as_json: bool, **chosen: Any) -> None:
    """Compare DATA with what the protocol of a record expects: missing, broken, short, oddly sized, misnumbered videos.

    Exit code: 0 usable, 3 not usable.
    """
    from videohub import preflight

    with options.progress_bar() as progress:
        result = preflight.check(name, data, index=preflight.index_beside(data), progress=progress, **chosen)
    options.print_result(result, as_json, print_check)
    sys.exit(3 if result.verdict == "not usable" else 0)


def print_check(check: Check) -> None:
    """Print what a data set is, what is wrong with it, and whether it can be used."""
    screen = console()
    screen.print(styled(f"{check.record}: {check.expected.dataset}, {check.expected.split}", style="bold"))
    screen.print(facts(_counts(check)))
    for finding in check.findings:
        screen.print(indented(finding.text, "red" if finding.fatal else "yellow"))
        for name, detail in list(finding.samples.items())[:3]:
            screen.print(indented(f"{name}: {detail}" if detail else name, "dim", left=4))
    for note in check.notes:
        screen.print(styled(note, "dim"))
    screen.print("verdict:", coloured(check.verdict))
    if not check.findings:
        screen.print(indented("; ".join(check.reasons)))


def _counts(check: Check) -> Iterator[tuple[str, str]]:
    reference = f" of {check.expected.samples:,} in the reference" if check.expected.samples else ""
    yield "listed", f"{check.listed:,}{reference}"
    yield "found", f"{check.found:,}, of which {check.usable:,} usable"
    yield "missing", f"{check.missing:,}"
    yield "unreadable", f"{check.unreadable:,}" + ("" if check.deep else " (headers; --deep decodes everything)")
    if check.short_sides is not None:
        yield "short side", _spread(check.short_sides, "px")
    if check.seconds is not None:
        yield "length", _spread(check.seconds, "s")
    if rates := sorted(check.frame_rates.items(), key=lambda rate: -rate[1]):
        most = ", ".join(f"{rate} ({count:,})" for rate, count in rates[:_SHOWN])
        yield "frame rates", most + (", …" if len(rates) > _SHOWN else "")
    present = sum(count > 0 for count in check.classes.counts)
    yield "classes", f"{present} of {check.expected.classes} occur"
    if (keyframes := check.keyframes) is not None:
        yield "key frames", f"{keyframes.key_frames:,} in {keyframes.videos} videos, {keyframes.boxes:,} boxes"


def _spread(values: Spread, unit: str) -> str:
    if values.least == values.most:
        return f"{values.median:.4g} {unit}"
    return f"{values.least:.4g} to {values.most:.4g} {unit}, median {values.median:.4g}"
