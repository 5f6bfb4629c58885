"""One process at a time on the same piece of work, where the file system can tell; nothing relies on it.

A lock saves a second download or conversion and no more. Some cluster file systems refuse locks, some grant them to
everybody, a holder may be stopped for ever: in all these cases the work is done twice and comes out the same.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from videohub.hub import cache
from videohub.log import log

try:
    import fcntl
except ImportError:  # Windows has no such locks
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

QUIET_S = 120.0  # a holder without a sign of life for so long is not waited for
_LOOK_S = 0.05
_NOTICE_S = 2.0
_BUSY = {errno.EAGAIN, errno.EACCES}


@dataclass
class Turn:
    """Whose turn it is: `alone` if nobody else is at the same work, as far as locks can tell."""

    alone: bool
    path: Path
    told: float = 0.0

    def sign(self) -> None:
        """Show those who wait that there is progress."""
        if self.alone and time.monotonic() - self.told > 1:
            with suppress(FileNotFoundError):  # where locks do nothing, somebody else has removed it
                os.utime(self.path)
            self.told = time.monotonic()


@contextmanager
def only_one(key: str, *, what: str) -> Iterator[Turn]:
    """Wait until nobody else is at work on `key`; `what` is said if that takes long."""
    path = _path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _acquire(path, what)
    try:
        yield Turn(handle is not None, path)
    finally:
        if handle is not None:
            path.unlink(missing_ok=True)  # first, so that nobody who opens it later believes in it
            os.close(handle)


def hold(handle: int) -> bool:
    """Lock an open file for as long as it stays open; False if another process holds it, or locks do not work."""
    if not _HAS_LOCKS:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_still(path: Path, handle: int) -> bool:
    """Tell whether the name still leads to the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def is_taken(key: str) -> bool:
    """Tell whether somebody is at work on `key`, or was killed at it."""
    return _path(key).exists()


def _path(key: str) -> Path:
    return cache.place("locks", f"{key[:32]}.lock")


def _acquire(path: Path, what: str) -> int | None:
    """Return an open file that holds the lock, or None where there is no getting it."""
    if not _HAS_LOCKS:
        return None

    begun = seen = time.monotonic()
    life = -1
    noticed = False
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except PermissionError:  # another user's, in a cache that a group shares
            return None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return None  # a link: it was not made here, and may lead anywhere
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_still(path, handle):
                return handle
            os.close(handle)  # its last holder removed it in between
            continue
        except OSError as error:
            os.close(handle)
            if error.errno not in _BUSY:
                path.unlink(missing_ok=True)
                return None
        now = time.monotonic()
        if (sign := _sign_of(path)) != life:
            life, seen = sign, now
        if now - seen > QUIET_S:
            log.warning("%s: another process holds %s without a sign of life; not waiting for it", what, path)
            return None
        if not noticed and now - begun > _NOTICE_S:
            noticed = True
            log.warning("%s: another process is at it; waiting", what)
        time.sleep(_LOOK_S)


def _sign_of(path: Path) -> int:
    """Return the time that the holder last set, as a mark that changes; clocks are not compared."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return -2
