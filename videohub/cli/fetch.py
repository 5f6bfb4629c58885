"""The verb fetch: published files into the cache."""

from __future__ import annotations

from pathlib import Path

import click

from videohub import registry
from videohub.terminal import options
from videohub.terminal.layout import hand_over


@click.command("fetch")
@click.argument("names", nargs=-1, required=True, shell_complete=options.complete_record)
@options.with_checkpoint
@options.with_ignore
@options.with_json
def command(names: tuple[str, ...], checkpoint: Path | None, ignore: tuple[str, ...], as_json: bool) -> None:
    """Download, prove and convert records into the cache.

    Prints where their weights lie.
    """
    from videohub import weights

    options.check_one_record(names, checkpoint)
    records = [registry.record(name) for name in names]  # all of them, before the first one takes its time
    paths = {}
    for record in records:
        paths[record.name] = str(weights.fetch(record, checkpoint=checkpoint, ignore=ignore))
        if not as_json:
            hand_over(paths[record.name])
    if as_json:
        options.print_json(paths)
