"""The zoo's records: found by name, selected by what they are, read from our own file and from a user's.

registry.record("SLOWFAST_8x8_R50").published.top1
registry.list_models("slowfast*", dataset="k400")
registry.load("company.yaml").records
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from videohub import resources
from videohub.errors import RegistryError
from videohub.registry import names, reading, selection
from videohub.registry.schema import Checkpoint, Protocol, Published, Record

__all__ = [
    "Checkpoint",
    "Protocol",
    "Published",
    "Record",
    "Registry",
    "default",
    "files",
    "list_models",
    "load",
    "record",
]

VARIABLE = "VIDEOHUB_REGISTRY"


class Registry(msgspec.Struct, frozen=True):
    """Records by id, in the order of their files."""

    records: dict[str, Record]

    def find(self, name: str) -> Record:
        """Return the record called `name`, by its id or upstream name; see `names.find`."""
        return names.find(self.records, name)

    def namesakes(self, record: Record) -> list[str]:
        """Return the ids of the other records with a record's upstream name."""
        return names.namesakes(self.records, record)

    def select(
        self,
        pattern: str = "*",
        *,
        dataset: str | None = None,
        arch: str | None = None,
        depth: str | None = None,
        status: str | None = None,
    ) -> list[str]:
        """Return the ids that fit all that is given; see `selection.select`."""
        return selection.select(self.records, pattern, dataset=dataset, arch=arch, depth=depth, status=status)


def load(path: str | os.PathLike[str]) -> Registry:
    """Return the registry of one file, which has to stand alone.

    Raises: RegistryError naming the file, the record and the field that break the schema.
    """
    return Registry(reading.read([Path(path).expanduser()]))


def default(extra: Iterable[str | os.PathLike[str]] = ()) -> Registry:
    """Return our own records, then those of the files in $VIDEOHUB_REGISTRY, then those of `extra`.

    A file named twice is read once. The answer is kept until one of the files changes.

    Raises: RegistryError if a file is missing or breaks the schema, or if two files use one name.
    """
    try:
        return _read(tuple((file, file.stat().st_mtime_ns) for file in files(extra)))
    except OSError as error:
        advice = f"Look at ${VARIABLE} and --registry."
        raise RegistryError(f"{error.filename}: the registry cannot be read: {error.strerror}. {advice}") from error


def files(extra: Iterable[str | os.PathLike[str]] = ()) -> list[Path]:
    """Return the files that `default` reads, in their order."""
    from_variable = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    named = (resources.registry_file(), *from_variable, *extra)
    return list(dict.fromkeys(Path(path).expanduser().resolve() for path in named))


def record(name: str | Record) -> Record:
    """Return the record called `name`, by its id or upstream name, in any case; a record is handed back as it is.

    Raises: UnknownNameError, which offers the nearest names, or AmbiguousNameError, which lists the candidates.
    """
    return name if isinstance(name, Record) else default().find(name)


def list_models(
    pattern: str = "*",
    *,
    dataset: str | None = None,
    arch: str | None = None,
    depth: str | None = None,
    status: str | None = None,
) -> list[str]:
    """Return the ids of the records that fit all that is given; see `selection.select`."""
    return default().select(pattern, dataset=dataset, arch=arch, depth=depth, status=status)


@functools.cache
def _read(files: tuple[tuple[Path, int], ...]) -> Registry:
    return Registry(reading.read(file for file, _ in files))
