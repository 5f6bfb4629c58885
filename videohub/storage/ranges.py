"""Bytes from a start to a stop of a file, wherever it lies, and its size and version."""

from __future__ import annotations

import os
from typing import BinaryIO, cast

from videohub.errors import DataError, FileMissingError, UsageError
from videohub.storage.locations import check_online, scheme_of, shown
from videohub.storage.range_reader import RangeReader
from videohub.storage.versions import Stat, changed


def stat(location: str) -> Stat:
    """Return size and version of a file. A server is asked once, for the first byte.

    Raises: FileMissingError if there is none; UsageError of a folder or an unknown scheme; OfflineError; DownloadError
        after as many attempts as a download has; DataError if it cannot be read.
    """
    if scheme_of(location):
        from videohub.storage import http_ranges  # which imports requests

        check_online(location)
        return Stat(*http_ranges.ask(location))
    with _opened(location) as file:
        return _local_stat(file)


def read_range(location: str, start: int, stop: int, *, version: str | None = None) -> bytes:
    """Return exactly the bytes from `start` up to `stop`.

    Servers are asked again after what may pass, with growing pauses. What no protocol can tell is a server that sends
    other bytes under the right headers: whoever knows what should be there has to look.

    Args:
        version: Of the file that is meant, as `stat` told it; None takes the file that is there.
    Raises: FileChangedError if the file has another version; DataError if it ends before `stop`; and as `stat`.
    """
    if not 0 <= start <= stop:
        raise ValueError(f"found bytes {start} to {stop}, expected 0 <= start <= stop")
    if scheme_of(location):
        from videohub.storage import http_ranges

        check_online(location)
        return http_ranges.fetch(location, start, stop, version=version) if start < stop else b""
    with _opened(location) as file:
        try:
            file.seek(start)
            data = file.read(stop - start)
        except OSError as error:
            raise DataError(f"{location}: bytes {start} to {stop} cannot be read: {error.strerror}") from error
        found = _local_stat(file)  # afterwards, so that no change since then goes unseen
    if version is not None and found.version != version:
        raise changed(location, found=found.version, expected=version)
    if len(data) != stop - start:
        raise DataError(f"{location}: has {found.size} bytes, expected at least {stop}; it may have been cut short")
    return data


def open_range(location: str, start: int, stop: int, *, version: str | None = None) -> BinaryIO:
    """Return a seekable file of the bytes from `start` to `stop`, which are read in blocks when they are needed.

    It keeps a few blocks of some megabytes, however long it is. Reading and errors are as in `read_range`.
    """
    if not 0 <= start <= stop:
        raise ValueError(f"found bytes {start} to {stop}, expected 0 <= start <= stop")

    def read(begin: int, end: int) -> bytes:
        return read_range(location, start + begin, start + end, version=version)

    return cast(BinaryIO, RangeReader(read, stop - start))


def read_all(location: str, *, largest: int = 256 << 20) -> bytes:
    """Return the whole of a small file, such as a list or an index.

    Raises: DataError if it has more than `largest` bytes; and as `read_range`.
    """
    found = stat(location)
    if found.size > largest:
        raise DataError(f"{shown(location)}: has {found.size} bytes, expected a file of at most {largest}")
    return read_range(location, 0, found.size, version=found.version)


def _opened(path: str) -> BinaryIO:
    """Return a local file, open for reading. Raises: FileMissingError, UsageError, DataError."""
    if not os.path.isfile(path) and os.path.exists(path):
        raise UsageError(f"{path}: found a folder, a pipe or a device, expected a file")
    try:
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileMissingError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: cannot be read: {reason}") from error


def _local_stat(file: BinaryIO) -> Stat:
    status = os.fstat(file.fileno())
    return Stat(status.st_size, f"{status.st_size} bytes, {status.st_mtime_ns} ns")
