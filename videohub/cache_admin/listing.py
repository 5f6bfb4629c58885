"""The cache at a glance: every entry, the records that it belongs to, whether they would use it; and what may go."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import msgspec

from videohub import registry, weights
from videohub.cache_admin import cache_scan
from videohub.cache_admin.cache_scan import Entry
from videohub.convert import kept_weights
from videohub.errors import FormatError, VideohubError
from videohub.escaping import brief
from videohub.hub import cache, sources
from videohub.hub.pins import Pin
from videohub.registry.known_answers import FileClip
from videohub.registry.schema import Checkpoint, FileBeside, Record

Status: TypeAlias = Literal[
    "current",  # a record known here would use it
    "redundant",  # a published file whose converted weights are here, a pin of what the registry states by now
    "stale",  # belongs to a record, a table or a converter as they were
    "local",  # made from a file given with --checkpoint, and not from the one that its record names
    "unknown",  # no record known here names it
    "unfinished",  # a download or a conversion that was cut off
    "damaged",
    "unreadable",  # another user's, who has not allowed us to look
    "at work",  # a process may be writing it
    "not ours",
]


@dataclass(frozen=True)
class Item:
    """One entry of the cache, and what it is to the records known here."""

    entry: Entry
    status: Status
    records: Sequence[str] = ()
    url: str | None = None
    problem: str | None = None
    bundle: str | None = None  # that alone says which published file this is, or was made from
    source: str | None = None  # name of the file that local weights were made from, as their header says

    @property
    def age_s(self) -> float:
        """Seconds since the last use; 0 where a clock that jumped says that it is yet to come."""
        return max(0.0, time.time() - self.entry.used)

    def facts(self) -> dict[str, Any]:
        """Return the values that --json prints."""
        return {
            "kind": self.entry.kind,
            "status": self.status,
            "records": list(self.records),
            "size": self.entry.size,
            "age_s": round(self.age_s),
            "path": str(self.entry.path),
            "cache_dir": str(self.entry.cache_dir),
            "read_only": self.entry.shared,
            "sha256": self.entry.sha256,
            "url": self.url,
            "problem": self.problem,
            "bundle": self.bundle,
            "source": self.source,
        }


def items() -> list[Item]:
    """Return everything in the cache dirs, one after the other.

    Raises: CacheError if a folder cannot be read; RegistryError.
    """
    entries = cache_scan.entries()
    return list(map(Known(entries).item, entries))


class Known:
    """What the records known here say of digests, URLs and converted weights, with the pins of the cache."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.records = registry.default().records
        self.pins: dict[str, Pin] = {}
        for entry in entries:
            if entry.pin:
                self.pins.setdefault(entry.pin.url, entry.pin)  # the first cache dir's binds
        self._headers = {entry.path: _header(entry) for entry in entries if entry.kind == "converted"}
        self._clips: dict[str, list[str]] = {}  # address of a known answer's clip -> the records that know of it
        for name, record in self.records.items():
            for answer in record.known_answers:
                if isinstance(answer.input, FileClip):
                    self._clips.setdefault(answer.input.url, []).append(name)

    @functools.cached_property
    def _files(self) -> list[tuple[Record, Checkpoint | FileBeside]]:
        return [(record, file) for record in self.records.values() for file in record.checkpoint.files]

    def digest(self, file: Checkpoint | FileBeside) -> str | None:
        """Return the digest of a published file, as far as it is known here."""
        pin = self.pins.get(file.url or "")
        return file.sha256 or (pin.sha256 if pin else None)

    def maker(self, entry: Entry) -> tuple[Record, list[str]] | None:
        """Return the record, and what it was told to ignore, that would make converted weights of this name today."""
        (header, _), sha256 = self._headers[entry.path], entry.sha256 or ""
        record, ignore = self.records.get(_name_in(header)), _ignored_in(header)
        keys = _keys(record, ignore) if record else []
        if record and entry.path.name in {cache.converted_name(sha256, key) for key in keys}:
            return record, ignore
        made = (each for key, each in self._by_key.items() if entry.path.name == cache.converted_name(sha256, key))
        return next(((each, []) for each in made), None)

    @functools.cached_property
    def _by_key(self) -> dict[str, Record]:
        """All records by their conversion keys: for weights that are damaged where they say whose they are.

        To compute them all takes a second, and a record's name is part of its keys.
        """
        return {key: record for record in self.records.values() for key in _keys(record)}

    def item(self, entry: Entry) -> Item:
        """Return an entry with what it is to the records."""
        item = replace(self._item(entry), bundle=self._bundle(entry))
        if item.status == "unknown" and (url := self._clip(entry)):
            item = replace(item, status="current", records=list(dict.fromkeys(self._clips[url])), url=url)
        return replace(item, status="unreadable", problem=entry.unreadable) if entry.unreadable else item

    def _clip(self, entry: Entry) -> str | None:
        """Return the address of a known answer's clip that an entry is of."""
        seen = {url: self.pins[url].sha256 for url in self._clips if url in self.pins}
        return next((url for url, sha256 in seen.items() if entry.url == url or entry.sha256 == sha256), None)

    def _bundle(self, entry: Entry) -> str | None:
        """Return the bundle that alone says what an entry's digest is of; None if a registry or a download does."""
        if any(file.sha256 == entry.sha256 for _, file in self._files):
            return None
        bundles = [pin.bundle for pin in self.pins.values() if pin.sha256 == entry.sha256]
        return bundles[0] if bundles and all(bundles) else None

    def _item(self, entry: Entry) -> Item:
        if entry.kind == "other":
            return Item(entry, "not ours")
        if entry.kind == "raw":
            return self._raw(entry)
        if entry.kind == "converted":
            return self._of_weights(entry)
        if entry.kind == "pin":
            return self._of_pin(entry)
        if entry.kind == "registry":
            return Item(entry, "current" if entry.path.resolve() in registry.files() else "unknown")
        status: Status = "at work" if entry.at_work else "unfinished"
        return Item(entry, status, self._working_on(entry), entry.url)

    def _raw(self, entry: Entry) -> Item:
        of = [
            (record, file)
            for record, file in self._files
            if self.digest(file) == entry.sha256 and not (record.checkpoint.url or "").startswith("file:")
        ]
        known = [*(file for _, file in of), *(pin for pin in self.pins.values() if pin.sha256 == entry.sha256)]
        records = {record.name: record for record, _ in of}
        item = Item(entry, "current", list(records), next((each.url for each in known), None))
        if odd := {each.size for each in known} - {None, entry.size}:
            return replace(item, status="damaged", problem=f"has {entry.size} bytes, expected {odd.pop()}")
        if records:
            here = {path.name for path in self._headers}
            made = [{cache.converted_name(self.digest(each.checkpoint) or "", key) for key in _keys(each)}
                    for each in records.values()]  # fmt: skip
            return replace(item, status="redundant" if all(names & here for names in made) else "current")
        was = [
            name
            for path, (header, _) in self._headers.items()
            if path.name.startswith(f"{entry.sha256}-") and (name := _name_in(header)) in self.records
        ]
        return replace(item, status="stale" if was else "unknown", records=list(dict.fromkeys(was)))

    def _of_weights(self, entry: Entry) -> Item:
        header, problem = self._headers[entry.path]
        made = self.maker(entry)
        name = made[0].name if made else _name_in(header)
        item = Item(entry, "stale", [name] if name else [], problem=problem)
        if problem:
            return replace(item, status="damaged")
        if name not in self.records:
            return replace(item, status="unknown")
        if made is None:
            return item
        published, url = self.digest(made[0].checkpoint), made[0].checkpoint.url or ""
        if published is None and url.startswith("file:"):  # hashing it would make a listing slow; its name will do
            is_current = header.get("source") == sources.path_of(url).name
        else:
            is_current = published == entry.sha256
        if is_current:
            return replace(item, status="current")
        return replace(item, status="local", source=brief(header.get("source", "")) or None)

    def _of_pin(self, entry: Entry) -> Item:
        of = [(record, file) for record, file in self._files
              if file.url and cache.key_of(file.url) == entry.path.stem]  # fmt: skip
        url = entry.url or next((file.url for _, file in of), None)
        item = Item(entry, "current", list(dict.fromkeys(record.name for record, _ in of)), url, entry.problem)
        if entry.problem:
            return replace(item, status="damaged")
        if not of:
            return replace(item, status="unknown")
        if None in (stated := {file.sha256 for _, file in of}):
            return item
        return replace(item, status="redundant" if entry.sha256 in stated else "stale")

    def _working_on(self, entry: Entry) -> list[str]:
        """Return the records that a download or a conversion is of."""
        work = cache_scan.work_of(entry.path)
        of = [record.name for record, file in self._files
              if file.url and work in (cache.key_of(file.url)[:32], (self.digest(file) or "")[:32])]  # fmt: skip
        return list(dict.fromkeys(of))


def _keys(record: Record, ignore: Sequence[str] = ()) -> list[str]:
    """Return the conversion keys of a record, none where it has no table: then nothing can be made for it."""
    try:
        return [*weights.conversion_keys(record, ignore).values()]
    except VideohubError:
        return []


def _header(entry: Entry) -> tuple[dict[str, str], str | None]:
    """Return what converted weights say of themselves, or nothing and why."""
    try:
        with cache_scan.unnoticed(entry.path):
            return kept_weights.origin(entry.path), None
    except FormatError as error:
        return {}, str(error).removeprefix(f"{entry.path}: ")
    except OSError as error:
        return {}, f"cannot be read: {error.strerror}"


def _name_in(header: dict[str, str]) -> str:
    """Return the name of the record that converted weights were made for, or nothing."""
    try:
        return str(json.loads(header.get("record", "{}"))["name"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _ignored_in(header: dict[str, str]) -> list[str]:
    """Return the patterns of published keys that were left aside when weights were made."""
    try:
        return msgspec.json.decode(header.get("ignore", "[]"), type=list[str])
    except (msgspec.MsgspecError, ValueError, RecursionError):  # the first is not always a ValueError
        return []


_KINDS = ("raw", "converted", "partial", "pin", "registry", "lock", "other")


@dataclass(frozen=True)
class CacheDir:
    """One folder of the cache; `entries` are ours, sorted so that what belongs to one record stands together."""

    path: str
    read_only: bool
    entries: Sequence[Item]
    foreign: Sequence[Item]  # of other programs

    @property
    def size(self) -> int:
        """Bytes that our entries take."""
        return sum(item.entry.size for item in self.entries)

    def sizes(self) -> dict[str, int]:
        """Return the bytes that each kind takes, where there are any."""
        sizes = {kind: sum(item.entry.size for item in self.entries if item.entry.kind == kind) for kind in _KINDS}
        return {kind: size for kind, size in sizes.items() if size}

    def facts(self) -> dict[str, Any]:
        """Return the values that --json prints."""
        return {
            "path": self.path,
            "read_only": self.read_only,
            "size": self.size,
            "sizes": self.sizes(),
            "entries": [item.facts() for item in (*self.entries, *self.foreign)],
        }


def listing() -> list[CacheDir]:
    """Return the cache dirs in the order in which they are looked in.

    Raises: CacheError if a folder cannot be read; RegistryError.
    """
    everything = items()
    cache_dirs = []
    for path, shared in cache_scan.dirs():
        here = [item for item in everything if item.entry.cache_dir == path]
        ours = sorted((item for item in here if item.entry.kind != "other"), key=_place)
        cache_dirs.append(CacheDir(str(path), shared, ours, [item for item in here if item.entry.kind == "other"]))
    return cache_dirs


def _place(item: Item) -> tuple[bool, list[str], int, float]:
    """Sort by record, then in the order the data travels, then the latest first; what belongs to none comes last."""
    return not item.records, list(item.records), _KINDS.index(item.entry.kind), -item.entry.used


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
    entries = [item for item in items() if not item.entry.shared and item.entry.kind != "other"]
    size = left = sum(item.entry.size for item in entries)
    chosen: list[Item] = []
    busy: list[Item] = []
    for item in sorted(entries, key=lambda item: item.entry.used):
        if keep is not None and left <= keep:
            break
        status = "unfinished" if item.status == "at work" and "unfinished" in statuses else item.status
        if item.entry.kind in ("pin", "registry") or (statuses and status not in statuses):
            continue
        if older_s is not None and item.age_s < older_s:
            continue
        if item.status == "at work" or (remove and not cache_scan.remove(item.entry)):
            busy.append(item)
            continue
        chosen.append(item)
        left -= item.entry.size
    return Pruned(remove, chosen, busy, size)
