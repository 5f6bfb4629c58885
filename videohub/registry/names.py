"""From the name that somebody typed to a record: by id or upstream name, in any case, or an error that helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from videohub.errors import AmbiguousNameError, UnknownNameError
from videohub.registry.schema import Record

_SUFFIXES = (".pkl", ".pyth", ".pth", ".pt", ".safetensors", ".npz")


def find(records: Mapping[str, Record], name: str) -> Record:
    """Return the record called `name`: its id, its upstream name, or that with the file's suffix, in any case.

    An id goes before an upstream name. Where several records share an upstream name, the one with a published number
    is meant, not its pretraining; of several such, the one of Kinetics-400.

    Raises:
        AmbiguousNameError: several records share the name, and these rules do not leave one.
        UnknownNameError: no record has the name; the message offers the nearest three.
    """
    spelled = name.casefold()
    for wanted in dict.fromkeys((spelled, _without_suffix(spelled))):
        for id_, record in records.items():
            if id_.casefold() == wanted:
                return record
        found = [record for record in records.values() if record.upstream_name.casefold() == wanted]
        if found:
            return _the_one(name, found)
    near = nearest(records.values(), _without_suffix(spelled))
    hint = f"Did you mean {listed(near)}?" if near else "The registry is empty."
    raise UnknownNameError(f"{name}: no record has this name. {hint}\n  `videohub list` shows all names.")


def namesakes(records: Mapping[str, Record], record: Record) -> list[str]:
    """Return the ids of the other records with the same upstream name."""
    name = record.upstream_name.casefold()
    return [
        other.name for other in records.values() if other.upstream_name.casefold() == name and other.name != record.name
    ]


def _the_one(name: str, found: list[Record]) -> Record:
    left = [record for record in found if record.published is not None] or found
    left = [record for record in left if record.protocol.dataset == "kinetics400"] or left
    if len(left) == 1:
        return left[0]
    lines = "".join(
        f"\n  {record.name}: {record.protocol.dataset}, {record.published or 'no published number'}" for record in found
    )
    raise AmbiguousNameError(f"{name}: {len(found)} records share this upstream name. Use one of their own:{lines}")


def _without_suffix(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)


def nearest(records: Iterable[Record], wanted: str) -> list[str]:
    """Return the ids or upstream names of the three records whose names look most like `wanted`."""
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(b=wanted, autojunk=False)  # what is set as b is looked at once
    scored = []
    for record in records:
        alike = []
        for spelling in (record.name, record.upstream_name):
            matcher.set_seq1(spelling.casefold())
            alike.append((matcher.ratio(), spelling))
        scored.append(max(alike, key=lambda pair: pair[0]))
    scored.sort(key=lambda pair: -pair[0])
    return list(dict.fromkeys(spelling for _, spelling in scored))[:3]


def listed(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
