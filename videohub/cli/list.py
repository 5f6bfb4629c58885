"""The verb list: which records there are."""

from __future__ import annotations

import click

from videohub import registry
from videohub.terminal import completion
from videohub.terminal.layout import tell
from videohub.terminal.options import print_json, with_json


@click.command("list")
@click.argument("pattern", default="*", shell_complete=completion.record)
@click.option(
    "--dataset",
    shell_complete=completion.dataset,
    help="kinetics400, ava (every version), kinetics (every one), ssv2, …",
)
@click.option(
    "--arch", shell_complete=completion.arch, help="c2d, i3d, i3d_nln, slow, slowfast, resnet; * and ? match."
)
@click.option("--depth", shell_complete=completion.depth, help="R50, R101.")
@click.option("--status", shell_complete=completion.status, help="available, unreleased, broken.")
@click.option("--publisher", shell_complete=completion.publisher, help="Who published it: pyslowfast; * and ? match.")
@with_json
def command(pattern: str, as_json: bool, **filters: str | None) -> None:
    """List the records whose name matches PATTERN (* and ? match) and that fit the filters."""
    known = registry.default()
    records = [known.records[name] for name in known.select(pattern, **filters)]
    if as_json:
        print_json(records)
    elif not records:
        tell(known.why_none(pattern, **filters))
    else:
        from videohub.terminal import zoo as terminal

        terminal.print_records(records)
