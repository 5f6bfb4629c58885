"""Which records a listing shows: a pattern for the name, and filters that refuse values nobody knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import get_args

from videohub.errors import UsageError
from videohub.registry import names
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
        if (fnmatchcase(record.name.casefold(), wanted) or fnmatchcase(record.upstream_name.casefold(), wanted))
        and record.protocol.dataset in datasets
        and record.arch in archs
        and record.depth in depths
        and record.status in statuses
    ]


def why_none(records: Mapping[str, Record], pattern: str = "*", **filters: str | None) -> str:
    """Return what to tell where `select` finds nothing: which filter to leave out, or which names are near."""
    given = {name: value for name, value in filters.items() if value is not None}
    if named := select(records, pattern):
        wanted = " ".join(f"--{name} {value}" for name, value in given.items())
        lines = [f"{len(named)} of {len(records)} records match {pattern}, and none of them fits {wanted}."]
        for name in given:
            if fitting := select(records, pattern, **{other: given[other] for other in given if other != name}):
                lines.append(f"Without --{name}: {_some(fitting)}.")
        return "\n  ".join(lines)
    if inside := select(records, f"*{pattern}*"):
        return f"No name matches {pattern} as a whole.\n  `videohub list '*{pattern}*'` shows {_some(inside)}."
    near = names.nearest(records.values(), pattern.strip("*?").casefold())
    return f"No name matches {pattern}.\n  Did you mean {names.listed(near)}?" if near else "There is no record."


def datasets(records: Iterable[Record]) -> list[str]:
    """Return every name that `select` takes for a data set: as the records have them, short ones, and groups."""
    return list(dict.fromkeys([*(record.protocol.dataset for record in records), *_SHORT, *_GROUPS]))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _datasets(records: Collection[Record], value: str | None) -> set[str]:
    known = dict.fromkeys(record.protocol.dataset for record in records)
    if value is None:
        return set(known)
    name = value.casefold()
    if name in _GROUPS:
        return {dataset for dataset in known if dataset.startswith(name)}
    return _matching("dataset", _SHORT.get(name, name), known, shown=datasets(records), typed=value)


def _matching(
    field: str, value: str | None, known: Iterable[str], *, shown: Iterable[str] = (), typed: str | None = None
) -> set[str]:
    if value is None:
        return set(known)
    wanted = value.casefold()
    found = {name for name in known if name.casefold() == wanted or fnmatchcase(name.casefold(), wanted)}
    if not found:
        raise UsageError(f"{field} {typed or value!r} is not known. Known: {', '.join(shown or known)}.")
    return found
