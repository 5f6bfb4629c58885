"""Ranges that are read before they are asked for, several requests at once, so that no reader waits for each answer."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from videohub.errors import VideohubError
from videohub.storage.ranges import read_range

REQUESTS = 16  # at once; at 50 ms each that is some 300 videos a second, and few servers mind as many
MEMORY = 256 << 20  # bytes that were read or asked for and not yet taken
_ITEMS = 4  # for each request, that may wait: an item without a range takes no memory

_Key = TypeVar("_Key")


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
    threads: list[threading.Thread] = []
    ahead: deque[_Job[_Key]] = deque()
    rest, held = iter(items), 0
    following = _next(rest)
    try:
        while ahead or following:
            while following and len(ahead) < _ITEMS * requests and (held + following.size <= memory or not ahead):
                ahead.append(following)
                held += following.size
                if following.range is not None:
                    waiting.put(following)
                    if len(threads) < requests:
                        threads.append(_started(waiting, stopped))
                following = _next(rest)
            job = ahead.popleft()
            job.done.wait()
            if isinstance(job.outcome, BaseException) and not isinstance(job.outcome, VideohubError):
                raise job.outcome
            yield job.key, job.outcome
            held -= job.size
    finally:
        stopped.set()
        for _ in threads:
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


def _next(rest: Iterable[tuple[_Key, Range | None]]) -> _Job[_Key] | None:
    for key, range_ in rest:
        job = _Job(key, range_)
        if range_ is None:
            job.done.set()
        return job
    return None


def _started(waiting: queue.SimpleQueue[_Job[_Key] | None], stopped: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=_work, args=(waiting, stopped), daemon=True, name="videohub-storage")
    thread.start()
    return thread


def _work(waiting: queue.SimpleQueue[_Job[_Key] | None], stopped: threading.Event) -> None:
    """Read one range after the other; in a thread."""
    while (job := waiting.get()) is not None and not stopped.is_set():
        assert job.range is not None
        location, start, stop, version = job.range
        try:
            job.outcome = read_range(location, start, stop, version=version)
        except BaseException as error:  # raised again, or given, where the bytes are asked for
            job.outcome = error
        job.done.set()
