"""While a CPU evaluates, memory that is freed stays with the process: the next layer writes to pages that are there."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_KEEPING = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
# What they come to by themselves once large blocks have been freed; told anything, glibc leaves them as they are.
_BY_ITSELF = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 * 1024**2, _TRIM_THRESHOLD: 64 * 1024**2}
_OF_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")

_lock = threading.RLock()  # a collection may close a forgotten evaluation anywhere, here too
_inside = 0


def _unlock() -> None:
    """Take another lock: in a child of a fork, whoever held this one is not there to let it go."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_unlock)


@contextmanager
def kept_memory(device: str | torch.device = "cpu") -> Iterator[None]:
    """Let glibc keep what this process frees until the last one who asked for it leaves; then give back what is free.

    For a loop of one's own around a network on a CPU: `with videohub.kept_memory(): …`. An evaluation and `predict`
    have it by themselves.

    By itself glibc hands large blocks back to the system when they are freed, and the system clears every page that is
    asked for again. On two cores, one view, in float32, networks' inference forms take without and with this: I3D 8x8
    0.77 and 0.65 s, C2D 8x8 0.88 and 0.78, Slow 8x8 0.93 and 0.85; SlowFast's layers are smaller, it gains little.

    It holds for all of the process's main thread; in others glibc keeps only blocks below 64 MiB. Blocks of ever other
    sizes leave holes, so somewhat more memory is taken. Afterwards what glibc keeps no longer adapts itself.

    With another C library, for another device than a CPU, or where the environment says what glibc shall keep, nothing
    is done.
    """
    kind = device if isinstance(device, str) else device.type
    library = _glibc() if kind.partition(":")[0] == "cpu" else None
    if library is None:
        yield
        return
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _set(library, _KEEPING)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(library, _BY_ITSELF)
                library.malloc_trim(ctypes.c_size_t(0))


def _glibc() -> ctypes.CDLL | None:
    """Return the C library of this process if it is glibc, and nobody else has told it what to keep."""
    if any(name in os.environ for name in _OF_THE_USER) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    try:
        return ctypes.CDLL(None) if os.confstr("CS_GNU_LIBC_VERSION") else None
    except (AttributeError, ValueError, OSError):  # Windows has no such question, and others do not know this one
        return None


def _set(library: ctypes.CDLL, parameters: Mapping[int, int]) -> None:
    for parameter, value in parameters.items():
        library.mallopt(parameter, value)
