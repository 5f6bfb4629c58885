"""A pool of decoder processes: one that hangs or crashes costs the video it was at, never the run."""

from __future__ import annotations

import math
import selectors
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar

from videohub.data.decoded import Decoded, decode_shared
from videohub.data.forms import DECODERS, Decoder
from videohub.data.recipes import Recipe
from videohub.data.samples import Source
from videohub.errors import UsageError, VideoError
from videohub.evaluation.installation import Installation
from videohub.evaluation.messages import Answer, Failure, Received, Setup
from videohub.evaluation.processes import COMMAND, DecoderProcess

_TASKS_EACH = 2  # at a process: the one it is at, and the next, so that it need not wait while a model computes
_MOST_WAITING = 4 << 30  # bytes of decoded frames; at Kinetics' size, 40 MB a video, 2 x 50 processes stay below it
_LONGEST_WAIT_S = 3600.0  # selectors cannot wait much longer at once
_MOST_RESIDENT = 1 << 30  # bytes of memory of a process

_Key = TypeVar("_Key")

Outcomes: TypeAlias = list[Decoded | Failure]  # of a source: for each test its frames, or why there are none


def decode_all(
    sources: Iterable[tuple[_Key, Source]],
    recipes: Sequence[Recipe],
    *,
    workers: int,
    patience_s: float = 120,
    decoder: Decoder = DECODERS[0],
) -> Generator[tuple[_Key, Outcomes], None, None]:
    """Yield each source's frames, once for each test, or why there are none, in the order of the sources.

    Args:
        sources: Each with the caller's name for it; they are taken as they are needed.
        recipes: The tests, which share their frames.
        workers: Processes that decode, see `DecoderPool`; they end with this generator. 0: this process, unprotected.
        patience_s: Seconds that a process may spend on one source.
        decoder: See `decode_shared`.
    """
    if workers:
        with DecoderPool(recipes, workers=workers, patience_s=patience_s, decoder=decoder) as pool:
            yield from pool.decoded(sources)
        return
    for key, source in sources:
        try:
            outcomes = decode_shared(source, recipes, decoder=decoder)
        except UsageError as error:
            yield key, [Failure(str(error)) for _ in recipes]
        else:
            yield key, [Failure(str(each)) if isinstance(each, VideoError) else each for each in outcomes]


class DecoderPool:
    """Processes that decode ahead of those who use the frames. Use it in a `with`: leaving that ends the processes.

    A process may end for reasons that are none of its video's: the system wants memory back, an operator ends it. So
    that video is tried once more, in a new process, while no other one decodes; only then is it given up.

    A process that has kept more than 1 GiB for itself after a video is replaced, so that a leak in a decoder cannot
    take the machine down. One has 23 MB without torch and 300 MB with it, which it loads where large frames are made
    smaller at once; a soak of 5,600 videos found 0.2 MB more after each thousand
    (benchmarks/results/soak.json). Only Linux tells.
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        *,
        workers: int,
        patience_s: float = 120,
        decoder: Decoder = DECODERS[0],
        start_s: float = 60,
        command: Sequence[str] = COMMAND,
        most_waiting: int = _MOST_WAITING,
        most_resident: int = _MOST_RESIDENT,
    ) -> None:
        """Set up a pool; processes start when there is something to decode.

        Args:
            recipes: The tests, which share their frames.
            workers: Number of processes, at least 1.
            patience_s: Seconds that one source may take before it is given up.
            decoder: See `decode_shared`.
            start_s: Seconds that a process may take to get ready.
            command: What to start, for tests.
            most_waiting: Bytes of decoded frames that may wait; no source is begun while there are more.
            most_resident: Bytes of memory that a process may have kept before it is replaced.
        Raises: UsageError if a number is out of its range.
        """
        if workers < 1 or patience_s <= 0:
            raise UsageError(f"decoders: workers={workers}, patience_s={patience_s:g}: both must be above 0")
        self._setup, self._workers = Setup(tuple(recipes), decoder, workers), workers
        self._patience_s, self._start_s = patience_s, start_s
        self._command, self._most_waiting, self._most_resident = command, most_waiting, most_resident
        self._processes: dict[DecoderProcess, deque[_Job]] = {}  # what each has been given, in order
        self._installation = Installation(command)
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, whatever they are at."""
        for process in list(self._processes):
            self._end(process)
        self._selector.close()

    def decoded(self, sources: Iterable[tuple[_Key, Source]]) -> Iterator[tuple[_Key, Outcomes]]:
        """Yield each source's frames, or why there are none, in the order of the sources.

        At most 2 x workers sources are in flight: handed to a process, or decoded and waiting to be asked for.
        Raises: DeviceError if processes end as soon as they are started, three in a row.
        """
        rest = iter(sources)
        flight: deque[_Keyed[_Key]] = deque()
        unassigned: deque[_Job] = deque()
        exhausted = False
        while True:
            unassigned.extendleft(reversed(self._listen(wait=False)))
            while not exhausted and len(flight) < _TASKS_EACH * self._workers and self._has_room(flight):
                try:
                    key, source = next(rest)
                except StopIteration:
                    exhausted = True
                else:
                    flight.append(_Keyed(key, _Job(source)))
                    unassigned.append(flight[-1].job)
            if not flight:
                return
            self._assign(unassigned)
            if (outcomes := flight[0].job.outcomes) is None:
                unassigned.extendleft(reversed(self._listen(wait=True)))
            else:
                yield flight.popleft().key, outcomes

    def _has_room(self, flight: Iterable[_Keyed[_Key]]) -> bool:
        return sum(_bytes(keyed.job.outcomes or []) for keyed in flight) <= self._most_waiting

    def _assign(self, unassigned: deque[_Job]) -> None:
        """Hand jobs to idle processes, start those that are missing, and give the others their next job."""
        while unassigned:
            if any(job.alone for jobs in self._processes.values() for job in jobs):
                return
            if unassigned[0].alone:
                self._assign_alone(unassigned)
                return
            active = [process for process in self._processes if not process.retiring]
            free = [process for process in active if process.ready and len(self._processes[process]) < _TASKS_EACH]
            process = min(free, key=lambda each: len(self._processes[each]), default=None)
            idle = process is not None and not self._processes[process]
            enough = sum(not each.ready for each in active) >= len(unassigned)  # are starting and will be idle
            if not idle and not enough and len(active) < self._workers:
                self._start()
            elif process is None or (enough and not idle):
                return
            else:
                self._give(process, unassigned.popleft())

    def _assign_alone(self, unassigned: deque[_Job]) -> None:
        """Give the first job to a new process, once all others have nothing to do; they end, and so free memory."""
        if any(self._processes.values()):
            return
        new = next((process for process in self._processes if process.unused), None)
        for process in [each for each in self._processes if each is not new]:
            self._end(process)
        if new is None:
            self._start()
        elif new.ready:
            self._give(new, unassigned.popleft())

    def _give(self, process: DecoderProcess, job: _Job) -> None:
        jobs = self._processes[process]
        if not jobs:
            process.began = time.monotonic()
        jobs.append(job)
        process.unused = False
        process.give(job.source)

    def _start(self) -> None:
        process = DecoderProcess(self._command, self._setup)
        self._processes[process] = deque()
        self._selector.register(process, selectors.EVENT_READ)

    def _listen(self, *, wait: bool) -> list[_Job]:
        """Take in what processes have sent, end those that take too long, and return the jobs they had not begun."""
        returned: list[_Job] = []
        timeout = max(0.0, min([_LONGEST_WAIT_S, *map(self._time_left, self._processes)])) if wait else 0.0
        while events := self._selector.select(timeout):
            for selected, _ in events:
                process: DecoderProcess = selected.fileobj  # type: ignore[assignment]  # it is what was registered
                message = process.receive()
                returned += self._dead(process) if message is None else self._answered(process, message)
            timeout = 0.0
        for process in list(self._processes):
            if self._time_left(process) <= 0:
                returned += self._late(process)
        return returned

    def _time_left(self, process: DecoderProcess) -> float:
        """Return the seconds that a process has left for what it is doing; infinite if that is nothing."""
        allowed = self._patience_s if process.ready else self._start_s
        if process.ready and not self._processes[process]:
            return math.inf
        return process.began + allowed - time.monotonic()

    def _answered(self, process: DecoderProcess, message: Received) -> list[_Job]:
        answer = message.read(Answer)
        process.began = time.monotonic()
        if not process.ready:
            process.ready = True
            self._installation.started()
            return []
        self._installation.answered()
        job = self._processes[process].popleft()
        job.outcomes = process.outcomes(message, answer)
        if answer.resident > self._most_resident:
            process.retiring = True
        if process.retiring and not self._processes[process]:
            self._end(process)
        return []

    def _dead(self, process: DecoderProcess) -> list[_Job]:
        """Return its jobs, the one that it was at to be tried again, or given up if this was the second time.

        One that was never ready counts as a failed start.
        """
        death = process.death()
        if not process.ready:
            self._installation.start_failed(death.how)
        jobs = self._end(process)
        if jobs and jobs[0].alone:
            self._installation.given_up(death)
            jobs.popleft().outcomes = self._failure(death.reason)
        elif jobs:
            jobs[0].alone = True
        return list(jobs)

    def _late(self, process: DecoderProcess) -> list[_Job]:
        if not process.ready:
            self._installation.start_failed(f"was not ready after {self._start_s:g} s")
        jobs = self._end(process)
        if jobs:
            jobs.popleft().outcomes = self._failure(f"decoding took longer than {self._patience_s:g} s")
        return list(jobs)

    def _failure(self, reason: str) -> Outcomes:
        return [Failure(reason) for _ in self._setup.recipes]

    def _end(self, process: DecoderProcess) -> deque[_Job]:
        """Take a process out of the pool and return the jobs that it still had."""
        self._selector.unregister(process)
        process.end()
        return self._processes.pop(process)


def _bytes(outcomes: Outcomes) -> int:
    """Return what the frames of a source take; all its tests share them."""
    return next((each.frames.nbytes for each in outcomes if isinstance(each, Decoded)), 0)


@dataclass(eq=False)
class _Job:
    """A source on its way through the pool, and in the end what became of it."""

    source: Source
    outcomes: Outcomes | None = None
    alone: bool = False  # the process that was at it ended; the next one is to have nothing beside it


@dataclass(frozen=True, eq=False)
class _Keyed(Generic[_Key]):
    """A job and the caller's name for it."""

    key: _Key
    job: _Job
