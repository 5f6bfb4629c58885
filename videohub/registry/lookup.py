"""From what somebody typed to records: one by its id, alias or upstream name, or all that a pattern and filters fit.

Records are found by their entries, and none is decoded that nobody asked for; the schema is not even imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

from videohub import resources
from videohub.errors import AmbiguousNameError, RegistryError, UnknownNameError, UsageError
from videohub.formatting import listed

if TYPE_CHECKING:
    from videohub.protocols import Protocol
    from videohub.registry.schema import DatasetInfo, Publisher, Record

MARKS = {  # of records, and what they mean
    "NC": "licensed for non-commercial use alone",
    "unproven": "its network was compared with no other implementation",
}
_SUFFIXES = (".pkl", ".pyth", ".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".npz")

Sort: TypeAlias = Literal["top1", "params", "flops", "name"]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What a record is found by and listed with; follows from the record, see `entry`."""

    name: str
    aliases: tuple[str, ...]
    upstream_name: str
    publisher: str | None
    dataset: tuple[str, ...]  # its name, its aliases, its group
    dataset_in_tables: str
    arch: str
    depth: str
    task: str
    status: str
    frames: int | None
    rate: int | None
    numbers: dict[str, float]  # published for the protocol's views, by the names people use
    marks: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the record is found by, its id first."""
        return (self.name, *self.aliases, self.upstream_name)


class Cost(msgspec.Struct, frozen=True):
    """Parameters that training changes, and multiply-adds of convolutions and matrix products for one view."""

    params: int
    multiply_adds: int


def entry(record: Record) -> Entry:
    """Return what a record is found by and listed with."""
    dataset = record.dataset
    return Entry(
        name=record.name,
        aliases=record.aliases,
        upstream_name=record.upstream_name,
        publisher=record.publisher,
        dataset=tuple(filter(None, (dataset.name, *dataset.aliases, dataset.group))),
        dataset_in_tables=dataset.short or dataset.name,
        arch=record.arch,
        depth=record.depth,
        task=record.task,
        status=record.status,
        frames=record.frames,
        rate=record.rate,
        numbers=record.number.numbers() if record.number else {},
        marks=marks(record),
    )


def marks(record: Record) -> tuple[str, ...]:
    """Return what is to be known of a record before it is used, by the words of `MARKS`.

    Of a network that we trained, this code is the original.
    """
    unproven = record.proof is None and record.publisher != "videohub"
    carried = {"NC": record.checkpoint.non_commercial, "unproven": unproven}
    return tuple(mark for mark, is_carried in carried.items() if is_carried)


# What a network costs is counted beforehand into costs.json: `tools/costs.py` does it, for that takes the networks,
# which the registry does not know. An entry belongs to all that decides it (what a record says of its network, and the
# size of a view), not to a name: a record that changes has none, rather than an old one, and a user's record of a
# network that we have, too, has ours.


def view_size(record: Record) -> tuple[int, int, int] | None:
    """Return frames, height and width of the view that is counted, None where frames keep their own size.

    It is one clip under the protocol's test crop. Where a test takes whole frames, it is a square of their short side.
    """
    side = record.protocol.crop_size or record.protocol.short_side
    return None if side is None else (record.clip.frames, side, side)


def cost_key(record: Record) -> str | None:
    """Return what a network's entry is called, None if no size of its views is stated."""
    import hashlib  # only where a registry is compiled: `videohub list` would wait for it
    import json

    size = view_size(record)
    if size is None:
        return None
    digest = hashlib.sha256(json.dumps([record.model.effective(), size], sort_keys=True).encode()).hexdigest()
    return f"{record.arch} {record.depth} {'x'.join(map(str, size))} {digest[:12]}"


def costs_of(records: Mapping[str, Record]) -> dict[str, Cost]:
    """Return what is known of each record's network, by the record's id. Raises: RegistryError."""
    file = resources.costs_file()
    try:
        counted = msgspec.json.decode(file.read_bytes(), type=dict[str, Cost])
    except (OSError, msgspec.MsgspecError) as error:
        raise RegistryError(f"{file}: cannot be read: {error}. `python tools/costs.py` writes it anew.") from error
    keys = {name: cost_key(record) for name, record in records.items()}
    return {name: counted[entry] for name, entry in keys.items() if entry in counted}


class Registry(msgspec.Struct, frozen=True):
    """Records by id, in the order of their files, and what they refer to."""

    records: Mapping[str, Record]
    entries: dict[str, Entry]  # of each record that is to be found
    publishers: Mapping[str, Publisher] = {}  # by short name; of two with one upstream name, the first one's is meant
    protocols: Mapping[str, Protocol] = {}
    datasets: Mapping[str, DatasetInfo] = {}  # ours, and those that registries of one's own bring
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
        spelled, candidates = name.casefold(), list(self.entries.values())
        publisher, slash, rest = spelled.partition("/")
        if slash and publisher in map(_publisher, candidates):
            spelled, candidates = rest, [entry for entry in candidates if _publisher(entry) == publisher]
        for spelling in dict.fromkeys((spelled, _without_suffix(spelled))):
            for entry in candidates:
                if spelling in (entry.name.casefold(), *map(str.casefold, entry.aliases)):
                    return self.records[entry.name]
            if sharing := [entry.name for entry in candidates if entry.upstream_name.casefold() == spelling]:
                return self._preferred(name, [self.records[id_] for id_ in sharing])
        near = nearest(candidates, _without_suffix(spelled))
        hint = f"Did you mean {listed(near, 'or')}?" if near else "The registry is empty."
        if spelled != _without_suffix(spelled):
            hint += "\n  A file of weights is no network's name: it goes in with --checkpoint, beside its network's."
        if spelled.endswith(".tar"):
            hint += "\n  A tar is no network's name: several go in as one pattern, --data 'val-*.tar', in quotes."
        if spelled.startswith("hf://") or os.path.isdir(name):
            hint += "\n  Models of the hub and folders of models are in no registry, and here a record is asked for."
        raise UnknownNameError(f"{name}: no record has this name. {hint}\n  `videohub list` shows all names.")

    def namesakes(self, record: Record) -> list[str]:
        """Return the ids of the other records with a record's upstream name."""
        spelled = record.upstream_name.casefold()
        others = (other for other in self.entries.values() if other.upstream_name.casefold() == spelled)
        return [other.name for other in others if other.name != record.name]

    def whole(self, record: Record) -> dict[str, Any]:
        """Return everything that is known of a record as JSON values, with its marks and its cost.

        `cost` is null where it was not counted.
        """
        cost = self.costs.get(record.name)
        counted = {**msgspec.to_builtins(cost), "view": view_size(record)} if cost else None
        return {**record.whole(), "marks": marks(record), "cost": counted}

    def select(
        self, pattern: str = "*", *, min_top1: float | None = None, sort: Sort | None = None, **filters: str | None
    ) -> list[str]:
        """Return the ids of the records that fit a pattern and filters, as `videohub.list_models` takes them."""
        for field, value in {"pattern": pattern, **filters}.items():
            if not isinstance(value, str) and (value is not None or field == "pattern"):
                raise UsageError(f"{field}: found {value!r:.80}, expected a text, with * and ? as in names of files")
        every, spelled = self.entries.values(), pattern.casefold()
        entries = [entry for entry in every if any(fnmatchcase(name.casefold(), spelled) for name in entry.names)]
        for field, value in filters.items():
            if value is None:
                continue
            known, spelled = values(every, field), value.casefold()
            fitting = {word for word in known if word.casefold() == spelled or fnmatchcase(word.casefold(), spelled)}
            if not fitting:
                raise UsageError(f"{field} {value!r} is not known. Known: {', '.join(known)}.")
            entries = [entry for entry in entries if not fitting.isdisjoint(_words(entry, field))]
        if min_top1 is not None:
            entries = [entry for entry in entries if "top-1" in entry.numbers and entry.numbers["top-1"] >= min_top1]
        return [entry.name for entry in self._sorted(entries, sort)]

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
        near = nearest(self.entries.values(), pattern.strip("*?").casefold())
        return f"No name matches {pattern}.\n  Did you mean {listed(near, 'or')}?" if near else "There is no record."

    def _sorted(self, entries: list[Entry], by: Sort | None) -> list[Entry]:
        """Return entries in another order than the registry's; those of which nothing is known come last."""
        if by is None:
            return entries
        if by == "name":
            return sorted(entries, key=lambda entry: entry.name)
        looked_at: dict[str, Callable[[Entry], float | None]] = {
            "top1": lambda entry: -entry.numbers["top-1"] if "top-1" in entry.numbers else None,  # the best one first
            "params": lambda entry: cost.params if (cost := self.costs.get(entry.name)) else None,
            "flops": lambda entry: cost.multiply_adds if (cost := self.costs.get(entry.name)) else None,
        }
        if by not in looked_at:
            raise UsageError(f"sort {by!r} is not known. Known: {', '.join(get_args(Sort))}.")
        keys = {entry.name: looked_at[by](entry) for entry in entries}
        return sorted(entries, key=lambda entry: (keys[entry.name] is None, keys[entry.name] or 0))

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


def values(entries: Iterable[Entry], field: str) -> list[str]:
    """Return what a filter of `Registry.select` may be, such as every architecture."""
    words = (word for entry in entries for word in _words(entry, field))
    return list(dict.fromkeys([*_possible(field), *words]))


def nearest(entries: Iterable[Entry], spelled: str) -> list[str]:
    """Return the names of the three records whose names look most like what was typed, in small letters."""
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(b=spelled[:200], autojunk=False)  # what is set as b is looked at once; no name is longer

    def likeness(name: str) -> float:
        matcher.set_seq1(name.casefold())
        return matcher.ratio()

    closest = [max(((likeness(name), name) for name in entry.names), key=lambda pair: pair[0]) for entry in entries]
    closest.sort(key=lambda pair: -pair[0])
    return list(dict.fromkeys(name for _, name in closest))[:3]


def _words(entry: Entry, field: str) -> Iterable[str]:
    """Return what a filter looks at; a data set is named by its aliases and its group, too."""
    value = getattr(entry, field)
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _possible(field: str) -> Iterable[str]:
    """Return what a record may say, whether or not one does."""
    if field not in ("status", "task"):
        return ()
    from videohub.architectures import Task
    from videohub.registry.schema import Status

    return get_args(Status if field == "status" else Task)


def _publisher(record: Record | Entry) -> str:
    return (record.publisher or "").casefold()


def _without_suffix(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)


def _first_three(words: Sequence[str]) -> str:
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
