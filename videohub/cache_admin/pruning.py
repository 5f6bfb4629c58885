"""Make room: choose entries by age, size and status, show what would go, and only then remove it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from videohub.cache_admin import cache_scan
from videohub.cache_admin.listing import Item, items


@dataclass(frozen=True)
class Pruned:
    """What was chosen; `removed` tells whether it is gone, `busy` what was left to a process that may be writing it."""

    removed: bool
    chosen: list[Item]
    busy: list[Item]
    size_before: int

    @property
    def freed(self) -> int:
        """Bytes that the chosen entries take."""
        return sum(item.entry.size for item in self.chosen)

    def facts(self) -> dict[str, Any]:
        """Return the values that --json prints."""
        return {
            "removed": self.removed,
            "freed": self.freed,
            "size_before": self.size_before,
            "size_after": self.size_before - self.freed,
            "entries": [item.facts() for item in self.chosen],
            "busy": [item.facts() for item in self.busy],
        }


def prune(
    *,
    older_s: float | None = None,
    keep: float | None = None,
    statuses: Collection[str] = (),
    remove: bool = False,
) -> Pruned:
    """Choose entries of our own cache dir that meet every condition, and remove them if told to.

    Pins and registries are never chosen: they are small, and without a pin a changed file would not be noticed.
    Args:
        older_s: Not used for so many seconds.
        keep: Choose no more than it takes, least recently used first, until our cache dir holds so many bytes at most.
        statuses: One of these.
        remove: False: only tell.
    Raises: CacheError if the file system refuses.
    """
    own = [item for item in items() if not item.entry.shared and item.entry.kind != "other"]
    size = sum(item.entry.size for item in own)
    fitting = [
        item
        for item in sorted(own, key=lambda item: item.entry.used)
        if item.entry.kind not in ("pin", "registry")
        and (older_s is None or item.age_s >= older_s)
        and (not statuses or item.status in statuses or (item.status == "at work" and "unfinished" in statuses))
    ]
    chosen: list[Item] = []
    busy: list[Item] = []
    left = size
    for item in fitting:
        if keep is not None and left <= keep:
            break
        if item.status == "at work" or (remove and not cache_scan.remove(item.entry)):
            busy.append(item)
            continue
        chosen.append(item)
        left -= item.entry.size
    return Pruned(remove, chosen, busy, size)
