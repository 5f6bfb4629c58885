"""The verb compare: two runs on the same videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from videohub.formatting import counted, interval
from videohub.terminal import options
from videohub.terminal.layout import console, styled, table

if TYPE_CHECKING:
    from videohub.reporting.comparison import Paired


@click.command("compare")
@click.argument("a", type=options.PATH)
@click.argument("b", type=options.PATH)
@options.with_json
def command(a: Path, b: Path, as_json: bool) -> None:
    """Compare two runs on the same videos, A and B.

    Prints the difference, its interval, and a McNemar test.
    """
    from videohub.reporting import comparison

    options.print_result(comparison.compare(a, b), as_json, print_paired)


def print_paired(paired: Paired) -> None:
    """Print two runs on the same videos: their numbers, the difference, and whether it can be chance."""
    from videohub.reporting.words import origin_of

    screen, rows = console(), table()
    screen.print(styled(f"{paired.metric} on {paired.common} videos of {paired.dataset} that both have", style="bold"))
    for heading in ("", "model", "views", "precision", paired.metric):
        rows.add_column(heading, justify="right" if heading == paired.metric else "left", no_wrap=heading != "model")
    sides = (("A", paired.first), ("B", paired.second))
    for letter, side in sides:
        rows.add_row(letter, side.record, side.views, side.precision, f"{side.value:.2f}")
    screen.print(rows)
    for letter, side in sides:
        for file in side.weights_files:
            screen.print(styled(f"{letter}: {origin_of(file)}", "dim"))
    screen.print(f"A - B: {paired.difference:+.2f} points, 95 % interval {interval(paired.interval, signed=True)}")
    if (pairs := paired.discordance) is not None:
        screen.print(f"both right {pairs.both}, A alone {pairs.first_only}, B alone {pairs.second_only}, "
                     f"neither {pairs.neither}; McNemar's test: p = {pairs.p_value:.3g}")  # fmt: skip
    for letter, side in sides:
        if side.alone:
            screen.print(styled(f"left out: {counted(side.alone, 'video')} that {letter} alone has scored", "yellow"))
    screen.print(styled(paired.answer, style="bold"))
