"""From what somebody typed to records: one by its id, alias or upstream name, or all that a pattern and filters fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from videohub.architectures import Task
from videohub.errors import AmbiguousNameError, UnknownNameError, UsageError
from videohub.protocols import Protocol
from videohub.registry.costs import Cost, view_size
from videohub.registry.schema import DatasetInfo, Publisher, Record

_SUFFIXES = (".pkl", ".pyth", ".pth", ".pt", ".safetensors", ".npz")

# What each filter looks at. A data set is named by its aliases and its group, too.
_FILTERS: Mapping[str, Callable[[Record], Iterable[str | None]]] = {
    "dataset": lambda record: (record.dataset.name, *record.dataset.aliases, record.dataset.group),
    "arch": lambda record: (record.arch,),
    "depth": lambda record: (record.depth,),
    "status": lambda record: (record.status,),
    "publisher": lambda record: (record.publisher,),
    "task": lambda record: (record.task,),
}

Sort: TypeAlias = Literal["top1", "params", "flops", "name"]
_VALUES = {"status": get_args(Record.__annotations__["status"]), "task": get_args(Task)}  # also without such a record


class Registry(msgspec.Struct, frozen=True):
    """Records by id, in the order of their files, and what they refer to."""

    records: dict[str, Record]
    publishers: dict[str, Publisher] = {}  # by short name; of two with one upstream name, the first one's is meant
    protocols: dict[str, Protocol] = {}
    datasets: dict[str, DatasetInfo] = {}  # ours, and those that registries of one's own bring
    costs: dict[str, Cost] = {}  # by the record's id, as far as they were counted
    files: tuple[Path, ...] = ()  # all that was read, so that a change is seen

    def find(self, name: str) -> Record:
        """Return the record called `name`: its id, alias or upstream name, that with a file's suffix too, in any case.

        An id or an alias goes before an upstream name. Where several records share an upstream name, the first
        publisher is meant that has the name, and those that `publishers` lacks come last, in the order of their
        records; of that one's, the record with a published number and not its pretraining, and of several such, the
        one of Kinetics-400. `publisher/NAME` names one publisher's.

        Raises:
            AmbiguousNameError: one publisher has several records of the name, and these rules do not leave one.
            UnknownNameError: no record has the name; the message offers the nearest three.
        """
        spelled, candidates = name.casefold(), list(self.records.values())
        publisher, slash, rest = spelled.partition("/")
        if slash and publisher in map(_publisher, candidates):
            spelled, candidates = rest, [record for record in candidates if _publisher(record) == publisher]
        for spelling in dict.fromkeys((spelled, _without_suffix(spelled))):
            for record in candidates:
                if spelling in (record.name.casefold(), *map(str.casefold, record.aliases)):
                    return record
            if sharing := [record for record in candidates if record.upstream_name.casefold() == spelling]:
                return self._preferred(name, sharing)
        near = nearest(candidates, _without_suffix(spelled))
        hint = f"Did you mean {listed(near)}?" if near else "The registry is empty."
        raise UnknownNameError(f"{name}: no record has this name. {hint}\n  `videohub list` shows all names.")

    def namesakes(self, record: Record) -> list[str]:
        """Return the ids of the other records with a record's upstream name."""
        spelled = record.upstream_name.casefold()
        others = (other for other in self.records.values() if other.upstream_name.casefold() == spelled)
        return [other.name for other in others if other.name != record.name]

    def whole(self, record: Record) -> dict[str, Any]:
        """Return everything that is known of a record as JSON values; `cost` is null where it was not counted."""
        cost = self.costs.get(record.name)
        counted = {**msgspec.to_builtins(cost), "view": view_size(record)} if cost else None
        return {**record.whole(), "cost": counted}

    def select(
        self, pattern: str = "*", *, min_top1: float | None = None, sort: Sort | None = None, **filters: str | None
    ) -> list[str]:
        """Return the ids of the records that fit a pattern and filters, as `videohub.list_models` takes them."""
        every, spelled = self.records.values(), pattern.casefold()
        records = [record for record in every if any(fnmatchcase(name.casefold(), spelled) for name in names(record))]
        for field, value in filters.items():
            if value is None:
                continue
            known, spelled = values(every, field), value.casefold()
            fitting = {word for word in known if word.casefold() == spelled or fnmatchcase(word.casefold(), spelled)}
            if not fitting:
                raise UsageError(f"{field} {value!r} is not known. Known: {', '.join(known)}.")
            records = [record for record in records if not fitting.isdisjoint(_FILTERS[field](record))]
        if min_top1 is not None:
            records = [record for record in records if (top1 := _top1(record)) is not None and top1 >= min_top1]
        return [record.name for record in self._sorted(records, sort)]

    def why_none(self, pattern: str = "*", **filters: Any) -> str:
        """Return what to tell where `select` finds nothing: which filter to leave out, or which names are near."""
        given = {name: value for name, value in filters.items() if value is not None}
        if named := self.select(pattern):
            options = {name: f"--{name.replace('_', '-')}" for name in given}
            asked = " ".join(f"{options[name]} {value}" for name, value in given.items())
            lines = [f"{len(named)} of {len(self.records)} records match {pattern}, and none of them fits {asked}."]
            for name in given:
                if fitting := self.select(pattern, **{other: given[other] for other in given if other != name}):
                    lines.append(f"Without {options[name]}: {_first_three(fitting)}.")
            return "\n  ".join(lines)
        if inside := self.select(f"*{pattern}*"):
            shown = _first_three(inside)
            return f"No name matches {pattern} as a whole.\n  `videohub list '*{pattern}*'` shows {shown}."
        near = nearest(self.records.values(), pattern.strip("*?").casefold())
        return f"No name matches {pattern}.\n  Did you mean {listed(near)}?" if near else "There is no record."

    def _sorted(self, records: list[Record], by: Sort | None) -> list[Record]:
        """Return records in another order than the registry's; those of which nothing is known come last."""
        if by is None:
            return records
        if by == "name":
            return sorted(records, key=lambda record: record.name)
        looked_at: dict[str, Callable[[Record], float | None]] = {
            "top1": lambda record: None if (top1 := _top1(record)) is None else -top1,  # the best one first
            "params": lambda record: cost.params if (cost := self.costs.get(record.name)) else None,
            "flops": lambda record: cost.multiply_adds if (cost := self.costs.get(record.name)) else None,
        }
        if by not in looked_at:
            raise UsageError(f"sort {by!r} is not known. Known: {', '.join(get_args(Sort))}.")
        keys = {record.name: looked_at[by](record) for record in records}
        return sorted(records, key=lambda record: (keys[record.name] is None, keys[record.name] or 0))

    def _preferred(self, name: str, sharing: list[Record]) -> Record:
        """Return the one of several records with one upstream name that is meant."""
        order = {publisher.casefold(): place for place, publisher in enumerate(self.publishers)}
        first = min(sharing, key=lambda record: order.get(_publisher(record), len(order)))  # the first one of equals
        candidates = [record for record in sharing if record.publisher == first.publisher]
        left = [record for record in candidates if record.number is not None] or candidates
        left = [record for record in left if record.dataset.preferred] or left
        if len(left) == 1:
            return left[0]
        lines = "".join(
            f"\n  {record.name}: {record.protocol.dataset}, {record.number or 'no published number'}"
            for record in candidates
        )
        what = f"{len(candidates)} records share this upstream name"
        raise AmbiguousNameError(f"{name}: {what}. Use one of their own:{lines}")


def names(record: Record) -> tuple[str, ...]:
    """Return every name that a record is found by, its id first."""
    return (record.name, *record.aliases, record.upstream_name)


def values(records: Iterable[Record], field: str) -> list[str]:
    """Return what a filter of `Registry.select` may be, such as every architecture."""
    words = (word for record in records for word in _FILTERS[field](record) if word is not None)
    return list(dict.fromkeys([*_VALUES.get(field, ()), *words]))


def nearest(records: Iterable[Record], spelled: str) -> list[str]:
    """Return the names of the three records whose names look most like what was typed, in small letters."""
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(b=spelled[:200], autojunk=False)  # what is set as b is looked at once; no name is longer

    def likeness(name: str) -> float:
        matcher.set_seq1(name.casefold())
        return matcher.ratio()

    closest = [max(((likeness(name), name) for name in names(record)), key=lambda pair: pair[0]) for record in records]
    closest.sort(key=lambda pair: -pair[0])
    return list(dict.fromkeys(name for _, name in closest))[:3]


def listed(words: Sequence[str]) -> str:
    """Return words as `a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _top1(record: Record) -> float | None:
    """Return the published accuracy under the protocol's views."""
    return record.number.top1 if record.number else None


def _publisher(record: Record) -> str:
    return (record.publisher or "").casefold()


def _without_suffix(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)


def _first_three(words: Sequence[str]) -> str:
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
