"""The verb compare: two runs on the same videos."""

from __future__ import annotations

from pathlib import Path

import click

from videohub.terminal.options import print_json, with_json


@click.command("compare")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@with_json
def command(a: Path, b: Path, as_json: bool) -> None:
    """Compare two runs on the same videos, A and B: the difference, its interval, and a McNemar test."""
    from videohub.reporting.comparison import compare as run
    from videohub.terminal.measuring import print_paired

    paired = run(a, b)
    if as_json:
        print_json(paired)
    else:
        print_paired(paired)
