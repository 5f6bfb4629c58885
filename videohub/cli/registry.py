"""The verb registry: check a file of one's own, or begin one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from videohub import registry
from videohub.errors import AmbiguousNameError, RegistryError
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
    from videohub.registry import reader, strict_yaml
    from videohub.registry.messages import BrokenRegistryError, message

    path, others = file.expanduser().resolve(), registry.files()
    errors: tuple[Message, ...] = ()
    records: list[str] = []
    notes: list[str] = []
    try:
        before = reader.read([other for other in others if other != path])
        inside = strict_yaml.read(path).value["records"] if path in map(Path.resolve, before.files) else ()
        known = reader.read([*others, path])
        records = [name for name in known.records if name in inside or name not in before.records]
        notes = _taken_names(known, records)
        if (path.parent / "converters").is_dir():
            from videohub import architectures
            from videohub.convert import tables

            errors = tuple(tables.errors_beside(path, architectures.families()))
    except BrokenRegistryError as error:
        errors = error.messages
    except RegistryError as error:  # it cannot be read at all
        errors = (message(path, (), f"cannot be read: {error}"),)
    if as_json:
        print_json({"file": str(path), "records": records, "errors": errors, "notes": notes})
    else:
        tell_each = [*map(str, errors), *notes, *([f"{counted(len(errors), 'error')}."] if errors else [])]
        for words in tell_each:
            tell(words)
        if not errors:
            say(f"{path}: {counted(len(records), 'record')}, nothing wrong")
    sys.exit(1 if errors else 0)


def _taken_names(known: registry.Registry, ids: Sequence[str]) -> list[str]:
    """Return what to tell of ids and aliases that are other records' upstream names: those lead to them no more."""
    records = {name: record for name, record in known.records.items() if name not in ids}
    others = msgspec.structs.replace(known, records=records)
    upstream = {record.upstream_name.casefold() for record in records.values()}
    notes = []
    for id_ in ids:
        for name in (id_, *known.records[id_].aliases):
            with suppress(AmbiguousNameError):  # it led to no record before
                if name.casefold() in upstream:
                    notes.append(
                        f"{id_}: takes the name {name}, by which {others.find(name).name} was found without it"
                    )
    return notes


@command.command()
@click.option("--from", "like", required=True, metavar="RECORD", shell_complete=completion.record,
              help="The record that yours is most like.")  # fmt: skip
@click.option("--name", help="What yours is called.  [default: my_RECORD]")
@with_json
def new(like: str, name: str | None, as_json: bool) -> None:
    """Print a registry file to edit, of one record, which passes the check as it is."""
    from videohub.registry import writer

    text = writer.draft(registry.record(like), name)
    if as_json:
        print_json({"text": text})
    else:
        hand_over(*text.rstrip("\n").split("\n"))
