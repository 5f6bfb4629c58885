"""The verbs for machines without a connection: bundle, unbundle."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from videohub import registry
from videohub.cli import completion
from videohub.cli.options import print_json, with_checkpoint, with_json
from videohub.terminal.layout import say


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=completion.record)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The .tar to write.")
@with_checkpoint
@with_json
def bundle(names: tuple[str, ...], out: Path, checkpoint: Path | None, as_json: bool) -> None:
    """Pack published files, records and labels into one file for a machine without a connection.

    There, `videohub unbundle` installs it.
    """
    from videohub.bundles import packing

    if checkpoint is not None and len(names) > 1:
        raise click.UsageError(f"--checkpoint is one file, and {len(names)} records were named")
    written = packing.bundle(names, out, checkpoint=checkpoint)
    if as_json:
        print_json(written)
        return
    say(f"{written.out}: {_bytes(written.size)}, sha256 {written.sha256}")
    width = max(len(member.name) for member in written.members)
    for member in written.members:
        say(f"  {member.name:<{width}}  {_bytes(member.size):>17}  {member.sha256[:16]}…")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_json
def unbundle(file: Path, as_json: bool) -> None:
    """Install what `videohub bundle` packed into FILE; all of it or, if anything is wrong, nothing.

    Afterwards the records of the bundle load without a connection.
    """
    from videohub.bundles import unpacking

    found = unpacking.unbundle(file)
    if as_json:
        print_json(found)
        return
    say(f"{found.bundle}: sha256 {found.sha256}")
    width = max(len(each.record) for each in found.records)
    for each in found.records:
        say(f"  {each.record:<{width}}  {each.state}: {each.weights}")
        if each.vouched_by == "bundle":
            say(f"  {'':<{width}}  that it is from the published file, nothing here says but this bundle")
    if found.registry:
        paths = [path for path in os.environ.get(registry.VARIABLE, "").split(os.pathsep) if path]
        if found.registry not in paths:
            paths.append(found.registry)
        say("Some of its records are not known here yet. For `videohub` to find them, say")
        say(f"export {registry.VARIABLE}={shlex.quote(os.pathsep.join(paths))}")


def _bytes(size: int) -> str:
    return f"{size:,} bytes"
