"""The verb demo: a data set with nothing to download."""

from __future__ import annotations

from pathlib import Path

import click

from videohub.terminal.layout import hand_over
from videohub.terminal.options import print_json, with_json


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--clips", default=320, show_default=True, type=click.IntRange(min=1), help="How many videos.")
@with_json
def command(folder: Path, clips: int, as_json: bool) -> None:
    """Write the embedded data set into FOLDER.

    It is short videos of ten motions, and their list.
    """
    from videohub.data.synthetic import motions

    listing = str(motions.generate(folder, clips=clips))
    if as_json:
        print_json({"list": listing, "clips": clips})
    else:
        hand_over(listing)
