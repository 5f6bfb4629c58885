"""The verb registry: check a file of one's own, or begin one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from videohub import registry
from videohub.errors import RegistryError
from videohub.formatting import counted
from videohub.terminal import completion
from videohub.terminal.layout import hand_over, say, tell
from videohub.terminal.options import print_json, with_json

if TYPE_CHECKING:
    from videohub.registry.messages import Message


@click.group("registry")
def command() -> None:
    """Check a registry file of your own, or begin one."""


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_json
def check(file: Path, as_json: bool) -> None:
    """Tell everything that is wrong with a registry FILE and the key tables beside it; exits 1 if anything is."""
    from videohub.registry import reading, strict_yaml
    from videohub.registry.messages import BrokenRegistryError, message

    path, others = file.expanduser().resolve(), registry.files()
    errors: tuple[Message, ...] = ()
    records: list[str] = []
    try:
        before = reading.read([other for other in others if other != path])
        own = strict_yaml.read(path).value["records"] if path in map(Path.resolve, before.files) else ()  # is included
        records = [name for name in reading.read([*others, path]).records if name in own or name not in before.records]
        if (path.parent / "converters").is_dir():
            from videohub import architectures
            from videohub.convert import tables

            errors = tuple(tables.errors_beside(path, architectures.families()))
    except BrokenRegistryError as error:
        errors = error.messages
    except RegistryError as error:  # it cannot be read at all
        errors = (message(path, (), f"cannot be read: {error}"),)
    if as_json:
        print_json({"file": str(path), "records": records, "errors": errors})
    elif errors:
        tell("\n".join(map(str, errors)))
        tell(f"{counted(len(errors), 'error')}.")
    else:
        say(f"{path}: {counted(len(records), 'record')}, nothing wrong")
    if errors:
        sys.exit(1)


@command.command()
@click.option("--from", "like", required=True, metavar="RECORD", shell_complete=completion.record,
              help="The record that yours is most like.")  # fmt: skip
@click.option("--name", help="What yours is called.  [default: my_RECORD]")
@with_json
def new(like: str, name: str | None, as_json: bool) -> None:
    """Print a registry file to edit, of one record, which passes the check as it is."""
    from videohub.registry import writing

    text = writing.draft(registry.record(like), name, known=registry.default().protocols)
    if as_json:
        print_json({"text": text})
    else:
        hand_over(*text.rstrip("\n").split("\n"))
