"""Which records a listing shows: a pattern for the name, and filters that refuse values nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import get_args

from videohub.errors import UsageError
from videohub.registry.schema import Record

_SHORT = {"k400": "kinetics400", "k600": "kinetics600", "imagenet": "imagenet1k"}
_GROUPS = ("ava", "kinetics")  # every version of it


def select(
    records: Mapping[str, Record],
    pattern: str = "*",
    *,
    dataset: str | None = None,
    arch: str | None = None,
    depth: str | None = None,
    status: str | None = None,
) -> list[str]:
    """Return the ids of the records that fit all that is given, in the registry's order; case never matters.

    Args:
        pattern: Of the id or the upstream name; `*`, `?` and `[…]` as in file names.
        dataset: A data set, or k400, k600, imagenet for short, or kinetics, ava for every version.
        arch: An architecture; may be a pattern, such as `i3d*`.
        depth: A depth as the table prints it, such as R50.
        status: available, unreleased or broken.
    Raises: UsageError for a value that no record can have; it lists the known ones.
    """
    datasets = _datasets(records.values(), dataset)
    archs = _matching("arch", arch, get_args(Record.__annotations__["arch"]))
    depths = _matching("depth", depth, dict.fromkeys(record.depth for record in records.values()))
    statuses = _matching("status", status, get_args(Record.__annotations__["status"]))
    wanted = pattern.casefold()
    return [
        record.name
        for record in records.values()
        if (fnmatchcase(record.name.casefold(), wanted) or fnmatchcase(record.zoo_name.casefold(), wanted))
        and record.protocol.dataset in datasets
        and record.arch in archs
        and record.depth in depths
        and record.status in statuses
    ]


def _datasets(records: Iterable[Record], value: str | None) -> set[str]:
    known = dict.fromkeys(record.protocol.dataset for record in records)
    if value is None:
        return set(known)
    name = value.casefold()
    if name in _GROUPS:
        return {dataset for dataset in known if dataset.startswith(name)}
    return _matching("dataset", _SHORT.get(name, name), known, shown=(*known, *_SHORT, *_GROUPS), typed=value)


def _matching(
    field: str, value: str | None, known: Iterable[str], *, shown: Iterable[str] = (), typed: str | None = None
) -> set[str]:
    if value is None:
        return set(known)
    found = {name for name in known if fnmatchcase(name.casefold(), value.casefold())}
    if not found:
        raise UsageError(f"{field} {typed or value!r} is not known. Known: {', '.join(shown or known)}.")
    return found
