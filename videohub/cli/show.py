"""The verb show: everything about one record."""

from __future__ import annotations

import click

from videohub import registry
from videohub.terminal import completion
from videohub.terminal.options import print_json, with_json


@click.command("show")
@click.argument("name", shell_complete=completion.record)
@with_json
def command(name: str, as_json: bool) -> None:
    """Show everything that is known of one record."""
    record = registry.record(name)
    if as_json:
        print_json(record)
    else:
        from videohub.terminal import zoo as terminal

        terminal.print_record(record, registry.default().namesakes(record))
