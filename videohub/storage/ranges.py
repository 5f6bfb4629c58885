"""Bytes from a start to a stop of a file, wherever it lies: at once, as a file of their own, or many ahead of time."""

from __future__ import annotations

import functools
import io
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

import msgspec

from videohub.errors import DataError, FileMissingError, UsageError, VideohubError
from videohub.storage.locations import changed, check_online, scheme_of, shown

BLOCK = 4 << 20  # bytes that a reader takes at once
KEPT = 6  # blocks, and one that comes; a demuxer goes back and forth between the index, at an end, and where it reads
REQUESTS = 16  # at once; at 50 ms each that is some 300 videos a second, and few servers mind as many
MEMORY = 256 << 20  # bytes that were read or asked for and not yet taken
SMALL = 64 << 20  # bytes of a file that may be read whole: a list, or an index of a million members
_ITEMS = 4  # for each request, that may wait: an item without a range takes no memory

_Key = TypeVar("_Key")


class Stat(msgspec.Struct, frozen=True):
    """A file's size in bytes, and what changes with its content.

    `version` is the server's ETag (of a file on the hub the digest of its content, of one in Google's storage its
    generation); where there is none the date of its last change, with the size. Of a local file: size and date.
    """

    size: int
    version: str

    @property
    def tells_changes(self) -> bool:
        """Whether the server marks its files, so that another one of the same size has another version."""
        return self.version != f"{self.size} bytes"


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
        status = _local_stat(file)  # afterwards, so that no change since then goes unseen
    if version is not None and status.version != version:
        raise changed(location, version=status.version, expected=version)
    if len(data) != stop - start:
        raise DataError(f"{location}: has {status.size} bytes, expected at least {stop}; it may have been cut short")
    return data


def read_all(location: str) -> bytes:
    """Return the whole of a small file. Raises: DataError if it has more than `SMALL` bytes; and as `read_range`."""
    status = stat(location)
    if status.size > SMALL:
        raise DataError(f"{shown(location)}: has {status.size} bytes, expected a file of at most {SMALL}")
    return read_range(location, 0, status.size, version=status.version)


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


# --- as a file -------------------------------------------------------------------------------------------------------


class RangeReader(io.RawIOBase):
    """Bytes 0 to `size` of what `read(start, stop)` gives; for one thread at a time."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self._size, self._position = size, 0
        self._block = functools.lru_cache(KEPT)(lambda at: read(at * BLOCK, min((at + 1) * BLOCK, size)))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; one behind the end is allowed, and reads nothing. Raises: ValueError before the start."""
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise ValueError(f"found position {begin + offset}, expected none before the start")
        self._position = begin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read what lies in one block, at most."""
        if self.closed:
            raise ValueError("this file is closed")
        view = memoryview(buffer).cast("B")
        if self._position >= self._size or not len(view):
            return 0
        number, within = divmod(self._position, BLOCK)
        piece = self._block(number)[within : within + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as many bytes as are asked for, unless the end comes first."""
        rest = max(0, self._size - self._position)
        length = rest if size is None or size < 0 else min(size, rest)
        data = bytearray(length)
        view, filled = memoryview(data), 0
        while filled < length:
            filled += self.readinto(view[filled:])
        return bytes(data)

    def close(self) -> None:
        self._block.cache_clear()
        super().close()


# --- ranges that are read before they are asked for, several requests at once, so that no reader waits for each answer


class Range(NamedTuple):
    """Bytes `start` to `stop` of a file, of the version that `stat` told."""

    location: str
    start: int
    stop: int
    version: str | None = None


def read_ahead(
    items: Iterable[tuple[_Key, Range | None]], *, requests: int = REQUESTS, memory: int = MEMORY
) -> Generator[tuple[_Key, bytes | VideohubError | None], None, None]:
    """Yield each item's bytes, or the error for which they cannot be had, in the order of the items.

    An error comes after all the attempts of `read_range`, as a value: what it means for the others is the caller's
    question. The threads belong to the process that iterates, and end with the generator; one that waits for a server
    then does not keep the process from ending.

    Args:
        items: Each with the caller's name for it; they are taken as they are needed. None instead of a range, of what
            is not read here, passes through in its place.
        requests: How many are under way at the same time.
        memory: Bytes that may be read or under way and not yet yielded; a range that is larger comes alone.
    """
    waiting: queue.SimpleQueue[_Job[_Key] | None] = queue.SimpleQueue()
    stopped = threading.Event()
    jobs = (_Job(key, range_) for key, range_ in items)
    ahead: deque[_Job[_Key]] = deque()
    threads = held = 0
    following = next(jobs, None)
    try:
        while ahead or following:
            while following and len(ahead) < _ITEMS * requests and (held + following.size <= memory or not ahead):
                ahead.append(following)
                held += following.size
                if following.range:
                    waiting.put(following)
                    if threads < requests:
                        threads += 1
                        threading.Thread(
                            target=_work, args=(waiting, stopped), daemon=True, name="videohub-storage"
                        ).start()
                following = next(jobs, None)
            job = ahead.popleft()
            if job.range:
                job.done.wait()
            if isinstance(job.outcome, BaseException) and not isinstance(job.outcome, VideohubError):
                raise job.outcome
            yield job.key, job.outcome
            held -= job.size
    finally:
        stopped.set()
        for _ in range(threads):
            waiting.put(None)


@dataclass(eq=False)
class _Job(Generic[_Key]):
    """An item, and what became of it once it is done."""

    key: _Key
    range: Range | None
    outcome: bytes | BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def size(self) -> int:
        return self.range.stop - self.range.start if self.range else 0


def _work(waiting: queue.SimpleQueue[_Job[_Key] | None], stopped: threading.Event) -> None:
    """Read one range after the other; in a thread."""
    while (job := waiting.get()) and job.range and not stopped.is_set():
        location, start, stop, version = job.range
        try:
            job.outcome = read_range(location, start, stop, version=version)
        except BaseException as error:  # raised again, or given, where the bytes are asked for
            job.outcome = error
        job.done.set()
