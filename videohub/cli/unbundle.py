"""The verb unbundle: what a bundle holds into the cache of this machine."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from videohub import registry
from videohub.terminal import options
from videohub.terminal.layout import say


@click.command("unbundle")
@click.argument("file", type=options.PATH)
@options.with_json
def command(file: Path, as_json: bool) -> None:
    """Install what `videohub bundle` packed into FILE.

    It is all of it or, if anything is wrong, nothing. Afterwards the records of the bundle load without a connection.
    """
    from videohub.cache_admin import bundle_install

    unbundled = bundle_install.unbundle(file)
    if as_json:
        options.print_json(unbundled)
        return
    say(f"{unbundled.bundle}: sha256 {unbundled.sha256}")
    width = max(len(each.record) for each in unbundled.records)
    for each in unbundled.records:
        say(f"  {each.record:<{width}}  {each.state}: {each.weights}")
        if each.vouched_by == "bundle":
            say(f"  {'':<{width}}  that it is from the published file, nothing here says but this bundle")
    if unbundled.registry:
        paths = [path for path in os.environ.get(registry.VARIABLE, "").split(os.pathsep) if path]
        if unbundled.registry not in paths:
            paths.append(unbundled.registry)
        say("Some of its records are not known here yet. For `videohub` to find them, say")
        say(f"export {registry.VARIABLE}={shlex.quote(os.pathsep.join(paths))}")
