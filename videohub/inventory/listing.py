"""The whole cache at a glance: its layers, what is in each, and sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from videohub.hub import keeping
from videohub.inventory.items import Item, items

_KINDS = ("raw", "converted", "partial", "pin", "registry", "lock", "other")


@dataclass(frozen=True)
class Layer:
    """One folder of the cache; `own` is sorted so that what belongs to one record stands together."""

    path: str
    read_only: bool
    own: Sequence[Item]
    others: Sequence[Item]  # of other programs

    @property
    def size(self) -> int:
        """Bytes that our entries take."""
        return sum(item.entry.size for item in self.own)

    def sizes(self) -> dict[str, int]:
        """Return the bytes that each kind takes, where there are any."""
        found = {kind: sum(item.entry.size for item in self.own if item.entry.kind == kind) for kind in _KINDS}
        return {kind: size for kind, size in found.items() if size}

    def facts(self) -> dict[str, Any]:
        """Return the values that --json prints."""
        return {
            "path": self.path,
            "read_only": self.read_only,
            "size": self.size,
            "sizes": self.sizes(),
            "entries": [item.facts() for item in (*self.own, *self.others)],
        }


def listing() -> list[Layer]:
    """Return the layers in the order in which they are looked in.

    Raises: CacheError if a folder cannot be read; RegistryError.
    """
    found = items()
    layers = []
    for path, shared in keeping.layers():
        here = [item for item in found if item.entry.layer == path]
        ours = sorted((item for item in here if item.entry.kind != "other"), key=_place)
        layers.append(Layer(str(path), shared, ours, [item for item in here if item.entry.kind == "other"]))
    return layers


def _place(item: Item) -> tuple[bool, list[str], int, float]:
    """Sort by record, then in the order the data travels, then the latest first; what belongs to none comes last."""
    return not item.records, list(item.records), _KINDS.index(item.entry.kind), -item.entry.used
