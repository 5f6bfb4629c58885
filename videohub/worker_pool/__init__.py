"""A pool of worker processes: one that hangs or crashes costs the task it was at, never the run.

Here stands who does which task, who is tried again, and when it is this installation that fails and not a task.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from videohub.errors import DeviceError, UsageError
from videohub.worker_pool.process import COMMAND, Lost, WorkerProcess, usable_cores

__all__ = ["Client", "Lost", "Work", "WorkerPool", "usable_cores"]

_AHEAD = 2  # tasks for each process: the one it is at, and one that is done or the next
_FAILED_STARTS = 3  # in a row
_FAULTS = 3  # exceptions that nobody caught, at as many tasks, before any other was answered for

_Key = TypeVar("_Key")
_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_Task_contra = TypeVar("_Task_contra", contravariant=True)
_Result_co = TypeVar("_Result_co", covariant=True)


class Client(Protocol[_Task_contra, _Result_co]):
    """The parent's side of one process: what is sent and what that means."""

    def task(self, task: _Task_contra) -> bytes:
        """Return what to send for a task."""

    def result(self, body: bytes, descriptors: Sequence[int]) -> _Result_co:
        """Return what a reply says; the descriptors that came with it are the client's to close."""


class Work(ABC, Generic[_Task, _Result]):
    """What the processes of a pool do."""

    handler: str  # `module:function`, see `worker.main`
    setup: bytes = b""  # what the handler is called with first
    linked = False  # descriptors come with replies
    faults_end = True  # three faults of ours before anything else has come end the run; else each is its task's result
    instead = ""  # what to do if no process can be started

    @abstractmethod
    def client(self) -> Client[_Task, _Result]:
        """Return the parent's side of a new process."""

    @abstractmethod
    def lost(self, lost: Lost) -> _Result:
        """Return the result of a task whose process was lost with it."""

    def size(self, result: _Result) -> int:
        """Return how many bytes of memory a result takes."""
        return 0


class WorkerPool(Generic[_Task, _Result]):
    """Processes that work ahead of those who use the results. Use it in a `with`: leaving that ends the processes.

    Each is asked by a thread of this process. A process may end for reasons that are none of its task's: the system
    wants memory back, an operator ends it. So that task is tried once more, in a new process, while no other one works;
    only then is it given up. One that takes too long is given up at once.

    A process that has kept more than `max_resident` bytes for itself after a task is replaced, so that a leak cannot
    take the machine down. Only Linux tells.
    """

    def __init__(
        self,
        work: Work[_Task, _Result],
        *,
        workers: int,
        timeout_s: float,
        start_s: float = 120,
        max_waiting: int | None = None,
        max_resident: int = 1 << 30,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """Set up a pool; processes start when there is something to do.

        Args:
            timeout_s: Seconds that one task may take before it is given up.
            start_s: Seconds that a process may take to get ready; a cold disk may take long to load the libraries.
            max_waiting: Bytes of results that may wait; no task is begun while there are more. None: any.
            max_resident: Bytes of memory that a process may have kept before it is replaced.
            command: What to start, for tests.
        Raises: UsageError if a number is out of its range.
        """
        if workers < 1 or timeout_s <= 0:
            raise UsageError(f"worker processes: workers={workers}, timeout_s={timeout_s:g}: both must be above 0")
        self._work, self._workers, self._timeout_s, self._start_s = work, workers, timeout_s, start_s
        self._max_waiting, self._max_resident, self._command = max_waiting, max_resident, command
        self._changed = threading.Condition()  # held by who looks at what follows
        self._queue: deque[_Job[_Task, _Result]] = deque()
        self._busy = 0  # threads that are at a task
        self._alone = False  # one of them is to have nothing beside it
        self._processes: dict[int, tuple[WorkerProcess, Client[_Task, _Result]]] = {}  # by thread
        self._threads: list[threading.Thread] = []
        self._failed_starts = self._faults = 0
        self._answered = self._closed = False

    def __enter__(self) -> WorkerPool[_Task, _Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, whatever they are at."""
        with self._changed:
            self._closed = True
            for process, _ in self._processes.values():
                process.kill()
            self._changed.notify_all()
        if threading.current_thread() not in self._threads:  # a collection may close a forgotten pool anywhere
            for thread in self._threads:
                thread.join()
        self._end(list(self._processes))

    def map(self, tasks: Iterable[tuple[_Key, _Task]]) -> Iterator[tuple[_Key, _Result]]:
        """Yield the result of each task with its key, in the order of the tasks, which are taken as they are needed.

        At most 2 x workers tasks are in flight: handed to a process, or done and waiting to be asked for.
        Raises: DeviceError if processes end as soon as they are started, three in a row.
        """
        rest = iter(tasks)
        flight: deque[tuple[_Key, Future[_Result]]] = deque()
        while True:
            while len(flight) < _AHEAD * self._workers and self._has_room(flight):
                if (following := next(rest, None)) is None:
                    break
                flight.append((following[0], self._submit(following[1])))
            if not flight:
                return
            yield self._next_result(flight)

    def _has_room(self, flight: Iterable[tuple[object, Future[_Result]]]) -> bool:
        if self._max_waiting is None:
            return True
        done = (future for _, future in flight if future.done() and not (future.cancelled() or future.exception()))
        return sum(self._work.size(future.result()) for future in done) <= self._max_waiting

    def _next_result(self, flight: deque[tuple[_Key, Future[_Result]]]) -> tuple[_Key, _Result]:
        """Wait for the first task in flight; whoever takes its result is the only one to hold it."""
        key, future = flight.popleft()
        try:
            return key, future.result()
        except CancelledError:
            raise DeviceError("worker processes: they were ended before they had done what they were asked") from None

    def _submit(self, task: _Task) -> Future[_Result]:
        job: _Job[_Task, _Result] = _Job(task)
        with self._changed:
            self._queue.append(job)
            if len(self._threads) - self._busy < len(self._queue) and len(self._threads) < self._workers:
                thread = threading.Thread(target=self._serve, name="videohub-worker", daemon=True)
                self._threads.append(thread)
                thread.start()
            elif self._closed:
                job.future.cancel()
            self._changed.notify_all()
        return job.future

    # --- in the threads ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Do one job after the other until the pool is closed."""
        while (job := self._next_job()) is not None:
            try:
                self._attempt(job)
            except BaseException as error:  # raised again where the result is asked for
                if self._closed:  # which any thread meets in its own way
                    job.future.cancel()
                else:
                    job.future.set_exception(error)
            with self._changed:
                self._busy -= 1
                self._alone = False
                if not job.future.done():
                    job.alone = True
                    self._queue.appendleft(job)
                self._changed.notify_all()
            del job  # with its result, which may be large

    def _next_job(self) -> _Job[_Task, _Result] | None:
        """Wait for a job that may be begun; before one that is to be alone, all processes end, and so free memory."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._may_begin())
            if self._closed:
                while self._queue:
                    self._queue.popleft().future.cancel()
                return None
            job = self._queue.popleft()
            self._busy += 1
            self._alone = job.alone
            if job.alone:
                self._end(list(self._processes))
            return job

    def _may_begin(self) -> bool:
        return bool(self._queue) and not self._alone and not (self._queue[0].alone and self._busy)

    def _attempt(self, job: _Job[_Task, _Result]) -> None:
        """Have this thread's process do a job; it stays undone if it is to be tried again."""
        process, client = self._process()
        reply = process.ask(client.task(job.task))
        if reply is not None and reply.fault is None:
            result = client.result(reply.body, process.descriptors(reply.descriptors))
            self._answered = True
            if reply.resident > self._max_resident or process.expired:
                self._end([threading.get_ident()])
            job.future.set_result(result)
            return
        lost = process.death(None if reply is None else reply.fault)
        self._end([threading.get_ident()])
        reported = not self._work.faults_end and lost.kind == "fault"
        if job.alone or reported or lost.kind == "timeout":
            self._given_up(lost)
            job.future.set_result(self._work.lost(lost))

    def _process(self) -> tuple[WorkerProcess, Client[_Task, _Result]]:
        """Return this thread's process, or a new one. Raises: DeviceError at the third in a row that is never ready."""
        thread = threading.get_ident()
        while thread not in self._processes:
            process = WorkerProcess(self._command, self._work.handler, self._work.setup, timeout_s=self._timeout_s,
                                    linked=self._work.linked)  # fmt: skip
            with self._changed:
                self._processes[thread] = process, self._work.client()
                if self._closed:
                    process.kill()
            if process.begin(self._start_s):
                self._failed_starts = 0
                break
            how = f"was not ready after {self._start_s:g} s" if process.expired else process.death().how
            self._end([thread])
            self._failed_starts += 1
            if self._closed or self._failed_starts >= _FAILED_STARTS:
                raise DeviceError(
                    f"{_FAILED_STARTS} worker processes in a row failed to start; the last one {how}\n"
                    f"  They are started as: {' '.join(self._command)}\n"
                    f"  Mend this installation{self._work.instead}."
                )
        return self._processes[thread]

    def _end(self, threads: Iterable[int]) -> None:
        """End the processes of some threads, this one's or such that wait."""
        for thread in threads:
            with self._changed:
                process, _ = self._processes.pop(thread, (None, None))
            if process is not None:
                process.end()

    def _given_up(self, lost: Lost) -> None:
        """Note that a task was given up. Raises: DeviceError if faults of ours are all that has come so far."""
        self._faults += lost.is_ours
        if self._work.faults_end and not self._answered and self._faults >= _FAULTS:
            raise DeviceError(
                f"no video could be decoded: {_FAULTS} in a row met a fault of videohub, or of a library that it uses; "
                f"the last worker process {lost.how}\n"
                "  Mend this installation, or report the fault; no video is to blame."
            )


@dataclass(eq=False)
class _Job(Generic[_Task, _Result]):
    """A task on its way through the pool."""

    task: _Task
    future: Future[_Result] = field(default_factory=Future)
    alone: bool = False  # the process that was at it ended; the next one is to have nothing beside it
