"""What lies in the cache, told by names and places: every entry of every cache dir, how large, when it was last used.

What other programs put there is named, and never touched.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from videohub.errors import CacheError
from videohub.hub import cache, pins
from videohub.hub.file_lock import STALE_AFTER_S, is_held
from videohub.hub.partial_download import Note
from videohub.hub.pins import Pin

_KINDS = {"pins": "pin", "registries": "registry", "locks": "lock"}  # the others are called as their folder is
_STRAY = re.compile(r"\..*\.part")  # what a writer that was killed leaves beside its target


@dataclass(frozen=True)
class Entry:
    """One thing in the cache.

    `shared` is true in a read-only cache dir, `at_work` if a process may be writing it. `sha256` is what the name
    or the pin states. `pin` is what a pin says, `url` what a download is of, `problem` why a pin cannot be read,
    `unreadable` why nothing of it can, for its content may be sound.
    """

    kind: str  # raw, converted, partial, pin, registry, lock; other: not ours
    path: Path
    cache_dir: Path
    shared: bool
    size: int
    used: float  # when it was last read or written, in seconds since the epoch
    at_work: bool = False
    sha256: str | None = None
    pin: Pin | None = None
    url: str | None = None
    problem: str | None = None
    unreadable: str | None = None


def entries() -> list[Entry]:
    """Return everything in the cache dirs, one after the other.

    Raises: CacheError if a folder cannot be read.
    """
    with cache.at_work("the cache cannot be listed"):
        return [
            entry
            for cache_dir, shared in dirs()
            for path in _walk(cache_dir, shared)
            for entry in _entry(path, cache_dir, shared)
        ]


def dirs() -> list[tuple[Path, bool]]:
    """Return the folders of the cache in the order in which they are looked in, and whether each is read-only."""
    *shared, home = cache.dirs()
    distinct: dict[str, tuple[Path, bool]] = {}
    for cache_dir in shared:
        distinct.setdefault(os.path.realpath(cache_dir), (cache_dir, True))  # one folder may be named twice
    distinct.setdefault(os.path.realpath(home), (home, False))
    return list(distinct.values())


def remove(entry: Entry) -> bool:
    """Remove an entry of our own cache dir; returns False, and leaves it, if a process came to be at work on it.

    Raises: CacheError if the entry is not ours to remove, or the file system refuses.
    """
    if entry.shared or entry.kind == "other" or not cache.is_ours(entry.path):
        raise CacheError(f"{entry.path}: is not ours to remove")
    if entry.kind in ("partial", "lock") and _has_a_writer(entry.path, entry.cache_dir):
        return False
    with cache.at_work(f"{entry.path}: cannot be removed"):
        for path in _files(entry.path, entry.kind):
            cache.remove(path)
    return True


def work_of(path: Path) -> str:
    """Return what the name of a part, a stray or a lock says of the work: the beginning of a URL's key or a digest."""
    return path.name.removeprefix(".")[:32]


@contextmanager
def unnoticed(path: Path) -> Iterator[None]:
    """Let a look at a file's content not count as a use of it, as far as the file system allows; only of our own."""
    if path.is_symlink() or not cache.is_ours(path):
        yield
        return
    before = path.stat()
    try:
        yield
    finally:
        with suppress(OSError):  # removed meanwhile, or somebody else's
            if path.stat().st_mtime_ns == before.st_mtime_ns:
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _walk(cache_dir: Path, shared: bool) -> Iterator[Path]:
    """Yield what is in a cache dir's folders, and what else lies beside them; what is not ours is not looked into."""
    try:
        for path in _children(cache_dir):
            if path.name in ("compiled", "shards"):  # what only saves time
                continue
            if path.name in cache.NAMES and path.is_dir():
                yield from _children(path)
            else:
                yield path
    except PermissionError:
        if not shared:
            raise
        cache.tell_once(cache_dir)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _entry(path: Path, cache_dir: Path, shared: bool) -> Iterator[Entry]:
    """Yield the entry at a path, unless it is gone meanwhile or part of another one's."""
    kind = _kind(path, cache_dir)
    shared = shared or (kind != "other" and not cache.is_ours(path))  # a folder of ours may lead elsewhere
    files = _files(path, kind)
    if not files or files[0] != path:
        return
    try:
        stats = [file.lstat() if kind == "other" else file.stat() for file in files]
        unreadable = None if kind == "other" else cache.unreadable(path)
    except FileNotFoundError:
        return
    name = cache.NAMES[kind].fullmatch(path.name) if kind in ("raw", "converted") else None
    pin, problem = _read_pin(path) if kind == "pin" else (None, None)
    note = None
    if kind == "partial":
        with suppress(OSError, ValueError), unnoticed(path.with_suffix(".json")):
            note = cache.read_note(path.with_suffix(".json"), Note)
    yield Entry(
        kind,
        path,
        cache_dir,
        shared,
        size=0 if path.is_dir() else sum(one.st_size for one in stats),
        used=max(stats[0].st_atime, stats[0].st_mtime),
        at_work=kind in ("partial", "lock") and not shared and _has_a_writer(path, cache_dir),
        sha256=name["sha256"] if name else pin.sha256 if pin else None,
        pin=pin,
        url=pin.url if pin else note.file if note else None,
        problem=problem,
        unreadable=unreadable,
    )


def _kind(path: Path, cache_dir: Path) -> str:
    folder = path.parent.name
    if path.parent == cache_dir or not path.is_file():
        return "other"
    if folder != "locks" and _STRAY.fullmatch(path.name):
        return "partial"
    return _KINDS.get(folder, folder) if cache.NAMES[folder].fullmatch(path.name) else "other"


def _files(path: Path, kind: str) -> list[Path]:
    """Return the files that an entry consists of: a download has a note, and either may have been left alone."""
    if kind != "partial" or not cache.NAMES["partial"].fullmatch(path.name):
        return [path]
    return [file for file in (path.with_suffix(".part"), path.with_suffix(".json")) if file.is_file()]


def _read_pin(path: Path) -> tuple[Pin | None, str | None]:
    """Return what a pin says, or why it says nothing."""
    try:
        with unnoticed(path):
            return pins.read(path), None
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except ValueError as error:
        return None, str(error)


def _has_a_writer(path: Path, cache_dir: Path) -> bool:
    """Tell whether a process may be at work on what is no whole file; where locks do nothing, the date has to tell."""
    if is_held(cache_dir / "locks" / f"{work_of(path)}.lock") or is_held(path):
        return True
    try:
        return abs(time.time() - path.stat().st_mtime) < STALE_AFTER_S
    except FileNotFoundError:
        return False
