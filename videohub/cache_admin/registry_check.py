"""What is wrong with a registry file: what its reader says, and what only those know who use its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from videohub import architectures, models, registry
from videohub.building import check_takes
from videohub.convert import tables
from videohub.data import sets
from videohub.errors import AmbiguousNameError, RegistryError, UsageError
from videohub.registry import reader, strict_yaml
from videohub.registry.lookup import view_size
from videohub.registry.messages import BrokenRegistryError, Message, Steps, message
from videohub.registry.schema import DatasetInfo


class Check(msgspec.Struct, frozen=True):
    """The ids that a file adds, what is wrong with it or the tables beside it, and what else is worth telling."""

    records: list[str]
    errors: list[Message]
    notes: list[str]


def check(path: Path) -> Check:
    """Read a registry file beside ours and those in the environment; nothing that is wrong with it is raised."""
    others = registry.files()
    records: list[str] = []
    errors: list[Message] = []
    notes: list[str] = []
    try:
        before = reader.read([other for other in others if other != path])
        known = reader.read([*others, path], unread=_unread)
        inside = strict_yaml.read(path).value["records"] if path in map(Path.resolve, before.files) else ()
        records = [name for name in known.records if name in inside or name not in before.records]
        notes = _taken_names(known, records)
        errors += (message(path, ("records", *each), what) for each, what in _unbuilt(known, records))
    except BrokenRegistryError as error:
        errors += error.messages
    except RegistryError as error:  # it cannot be read at all
        errors.append(message(path, (), f"cannot be read: {error}"))
    if (path.parent / "converters").is_dir():
        errors += tables.errors_beside(path, architectures.families())
    return Check(records, errors, notes)


def _unread(dataset: DatasetInfo) -> str | None:
    """Return why nothing reads the lists of a data set that says what does."""
    try:
        if dataset.lists is not None:
            sets.reader_of(dataset)
    except UsageError as error:
        return str(error).removeprefix(f"{dataset.name}: ")
    return None


def _unbuilt(known: registry.Registry, ids: Sequence[str]) -> Iterator[tuple[Steps, str]]:
    """Yield the records whose networks cannot be built, or do not take the clips that they state, with why.

    A network that was counted beforehand was built, and did take them.
    """
    for record in map(known.records.__getitem__, ids):
        if record.name in known.costs:
            continue
        try:
            models.builder(record.family)
        except UsageError as error:
            yield (
                (record.name, "model", "family"),
                f"names what nothing builds: {str(error).removeprefix(f'{record.family}: ')}",
            )
            continue
        if size := view_size(record):
            try:
                check_takes(record, *size)
            except UsageError as error:
                yield (record.name, "clip"), f"does not fit the model: {str(error).removeprefix(f'{record.name}: ')}"


def _taken_names(known: registry.Registry, ids: Sequence[str]) -> list[str]:
    """Return what to tell of ids and aliases that are other records' upstream names: those lead to them no more."""
    entries = {name: entry for name, entry in known.entries.items() if name not in ids}
    others = msgspec.structs.replace(known, entries=entries)
    upstream = {entry.upstream_name.casefold() for entry in entries.values()}
    notes = []
    for id_ in ids:
        for name in (id_, *known.entries[id_].aliases):
            with suppress(AmbiguousNameError):  # it led to no record before
                if name.casefold() in upstream:
                    notes.append(
                        f"{id_}: takes the name {name}, by which {others.find(name).name} was found without it"
                    )
    return notes
