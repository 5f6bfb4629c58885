"""Read everything in the cache again; what is damaged is made anew from what is here, or removed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from videohub import weights
from videohub.cache_admin import cache_scan
from videohub.cache_admin.listing import Item, Known
from videohub.convert import kept_weights
from videohub.errors import CacheError, FormatError, VideohubError
from videohub.hub import cache
from videohub.hub.sources import path_of
from videohub.registry.schema import Record

_ORDER = ("raw", "pin", "registry", "converted")  # weights are made anew from files that have proved sound


@dataclass(frozen=True)
class Finding:
    """An entry that is not as it should be: what is wrong, what was done, and what is left to do."""

    kind: str
    path: str
    records: Sequence[str]
    read_only: bool
    problem: str
    done: str  # rebuilt, removed, left
    advice: str = ""


@dataclass
class Checked:
    """What a pass over the cache found; nothing tells whether `unchecked` entries are sound."""

    checked: int = 0
    size: int = 0
    damaged: list[Finding] = field(default_factory=list)
    unchecked: list[Finding] = field(default_factory=list)


def check() -> Checked:
    """Read every published file, all weights and all pins of all cache dirs, and mend our own.

    Raises: CacheError if a folder cannot be read.
    """
    entries = cache_scan.entries()
    known = Known(entries)
    items = [known.item(entry) for kind in _ORDER for entry in entries if entry.kind == kind]
    checked = Checked()
    total = sum(item.entry.size for item in items)
    with tqdm(total=total, desc="verify", unit="B", unit_scale=True, disable=None) as bar:
        for item in items:
            if item.entry.unreadable:
                advice = cache.readable_by_all(item.entry.cache_dir)
                checked.unchecked.append(_finding(item, item.entry.unreadable, "left", advice))
            elif item.status in ("stale", "unknown") and known.lacks_checksum(item.entry):
                what = "has no checksum; an older version wrote it, and nothing known here uses it"
                advice = f"`videohub cache prune --status {item.status}` lists what is of its kind."
                checked.unchecked.append(_finding(item, what, "left", advice))
            elif problem := _problem(item):
                checked.damaged.append(_mend(item, problem, known))
            checked.checked += 1
            checked.size += item.entry.size
            bar.update(item.entry.size)
    return checked


def _problem(item: Item) -> str | None:
    """Return what is wrong with an entry, None if nothing is, or if it is gone."""
    path = item.entry.path
    while (before := _identity(path)) is not None:
        try:
            with cache_scan.unnoticed(path):
                problem = _look(item)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if problem is None or _identity(path) == before:
            return problem
        # another process has put another file there meanwhile, which is judged on its own
    return None


def _look(item: Item) -> str | None:
    entry = item.entry
    if entry.kind == "pin":
        return item.problem
    if entry.kind in ("raw", "registry"):  # called by all, or by the beginning, of their digests
        digest = cache.sha256_of(entry.path)
        return None if digest.startswith(entry.path.stem) else f"its sha256 is {digest}"
    try:
        kept_weights.check(entry.path)
    except FormatError as error:
        return str(error).removeprefix(f"{entry.path}: ")
    return None


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when another file takes the place of this one; None if there is none."""
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _mend(item: Item, problem: str, known: Known) -> Finding:
    """Make an entry anew or remove it, if it is ours."""
    entry, name = item.entry, next(iter(item.records), None)
    if entry.shared:
        return _finding(item, problem, "left", cache.whose(entry.path))
    if entry.kind == "pin":
        how = f"Run `videohub cache pins --forget {name}`" if name else "Remove the file"
        advice = f"Without it a changed file would not be noticed. {how} to trust its URL anew."
        return _finding(item, problem, "left", advice)
    if entry.kind == "registry":
        return _finding(item, problem, "left", "`videohub unbundle` of the bundle it came in brings it again.")
    try:
        cache_scan.remove(entry)
    except CacheError as error:
        return _finding(item, problem, "left", str(error))
    if cache.find(entry.path.parent.name, entry.path.name):
        return _finding(item, problem, "removed", "A read-only cache dir has it, too, and goes first.")
    if entry.kind == "converted" and (made := known.maker(entry)):
        return _rebuild(item, problem, *made, is_published=known.digest(made[0]) == entry.sha256)
    needed = f"`videohub fetch {name}` brings it again." if name and item.status != "stale" else ""
    return _finding(item, problem, "removed", needed or "Nothing known here uses it.")


def _rebuild(item: Item, problem: str, record: Record, ignore: Sequence[str], *, is_published: bool) -> Finding:
    """Make weights anew from the file they were made from; what is not here is not fetched."""
    command = " ".join([f"videohub fetch {record.name}", *(f'--ignore "{pattern}"' for pattern in ignore)])
    source = _source(item.entry.sha256 or "", record)
    if source is None:
        command += "" if is_published else " --checkpoint FILE"
        return _finding(item, problem, "removed", f"`{command}` makes it anew.")
    try:
        weights.fetch(record, checkpoint=source, ignore=ignore)
    except VideohubError as error:
        return _finding(item, problem, "removed", str(error))
    return _finding(item, problem, "rebuilt", f"It was made anew from {source}.")


def _source(sha256: str, record: Record) -> Path | None:
    """Return a file on this machine with this digest."""
    if record.checkpoint.beside:  # one file of several is not enough
        return None
    places = [cache_dir / "raw" / sha256 for cache_dir, _ in cache_scan.dirs()]
    if (url := record.checkpoint.url or "").startswith("file:"):
        places.append(path_of(url))
    return next((place for place in places if place.is_file() and cache.sha256_of(place) == sha256), None)


def _finding(item: Item, problem: str, done: str, advice: str) -> Finding:
    entry = item.entry
    return Finding(entry.kind, str(entry.path), item.records, entry.shared, problem, done, advice)
