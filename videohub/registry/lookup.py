"""From what somebody typed to records: one by its id, alias or upstream name, or all that a pattern and filters fit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

import msgspec

from videohub.architectures import Task
from videohub.errors import AmbiguousNameError, UnknownNameError, UsageError
from videohub.protocols import Protocol
from videohub.registry.datasets import DatasetInfo
from videohub.registry.schema import Publisher, Record

_SUFFIXES = (".pkl", ".pyth", ".pth", ".pt", ".safetensors", ".npz")


class Registry(msgspec.Struct, frozen=True):
    """Records by id, in the order of their files, and what they refer to."""

    records: dict[str, Record]
    publishers: dict[str, Publisher] = {}  # by short name; of two with one upstream name, the first one's is meant
    protocols: dict[str, Protocol] = {}
    datasets: dict[str, DatasetInfo] = {}  # ours, and those that registries of one's own bring
    files: tuple[Path, ...] = ()  # all that was read, so that a change is seen

    def find(self, name: str) -> Record:
        """Return the record called `name`; see `find`."""
        return find(self.records, name, self.publishers)

    def namesakes(self, record: Record) -> list[str]:
        """Return the ids of the other records with a record's upstream name."""
        spelled = record.upstream_name.casefold()
        others = (other for other in self.records.values() if other.upstream_name.casefold() == spelled)
        return [other.name for other in others if other.name != record.name]

    def select(
        self,
        pattern: str = "*",
        *,
        dataset: str | None = None,
        arch: str | None = None,
        depth: str | None = None,
        status: str | None = None,
        publisher: str | None = None,
        task: str | None = None,
    ) -> list[str]:
        """Return the ids of the records that fit all that is given, in the registry's order; case never matters.

        Args:
            pattern: Of the id, an alias or the upstream name; `*`, `?` and `[…]` as in file names.
            dataset: A data set, an alias of it such as k400, or a group, such as kinetics, for every version.
            arch: An architecture; may be a pattern, such as `i3d*`.
            depth: A depth as the table prints it, such as R50.
            status: available, manual, unreleased, broken or program.
            publisher: A publisher's short name, such as pyslowfast; may be a pattern.
            task: classification, detection or features.
        Raises: UsageError for a value that no record can have; it lists the known ones.
        """
        records = self.records.values()
        in_datasets = _datasets(records, dataset)
        archs = _matching("arch", arch, dict.fromkeys(record.arch for record in records))
        depths = _matching("depth", depth, dict.fromkeys(record.depth for record in records))
        statuses = _matching("status", status, get_args(Record.__annotations__["status"]))
        publishers = _matching("publisher", publisher, publisher_names(records)) if publisher else None
        tasks = _matching("task", task, get_args(Task))
        spelled = pattern.casefold()
        return [
            record.name
            for record in records
            if any(fnmatchcase(name.casefold(), spelled) for name in names(record))
            and record.protocol.dataset in in_datasets
            and record.arch in archs
            and record.depth in depths
            and record.status in statuses
            and record.task in tasks
            and (publishers is None or record.publisher in publishers)
        ]

    def why_none(self, pattern: str = "*", **filters: str | None) -> str:
        """Return what to tell where `select` finds nothing: which filter to leave out, or which names are near."""
        given = {name: value for name, value in filters.items() if value is not None}
        if named := self.select(pattern):
            asked = " ".join(f"--{name} {value}" for name, value in given.items())
            lines = [f"{len(named)} of {len(self.records)} records match {pattern}, and none of them fits {asked}."]
            for name in given:
                if fitting := self.select(pattern, **{other: given[other] for other in given if other != name}):
                    lines.append(f"Without --{name}: {_some(fitting)}.")
            return "\n  ".join(lines)
        if inside := self.select(f"*{pattern}*"):
            return f"No name matches {pattern} as a whole.\n  `videohub list '*{pattern}*'` shows {_some(inside)}."
        near = nearest(self.records.values(), pattern.strip("*?").casefold())
        return f"No name matches {pattern}.\n  Did you mean {listed(near)}?" if near else "There is no record."


def find(records: Mapping[str, Record], name: str, publishers: Iterable[str] = ()) -> Record:
    """Return the record called `name`: its id, an alias, its upstream name, or that with a file's suffix, in any case.

    An id or an alias goes before an upstream name. Where several records share an upstream name, the first publisher is
    meant that has the name; of that one's, the record with a published number and not its pretraining, and of several
    such, the one of Kinetics-400. `publisher/NAME` names one publisher's.

    Args:
        publishers: Short names in their order; those that are not named follow, in the order of their records.
    Raises:
        AmbiguousNameError: one publisher has several records of the name, and these rules do not leave one.
        UnknownNameError: no record has the name; the message offers the nearest three.
    """
    within, spelled = _split(records.values(), name.casefold())
    candidates = [record for record in records.values() if within is None or _publisher(record) == within]
    for wanted in dict.fromkeys((spelled, _without_suffix(spelled))):
        for record in candidates:
            if wanted == record.name.casefold() or any(wanted == alias.casefold() for alias in record.aliases):
                return record
        if sharing := [record for record in candidates if record.upstream_name.casefold() == wanted]:
            return _first_publisher_s(name, sharing, [publisher.casefold() for publisher in publishers])
    near = nearest(candidates, _without_suffix(spelled))
    hint = f"Did you mean {listed(near)}?" if near else "The registry is empty."
    raise UnknownNameError(f"{name}: no record has this name. {hint}\n  `videohub list` shows all names.")


def names(record: Record) -> tuple[str, ...]:
    """Return every name that a record is found by, its id first."""
    return (record.name, *record.aliases, record.upstream_name)


def nearest(records: Iterable[Record], wanted: str) -> list[str]:
    """Return the names of the three records whose names look most like `wanted`."""
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(b=wanted, autojunk=False)  # what is set as b is looked at once
    scored = []
    for record in records:
        alike = []
        for spelling in names(record):
            matcher.set_seq1(spelling.casefold())
            alike.append((matcher.ratio(), spelling))
        scored.append(max(alike, key=lambda pair: pair[0]))
    scored.sort(key=lambda pair: -pair[0])
    return list(dict.fromkeys(spelling for _, spelling in scored))[:3]


def listed(words: Sequence[str]) -> str:
    """Return words as `a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def dataset_names(records: Iterable[Record]) -> list[str]:
    """Return every name that `select` takes for a data set: as the records have them, short ones, and groups."""
    datasets = {record.dataset.name: record.dataset for record in records}.values()
    aliases = (alias for dataset in datasets for alias in dataset.aliases)
    return list(dict.fromkeys([*(dataset.name for dataset in datasets), *aliases, *_groups(datasets)]))


def publisher_names(records: Iterable[Record]) -> list[str]:
    """Return the short names of the publishers that have records."""
    return list(dict.fromkeys(record.publisher for record in records if record.publisher is not None))


def _first_publisher_s(name: str, sharing: list[Record], order: list[str]) -> Record:
    first = min(sharing, key=lambda record: _rank(record, order))  # min keeps the first one of equals
    own = [record for record in sharing if record.publisher == first.publisher]
    left = [record for record in own if record.number is not None] or own
    left = [record for record in left if record.dataset.preferred] or left
    if len(left) == 1:
        return left[0]
    lines = "".join(
        f"\n  {record.name}: {record.protocol.dataset}, {record.number or 'no published number'}" for record in own
    )
    raise AmbiguousNameError(f"{name}: {len(own)} records share this upstream name. Use one of their own:{lines}")


def _rank(record: Record, order: list[str]) -> int:
    return order.index(_publisher(record)) if _publisher(record) in order else len(order)


def _publisher(record: Record) -> str:
    return (record.publisher or "").casefold()


def _split(records: Iterable[Record], spelled: str) -> tuple[str | None, str]:
    """Return a publisher's short name that stands before a slash, None without, and the name itself."""
    publisher, slash, name = spelled.partition("/")
    known = {_publisher(record) for record in records if record.publisher}
    return (publisher, name) if slash and publisher in known else (None, spelled)


def _without_suffix(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)


def _some(found: Sequence[str]) -> str:
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def _datasets(records: Collection[Record], value: str | None) -> set[str]:
    datasets = {record.dataset.name: record.dataset for record in records}
    if value is None:
        return set(datasets)
    name = value.casefold()
    if name in _groups(datasets.values()):
        return {dataset.name for dataset in datasets.values() if dataset.group == name}
    aliases = {alias: dataset.name for dataset in datasets.values() for alias in dataset.aliases}
    return _matching("dataset", aliases.get(name, name), datasets, offered=dataset_names(records), typed=value)


def _groups(datasets: Iterable[DatasetInfo]) -> list[str]:
    return list(dict.fromkeys(dataset.group for dataset in datasets if dataset.group is not None))


def _matching(
    field: str, value: str | None, known: Iterable[str], *, offered: Iterable[str] = (), typed: str | None = None
) -> set[str]:
    if value is None:
        return set(known)
    spelled = value.casefold()
    match = {name for name in known if name.casefold() == spelled or fnmatchcase(name.casefold(), spelled)}
    if not match:
        raise UsageError(f"{field} {typed or value!r} is not known. Known: {', '.join(offered or known)}.")
    return match
