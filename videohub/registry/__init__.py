"""The zoo's records: found by name, selected by what they are, read from our own file and from a user's.

registry.record("SLOWFAST_8x8_R50").number.top1
registry.list_models("slowfast*", dataset="k400")
registry.load("company.yaml").records
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from videohub import resources
from videohub.errors import RegistryError
from videohub.protocols import Protocol
from videohub.registry.lookup import Registry
from videohub.registry.schema import Checkpoint, Published, Publisher, Record

__all__ = [
    "Checkpoint",
    "Protocol",
    "Published",
    "Publisher",
    "Record",
    "Registry",
    "default",
    "files",
    "list_models",
    "load",
    "record",
    "record_files",
]

VARIABLE = "VIDEOHUB_REGISTRY"


def load(path: str | os.PathLike[str]) -> Registry:
    """Return the registry of one file, which has to stand alone.

    Raises: RegistryError naming the file, the record and the field that break the schema.
    """
    from videohub.registry import reading

    return reading.read([Path(path).expanduser()])


def default(extra: Iterable[str | os.PathLike[str]] = (), *, keep: bool = False) -> Registry:
    """Return our own records, then those of the files in $VIDEOHUB_REGISTRY, then those of `extra`.

    A file named twice is read once. The answer is kept until one of the files changes.

    Args:
        extra: Further files.
        keep: Keep what was read in the cache, too, so that the next process need not read it; see `compiled`.
    Raises: RegistryError if a file is missing or breaks the schema, or if two files use one name.
    """
    roots = tuple(files(extra))
    try:
        for root in roots:
            root.stat()
    except OSError as error:
        advice = f"Look at ${VARIABLE} and --registry."
        raise RegistryError(f"{error.filename}: the registry cannot be read: {error.strerror}. {advice}") from error
    kept = _kept.get(roots)
    if kept is None or kept[1] != _stamps(kept[0].files):
        found = _compiled_or_read(roots, keep)
        _kept[roots] = kept = found, _stamps(found.files)
    return kept[0]


def files(extra: Iterable[str | os.PathLike[str]] = ()) -> list[Path]:
    """Return the files that `default` reads, in their order."""
    from_variable = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    named = (resources.registry_file(), *from_variable, *extra)
    return list(dict.fromkeys(Path(path).expanduser().resolve() for path in named))


def record_files() -> list[Path]:
    """Return the files that hold the records of `default`: those of `files`, and those that they include."""
    return [path for path in default().files if path.suffix in (".yaml", ".yml") and _holds_records(path)]


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
    publisher: str | None = None,
    task: str | None = None,
) -> list[str]:
    """Return the ids of the records that fit all that is given; see `Registry.select`."""
    return default().select(
        pattern, dataset=dataset, arch=arch, depth=depth, status=status, publisher=publisher, task=task
    )


def _holds_records(path: Path) -> bool:
    from videohub.registry import strict_yaml

    value = strict_yaml.read(path).value if path.is_file() else None
    return isinstance(value, dict) and "records" in value


_Stamps: TypeAlias = list[tuple[int, int] | None]
_kept: dict[tuple[Path, ...], tuple[Registry, _Stamps]] = {}  # by the files that were asked for


def _compiled_or_read(roots: tuple[Path, ...], keep: bool) -> Registry:
    from videohub.registry import compiled

    if found := compiled.load(roots):
        return found
    from videohub.registry import reading  # with all that reads YAML and tells what is wrong with it

    began_ns = time.time_ns()
    read = reading.read(roots)
    if keep:
        compiled.save(roots, read, began_ns)
    return read


def _stamps(paths: Iterable[Path]) -> _Stamps:
    """Return the time and size of each file or folder, None for one that is not there."""
    found: _Stamps = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_size))
    return found
