"""The verb bundle: what a machine without a connection needs, in one file."""

from __future__ import annotations

from pathlib import Path

import click

from videohub.terminal import completion
from videohub.terminal.layout import say
from videohub.terminal.options import print_json, with_checkpoint, with_json


@click.command("bundle")
@click.argument("names", nargs=-1, required=True, shell_complete=completion.record)
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The .tar to write.")
@with_checkpoint
@with_json
def command(names: tuple[str, ...], out: Path, checkpoint: Path | None, as_json: bool) -> None:
    """Pack records into one file for a machine without a connection.

    It holds their published files and labels, too. There, `videohub unbundle` installs it.
    """
    from videohub.cache_admin import bundle_pack

    if checkpoint is not None and len(names) > 1:
        raise click.UsageError(f"--checkpoint is one file, and {len(names)} records were named")
    written = bundle_pack.bundle(names, out, checkpoint=checkpoint)
    if as_json:
        print_json(written)
        return
    say(f"{written.out}: {_bytes(written.size)}, sha256 {written.sha256}")
    width = max(len(member.name) for member in written.members)
    for member in written.members:
        say(f"  {member.name:<{width}}  {_bytes(member.size):>17}  {member.sha256[:16]}…")


def _bytes(size: int) -> str:
    return f"{size:,} bytes"
