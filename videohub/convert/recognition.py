"""How the keys of a checkpoint are spelt, and behind which prefix: of all that we read, what knows most of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from videohub.convert import tables
from videohub.convert.table_schema import Computed
from videohub.convert.tables import Match, Table
from videohub.registry.schema import OWN_LAYOUT

OURS = OWN_LAYOUT
UNKNOWN = "unknown"
_SAMPLE = 200  # keys that are tried with every prefix and every layout; a file may have a million
OF_NETWORKS = 3000  # keys; the largest network has fewer
_AVERAGED = "n_averaged"  # of torch's AveragedModel, beside the `module.` of the network: how often it was averaged
_DEEPEST = 8  # parts of a prefix: `module._orig_mod.` has two


@dataclass(frozen=True)
class Recognised:
    """The layout of a file's keys, once `prefix` is taken off; `table` reads them, or has our own on its right."""

    layout: str
    prefix: str
    table: Table

    def matches(self, keys: Collection[str]) -> dict[str, list[Match]]:
        """Return, for each key of the file, what it can be in our networks; one is right."""
        inner = {key: key.removeprefix(self.prefix) for key in keys if key.startswith(self.prefix)}
        if self.layout == OURS:
            published = self.table.matches(inner.values(), to_ours=False)
            known = {name for name, match in published.items() if match or self.table.fill_of(name)}
            return {key: [Match((key,), (inner[key],))] if inner.get(key) in known else [] for key in keys}
        published = self.table.matches(inner.values(), to_ours=True)
        return {key: [Match(tuple(self.prefix + source for source in match.sources), match.names)
                      for match in published[inner[key]]] if key in inner else [] for key in keys}  # fmt: skip

    def ignored(self, key: str) -> str | None:
        """Return why a key of the file is left aside, or None if it is not."""
        if key == _AVERAGED and self.prefix.startswith("module."):
            return "counts how often the network was averaged"
        inner = self._inner(key)
        return None if inner is None else self.table.ignored(inner)

    def original_of(self, key: str) -> str | None:
        """Return the key of the file whose tensor is stored a second time under `key`, None if it is no copy."""
        inner = self._inner(key)
        original = None if inner is None else self.table.original_of(inner)
        return None if original is None else self.prefix + original

    def computed_at(self, key: str) -> tuple[Computed, str] | None:
        """Return how a tensor of the file is computed, and the key that it stands beside; None if it is not."""
        inner = self._inner(key)
        computed = None if inner is None else self.table.computed_at(inner)
        return None if computed is None else (computed[0], self.prefix + computed[1])

    def knows(self, keys: Collection[str]) -> int:
        """Return how many of these keys have a name, or a reason to have none."""
        return sum(bool(match or self.ignored(key) or self.original_of(key) or self.computed_at(key))
                   for key, match in self.matches(keys).items())  # fmt: skip

    def _inner(self, key: str) -> str | None:
        """Return a key without the prefix, None for our own and for one without it, which no table reads."""
        return key.removeprefix(self.prefix) if self.layout != OURS and key.startswith(self.prefix) else None


def recognise(
    keys: Collection[str], family: str | None = None, arguments: Mapping[str, Any] | None = None
) -> Recognised | None:
    """Return what knows most of a checkpoint's keys, None if nothing knows any.

    The network's own names are tried as well as those of the layouts that have a table. A prefix is what most keys
    begin with, up to a dot; the shortest wins behind which most is known. A layout whose tell-tale keys are there comes
    before all others, if it knows more than half. Whether every key is known, and whether that is the whole network,
    is for others to say.

    Args:
        keys: All keys of a file.
        family: Of the network that it should be; None: any.
        arguments: Of that network, where a table depends on them; None: any.
    """
    known = _tables(family, arguments)
    return _best(keys, known, told=True) or _best(keys, known, told=False)


def layout_of(keys: Collection[str]) -> str:
    """Return how most of these are spelt: a layout that has a table, `videohub` or `unknown`."""
    sample = list(keys)[:: -(-len(keys) // _SAMPLE)]
    best = recognise(keys if len(keys) <= OF_NETWORKS else sample)  # tell-tale keys may be few
    return best.layout if best and 2 * best.knows(sample) > len(sample) else UNKNOWN


def _best(keys: Collection[str], known: list[Table], *, told: bool) -> Recognised | None:
    """Return what knows most; `told`: of layouts whose tell-tale keys are there, and more than half."""
    best, most = None, 0.0
    for prefix in _prefixes(keys):
        behind = [key for key in keys if key.startswith(prefix)]
        if len(behind) <= most:
            break
        inner = [key.removeprefix(prefix) for key in behind]
        sample = behind[:: -(-len(behind) // _SAMPLE)]
        # Published names first, since some of ours are the same.
        candidates = [Recognised(table.layout, prefix, table) for table in known if not told or table.fits(inner)]
        for candidate in [*candidates, *(Recognised(OURS, prefix, table) for table in known)]:
            count = candidate.knows(sample) / len(sample) * len(behind)
            if count > max(most, len(behind) / 2 if told else 0):
                best, most = candidate, count
    return best


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


def _tables(family: str | None, arguments: Mapping[str, Any] | None) -> list[Table]:
    of = [family] if family else tables.families()
    known = [table for family in of for table in tables.of_family(family).values()]
    return [form for table in known for form in (table.forms() if arguments is None else [table.of(arguments)])]
