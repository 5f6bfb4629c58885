"""Whose names the keys of a checkpoint are, and behind which prefix: of all that we read, what knows most of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from videohub.convert import tables
from videohub.convert.tables import Table

OURS = "videohub"
UNKNOWN = "unknown"
_SAMPLE = 200  # keys that are tried with every prefix and every layout; a file may have a million
_AVERAGED = "n_averaged"  # of torch's AveragedModel, beside the `module.` of the network: how often it was averaged
_DEEPEST = 8  # parts of a prefix: `module._orig_mod.` has two


@dataclass(frozen=True)
class Recognised:
    """The names that a file's keys are, once `prefix` is taken off; `table` reads them, or has our own on its right."""

    layout: str
    prefix: str
    table: Table

    def names(self, keys: Collection[str]) -> dict[str, list[str]]:
        """Return, for each key of the file, the names that it can have in our networks; one is right."""
        inner = {key: key.removeprefix(self.prefix) for key in keys if key.startswith(self.prefix)}
        if self.layout == OURS:
            published = self.table.to_published(inner.values())
            known = {name for name, others in published.items() if others or self.table.is_absent(name)}
            return {key: [inner[key]] if inner.get(key) in known else [] for key in keys}
        found = self.table.to_ours(inner.values())
        return {key: found[inner[key]] if key in inner else [] for key in keys}

    def ignored(self, key: str) -> str | None:
        """Return why a key of the file is left aside, or None if it is not."""
        if key == _AVERAGED and self.prefix.startswith("module."):
            return "counts how often the network was averaged"
        if self.layout == OURS or not key.startswith(self.prefix):
            return None
        return self.table.ignored(key.removeprefix(self.prefix))

    def knows(self, keys: Collection[str]) -> int:
        """Return how many of these keys have a name, or a reason to have none."""
        return sum(bool(names) or self.ignored(key) is not None for key, names in self.names(keys).items())


def recognise(keys: Collection[str], family: str | None = None) -> Recognised | None:
    """Return what knows most of a checkpoint's keys, None if nothing knows any.

    The network's own names are tried as well as those of the layouts that have a table. A prefix is what most keys
    begin with, up to a dot; the shortest wins behind which most is known. Whether every key is known, and whether that
    is the whole network, is for others to say.

    Args:
        keys: All keys of a file.
        family: Of the network that it should be; None: any.
    """
    best, most = None, 0.0
    for prefix in _prefixes(keys):
        behind = [key for key in keys if key.startswith(prefix)]
        if len(behind) <= most:
            break
        sample = behind[:: -(-len(behind) // _SAMPLE)]
        for candidate in _candidates(prefix, family):
            known = candidate.knows(sample) / len(sample) * len(behind)
            if known > most:
                best, most = candidate, known
    return best


def layout_of(keys: Collection[str]) -> str:
    """Return whose names most of these are: `caffe2`, `pyslowfast`, `videohub` or `unknown`."""
    sample = list(keys)[:: -(-len(keys) // _SAMPLE)]
    found = recognise(sample)
    return found.layout if found and 2 * found.knows(sample) > len(sample) else UNKNOWN


def _prefixes(keys: Collection[str]) -> Iterator[str]:
    """Yield what most keys begin with, part after part: nothing, `module.`, `module._orig_mod.`, …"""
    prefix, behind = "", list(keys)
    for _ in range(_DEEPEST):
        yield prefix
        heads = Counter(key[len(prefix) :].partition(".")[0] for key in behind if "." in key[len(prefix) :])
        if not heads:
            return
        prefix += f"{heads.most_common(1)[0][0]}."
        behind = [key for key in behind if key.startswith(prefix)]
    yield prefix


def _candidates(prefix: str, family: str | None) -> Iterator[Recognised]:
    """Yield what keys behind a prefix may be: published names first, since some of ours are the same."""
    found = [
        tables.find(of, layout) for of in ([family] if family else tables.families()) for layout in tables.layouts(of)
    ]
    yield from (Recognised(table.layout, prefix, table) for table in found)
    yield from (Recognised(OURS, prefix, table) for table in found)
