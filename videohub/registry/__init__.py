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
from typing import TYPE_CHECKING, Any, cast

from videohub import resources
from videohub.errors import AmbiguousNameError, RegistryError, UnknownNameError, UsageError
from videohub.registry import compiled
from videohub.registry.lookup import Cost, Registry, Sort

if TYPE_CHECKING:
    from videohub.protocols import Protocol
    from videohub.registry.published import Published
    from videohub.registry.schema import Checkpoint, Publisher, Record

__all__ = [
    "Checkpoint", "Cost", "Protocol", "Published", "Publisher", "Record", "Registry", "Sort", "default", "files",
    "list_models", "load", "record", "record_files",
]  # fmt: skip

VARIABLE = "VIDEOHUB_REGISTRY"


def load(path: str | os.PathLike[str]) -> Registry:
    """Return the registry of one file, which has to stand alone.

    Raises: RegistryError naming the file, the record and the field that break the schema.
    """
    from videohub.registry import reader

    return reader.read([Path(path).expanduser()])


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
    known, stamps = _kept.get(roots, (None, []))
    if known is None or stamps != [compiled.stamp(path) for path in known.files]:
        known = compiled.load(roots) or _read(roots, keep)
        _kept[roots] = known, [compiled.stamp(path) for path in known.files]
    return known


def files(extra: Iterable[str | os.PathLike[str]] = ()) -> list[Path]:
    """Return the files that `default` reads, in their order."""
    from_variable = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    named = (resources.registry_file(), *from_variable, *extra)
    return list(dict.fromkeys(Path(path).expanduser().resolve() for path in named))


def record_files() -> list[Path]:
    """Return the files that hold the records of `default`: those of `files`, and those that they include."""
    return [path for path in default().files if path.suffix in (".yaml", ".yml") and _holds_records(path)]


def record(name: str | os.PathLike[str] | Record) -> Record:
    """Return the record called `name`, by its id or upstream name, in any case; a record is handed back as it is.

    Of `hf://user/model`, `hf://user/model@revision`, or a folder where no record has this name, one is made: of a
    network as transformers saves it; see `model_folder`.

    Raises: UnknownNameError, which offers the nearest names, or AmbiguousNameError, which lists the candidates;
        UsageError for what is no name; what `model_folder` raises.
    """
    if not isinstance(name, (str, os.PathLike)):
        from videohub.registry import schema

        if not isinstance(cast(object, name), schema.Record):
            of_model = "; of a model, give its `record`" if hasattr(name, "record") else ""
            raise UsageError(f"name: found a {type(name).__name__}, expected a record or its name{of_model}")
        return name
    given = os.fspath(name)
    if given.startswith("hf://"):
        from videohub.registry import model_folder

        return model_folder.of_hub(given)
    try:
        return default().find(given)
    except AmbiguousNameError:
        raise
    except UnknownNameError as error:
        if not os.path.isdir(given):
            publisher, slash, _ = given.partition("/")
            if slash and publisher.casefold() not in map(str.casefold, default().publishers):
                hint = "Nor is it a folder. A model of the Hugging Face hub is hf://user/model."
                raise UnknownNameError(f"{error}\n  {hint}") from error
            raise
    from videohub.registry import model_folder

    return model_folder.of_folder(given)


def list_models(
    pattern: str = "*",
    *,
    dataset: str | None = None,
    arch: str | None = None,
    depth: str | None = None,
    status: str | None = None,
    publisher: str | None = None,
    task: str | None = None,
    min_top1: float | None = None,
    sort: Sort | None = None,
) -> list[str]:
    """Return the ids of the records that fit all that is given; case never matters.

    Args:
        pattern: Of the id, an alias or the upstream name; `*`, `?` and `[…]` as in file names, here and in the others.
        dataset: A data set, an alias of it such as k400, or a group, such as kinetics, for every version.
        arch: An architecture, such as `i3d*`.
        depth: A depth as the table prints it, such as R50.
        status: available, manual, unreleased, broken or program.
        publisher: A publisher's short name, such as pyslowfast.
        task: classification, detection or features.
        min_top1: The least published top-1 accuracy in per cent, with the protocol's views; what has none is left out.
        sort: top1 (the best first), params, flops (multiply-adds of one view; the least first) or name; what has none
            comes last. None: the registry's order.
    Raises: UsageError for a value that no record can have; it lists the known ones.
    """
    return default().select(
        pattern, dataset=dataset, arch=arch, depth=depth, status=status, publisher=publisher, task=task,
        min_top1=min_top1, sort=sort,
    )  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the schema when one of its names is first used: it takes as long as all else that `list` does."""
    if name in __all__:
        from videohub.registry import schema

        return getattr(schema, name)
    raise AttributeError(f"module 'videohub.registry' has no attribute {name!r}")


_kept: dict[tuple[Path, ...], tuple[Registry, list[tuple[int, int, int]]]] = {}  # by the files that were asked for


def _read(roots: tuple[Path, ...], keep: bool) -> Registry:
    from videohub.registry import reader  # with all that reads YAML and tells what is wrong with it

    began_ns = time.time_ns()
    known = reader.read(roots)
    if keep:
        compiled.save(roots, known, began_ns)
    return known


def _holds_records(path: Path) -> bool:
    from videohub.registry import strict_yaml

    value = strict_yaml.read(path).value if path.is_file() else None
    return isinstance(value, dict) and "records" in value
