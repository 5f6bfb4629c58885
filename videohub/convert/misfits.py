"""What to do with a file that is not the network it was taken for: whose it may be, and what it lacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from videohub import registry
from videohub.convert import tables
from videohub.convert.recognition import OF_NETWORKS, Recognised, recognise
from videohub.convert.tables import arguments_of
from videohub.registry.schema import Record

_TOLD = 3  # records
_SAMPLE = 20  # keys that are tried first, as most records' tables know none of another family's


def whose(keys: Collection[str], record: Record) -> str:
    """Return what to say of keys that do not all fit a record: whose they may be; nothing if they fit no other's.

    Each record's published layout is tried, by the keys alone; networks most like the record's are named first.
    """
    if len(keys) > OF_NETWORKS or (found := recognise(keys)) is None:
        return ""
    fitting = [other for other in map(registry.record, registry.list_models()) if _knows_all(keys, other, found.prefix)]
    if not fitting:
        return ""
    fitting.sort(key=lambda other: -_alike(other, record))
    names = ", ".join(other.name for other in fitting[:_TOLD])
    more = f" and {len(fitting) - _TOLD} more records" if len(fitting) > _TOLD else ""
    tasks = {other.task for other in fitting}
    task = f" (for {tasks.pop()}; {record.name} is for {record.task})" if tasks.isdisjoint({record.task}) else ""
    return f"\n  The files of {names}{more} have such keys{task}: name one of these, or take a file of {record.name}."


def _knows_all(keys: Collection[str], record: Record, prefix: str) -> bool:
    """Tell whether the published layout of a record has a name for each key."""
    table = tables.of_family(record.family).get(record.checkpoint.layout)
    if table is None:
        return False
    layout = Recognised(table.layout, prefix, table.of(arguments_of(record)))
    sample = list(keys)[:: -(-len(keys) // _SAMPLE)]
    return layout.knows(sample) == len(sample) and layout.knows(keys) == len(keys)


def _alike(record: Record, other: Record) -> int:
    """Return how many of the arguments of two networks are the same."""
    theirs = arguments_of(other)
    return sum(name in theirs and theirs[name] == value for name, value in arguments_of(record).items())


def lacking(missing: Collection[str], expected: Mapping[str, Any]) -> str:
    """Return what to do with a file in which these tensors of a network's are missing, or differ where none is."""
    if missing and all(name.startswith("head.") for name in missing):
        return (
            "  It is a network without its head: take a file that has one. As a start for training, a model that was\n"
            "  built takes it beside its own head: model.load_state_dict({**model.state_dict(), **state}), where\n"
            "  state is videohub.convert.to_state_dict(videohub.convert.read(FILE), NAME)."
        )
    whole = "whole file of it, as published or saved anew" if missing else "file of this one's"
    return f"  Take a {whole}, or name the record whose network this file holds (`videohub list`)."
