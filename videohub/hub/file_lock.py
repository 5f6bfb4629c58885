"""One process at a time on the same piece of work, where the file system can tell; nothing relies on it.

A lock saves a second download or conversion and no more. Some cluster file systems refuse locks, some grant them to
everybody, a holder may be stopped for ever: in all these cases the work is done twice and comes out the same.

filelock takes the lock. By hand are what it does not know: the heartbeat by which a holder that stands still is told
from one at work, and locks on files that have a content, which it would truncate, or that are only to be asked about.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from videohub.hub import cache
from videohub.log import log

try:
    import fcntl
except ImportError:  # Windows, where filelock has other means, and what has no locks at all
    _HAS_FLOCK = False
else:
    _HAS_FLOCK = True

STALE_AFTER_S = 120.0  # a holder without a heartbeat for so long is not waited for
_POLL_S = 0.05
_NOTICE_S = 2.0


@dataclass
class Lock:
    """A lock on a piece of work: `acquired` if nobody else is at it, as far as locks can tell."""

    acquired: bool
    path: Path
    last_beat: float = 0.0

    def heartbeat(self) -> None:
        """Show those who wait that there is progress."""
        if self.acquired and time.monotonic() - self.last_beat > 1:
            with suppress(FileNotFoundError):  # where locks do nothing, somebody else has removed it
                os.utime(self.path)
            self.last_beat = time.monotonic()


@contextmanager
def file_lock(key: str, *, what: str) -> Iterator[Lock]:
    """Wait until nobody else is at work on `key`; `what` is said if that takes long."""
    path = _path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    acquired = _acquire(lock, path, what)
    try:
        yield Lock(acquired, path)
    finally:
        if acquired:
            with suppress(PermissionError):  # Windows removes no open file; filelock does it there
                path.unlink(missing_ok=True)  # first, so that nobody who opens it later believes in it
            lock.release()


def try_flock(handle: int) -> bool:
    """Lock an open file for as long as it stays open; False if another process holds it, or locks do not work."""
    if not _HAS_FLOCK:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Tell whether a process holds a lock on a file, without taking it from anybody."""
    if not _HAS_FLOCK:
        return False
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    finally:
        os.close(handle)
    return False


def is_taken(key: str) -> bool:
    """Tell whether somebody is at work on `key`, or was killed at it."""
    return _path(key).exists()


def _path(key: str) -> Path:
    return cache.place("locks", f"{key[:32]}.lock")


def _acquire(lock: FileLock, path: Path, what: str) -> bool:
    """Wait for a lock; False where there is no getting it."""
    if not _HAS_FLOCK and os.name != "nt":
        return False  # a mere file, which a killed holder leaves, is no lock
    try:
        lock.acquire(poll_interval=_POLL_S, cancel_check=_Holder(path, what).is_stale)
    except (Timeout, PermissionError):  # the second: another user's, in a cache that a group shares
        return False
    except OSError as error:  # the file system refuses
        if error.errno != errno.ELOOP:  # a link: it was not made here, and may lead anywhere
            path.unlink(missing_ok=True)
        return False
    return True


class _Holder:
    """Who holds a lock that is waited for, by its heartbeats: the dates of its file, which only have to change."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self.begun = self.seen = time.monotonic()
        self.beat: int | None = None
        self.noticed = False

    def is_stale(self) -> bool:
        """Tell whether to wait no longer; says once that somebody is waited for."""
        now = time.monotonic()
        try:
            beat = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            beat = -1
        if beat != self.beat:
            self.beat, self.seen = beat, now
        if now - self.seen > STALE_AFTER_S:
            log.warning("%s: another process holds %s without a sign of life; not waiting for it", self.what, self.path)
            return True
        if not self.noticed and now - self.begun > _NOTICE_S:
            self.noticed = True
            log.warning("%s: another process is at it; waiting", self.what)
        return False
