"""The verb data: a data set, looked at before any model time is spent on it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from videohub.terminal import completion
from videohub.terminal.options import print_json, with_data, with_json, with_labels, with_root


@click.group("data")
def command() -> None:
    """Look at a data set before any model time is spent on it."""


@command.command()
@click.argument("name", shell_complete=completion.record)
@with_data
@with_root
@with_labels
@click.option("--deep", is_flag=True, help="Also decode every video to its end.")
@with_json
def check(name: str, data: Path, root: Path | None, labels: str | None, deep: bool, as_json: bool) -> None:
    """Compare DATA with what the protocol of a record expects: missing, broken, short, oddly sized, misnumbered videos.

    Exit code: 0 usable, 3 not usable.
    """
    from videohub import preflight
    from videohub.cli.options import told_progress
    from videohub.terminal.measuring import print_check

    with told_progress() as progress:
        found = preflight.check(name, data, root=root, labels=labels, deep=deep, index=preflight.index_beside(data),
                                progress=progress)  # fmt: skip
    if as_json:
        print_json(found)
    else:
        print_check(found)
    sys.exit(3 if found.verdict == "not usable" else 0)
