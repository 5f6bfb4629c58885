"""Look at many files in worker processes: a decoder that crashes or never answers costs one file, not the check."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from videohub.preflight.looking import Job, Probe, look
from videohub.worker_pool import Lost, Work, WorkerPool
from videohub.worker_pool.messages import decode, encode


def probes(jobs: Sequence[Job], *, workers: int, timeout_s: float) -> Generator[Probe, None, None]:
    """Yield what each job gave, in order. Close the generator to end the processes early.

    Args:
        jobs: What to look at.
        workers: How many processes.
        timeout_s: After so many seconds on one job its process is ended, and the job's answer is that.
    Raises: DeviceError if no process can be started.
    """
    workers = max(1, min(workers, len(jobs)))
    with WorkerPool(_Looking(timeout_s), workers=workers, timeout_s=timeout_s) as pool:
        for _, probe in pool.map((None, job) for job in jobs):
            yield probe


def worker(_: bytes) -> Callable[[bytes], tuple[bytes, list[int]]]:
    """Return what looks at a file in a worker process."""
    return lambda text: (encode(look(decode(text, Job))), [])


class _Looking(Work[Job, Probe]):
    handler = f"{__name__}:worker"
    faults_end = False  # an exception of ours is an answer, too

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def client(self) -> _Client:
        return _Client()

    def lost(self, lost: Lost) -> Probe:
        if lost.kind == "fault":
            return Probe(problem=lost.cause, passing=True, fault=True)
        late = f"the decoder gave no answer within {self._timeout_s:g} s, and was ended"
        return Probe(problem=late if lost.kind == "timeout" else f"the decoder crashed ({lost.cause})", passing=True)


class _Client:
    def task(self, task: Job) -> bytes:
        return encode(task)

    def result(self, body: bytes, _: Sequence[int]) -> Probe:
        return decode(body, Probe)
