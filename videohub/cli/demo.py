"""The verb demo: a data set with nothing to download."""

from __future__ import annotations

import click

from videohub.terminal import options
from videohub.terminal.layout import hand_over


@click.command("demo")
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--clips", default=320, show_default=True, type=options.COUNT, help="How many videos.")
@options.with_json
def command(folder: str, clips: int, as_json: bool) -> None:
    """Write the embedded data set into FOLDER.

    It is short videos of ten motions, and their list.
    """
    from videohub.data.synthetic import motions

    listing = str(motions.generate(folder, clips=clips))
    if as_json:
        options.print_json({"list": listing, "clips": clips})
    else:
        hand_over(listing)
