"""The verb that takes the time: benchmark."""

from __future__ import annotations

from typing import Any

import click

from videohub.cli.options import PRECISIONS, print_json, with_device, with_json


@click.command()
@click.argument("name")
@with_device
@click.option("--precision", default="auto", show_default=True, type=click.Choice(PRECISIONS))
@click.option("--batch", type=click.IntRange(min=1), help="Views at once.  [default: as many as verify takes]")
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="How long to go on; three turns are taken in any case.",
)
@with_json
def benchmark(name: str, as_json: bool, **settings: Any) -> None:
    """Time the network of a record on frames of noise, beside the fastest that this machine could be.

    Nothing is fetched: the weights are random. Decoding and preparing frames are not part of it. A record of AVA sees
    frames of 4:3 with one box.
    """
    from videohub.timing import speed

    found = speed(name, **settings)
    if as_json:
        print_json(found)
    else:
        from videohub.terminal.timing import print_speed

        print_speed(found)
