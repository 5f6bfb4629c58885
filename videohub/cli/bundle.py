"""The verb bundle: what a machine without a connection needs, in one file."""

from __future__ import annotations

from pathlib import Path

import click

from videohub.formatting import counted
from videohub.terminal import options
from videohub.terminal.layout import say


@click.command("bundle")
@click.argument("names", nargs=-1, required=True, shell_complete=options.complete_record)
@click.option("-o", "--out", required=True, type=options.FILE, help="The .tar to write.")
@options.with_checkpoint
@options.with_json
def command(names: tuple[str, ...], out: Path, checkpoint: Path | None, as_json: bool) -> None:
    """Pack records into one file for a machine without a connection.

    It holds their published files and labels, too. There, `videohub unbundle` installs it.
    """
    from videohub.cache_admin import bundle_pack

    options.check_one_record(names, checkpoint)
    written = bundle_pack.bundle(names, out, checkpoint=checkpoint)
    if as_json:
        options.print_json(written)
        return
    say(f"{written.out}: {counted(written.size, 'byte')}, sha256 {written.sha256}")
    width = max(len(member.name) for member in written.members)
    for member in written.members:
        say(f"  {member.name:<{width}}  {counted(member.size, 'byte'):>17}  {member.sha256[:16]}…")
