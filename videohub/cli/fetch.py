"""The verb fetch: published files into the cache."""

from __future__ import annotations

from pathlib import Path

import click

from videohub import registry
from videohub.terminal import completion
from videohub.terminal.layout import hand_over
from videohub.terminal.options import print_json, with_checkpoint, with_ignore, with_json


@click.command("fetch")
@click.argument("names", nargs=-1, required=True, shell_complete=completion.record)
@with_checkpoint
@with_ignore
@with_json
def command(names: tuple[str, ...], checkpoint: Path | None, ignore: tuple[str, ...], as_json: bool) -> None:
    """Download, prove and convert records into the cache.

    Prints where their weights lie.
    """
    from videohub import weights

    if checkpoint is not None and len(names) > 1:
        raise click.UsageError(f"--checkpoint is one file, and {len(names)} records were named")
    records = [registry.record(name) for name in names]  # all of them, before the first one takes its time
    paths = {}
    for record in records:
        paths[record.name] = str(weights.fetch(record, checkpoint=checkpoint, ignore=ignore))
        if not as_json:
            hand_over(paths[record.name])
    if as_json:
        print_json(paths)
