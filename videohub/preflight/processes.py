"""Look at many files in other processes: a decoder that crashes or never answers costs one file, not the check."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import msgspec

from videohub.errors import DeviceError
from videohub.preflight.looking import Job, Probe, look

_START_S = 120  # a cold disk may take long to load the libraries
_CODE = "import sys; sys.path[:] = sys.argv[2:]; from videohub.preflight.processes import serve; serve(sys.argv[1])"


def probes(jobs: Sequence[Job], *, workers: int, patience_s: float) -> Generator[Probe, None, None]:
    """Yield what each job gave, in order. Close the generator to end the processes early.

    Args:
        jobs: What to look at.
        workers: How many processes.
        patience_s: After so many seconds on one job its process is ended, and the job's answer is that.
    Raises: DeviceError if no process can be started.
    """
    company = _Company(patience_s)
    threads = ThreadPoolExecutor(max(1, min(workers, len(jobs))), thread_name_prefix="videohub-look")
    try:
        yield from threads.map(company.look, jobs)
    finally:  # also when the caller stops asking, or is interrupted
        company.close()
        threads.shutdown(wait=True, cancel_futures=True)
        company.bury()


def serve(patience_s: str) -> None:
    """Be one of the processes: read jobs from stdin, a line each, and write what they gave, until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    answers.write(b"ready\n")
    answers.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what a decoder says is not for the user's terminal
        os.dup2(nowhere, stream)

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        where = traceback.extract_tb(trace)[-1]
        problem = f"{kind.__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        answers.write(msgspec.json.encode(Probe(problem=problem, passing=True, fault=True)) + b"\n")
        answers.flush()

    sys.excepthook = tell  # what nobody expected ends this process, but is an answer, too
    alarm = getattr(signal, "alarm", None)  # ends a process that hangs after its parent has been killed; not on Windows
    for line in sys.stdin.buffer:
        if alarm:
            alarm(int(float(patience_s)) + 10)
        answers.write(msgspec.json.encode(look(msgspec.json.decode(line, type=Job))) + b"\n")
        answers.flush()
        if alarm:
            alarm(0)


@dataclass(eq=False)
class _Company:
    """One process for each thread, made when it is first needed and again after each one that was lost."""

    patience_s: float
    closed: bool = False
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)  # by thread
    lock: threading.Lock = field(default_factory=threading.Lock)
    alone: threading.Lock = field(default_factory=threading.Lock)  # held by who looks a second time

    def look(self, job: Job) -> Probe:
        """Have one job done by this thread's process; if that is ended or crashes, by another one, once."""
        probe = self._ask(job)
        if probe.crashed:
            with self.alone:
                probe = self._ask(job)
        return probe.probe

    def _ask(self, job: Job) -> _Asked:
        """Have one job done by this thread's process."""
        process = self._process()
        assert process.stdin is not None  # for mypy: asked for in _process
        assert process.stdout is not None
        began = time.monotonic()
        watch = threading.Timer(self.patience_s, process.kill)
        watch.start()
        try:
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            watch.cancel()
        probe = msgspec.json.decode(answer, type=Probe) if answer.endswith(b"\n") else None
        if probe is not None and not probe.fault:
            return _Asked(probe)
        with self.lock:
            self.processes.pop(threading.get_ident(), None)
        how, crashed = self._how_it_ended(process, time.monotonic() - began)
        return _Asked(probe) if probe else _Asked(Probe(problem=how, passing=True), crashed)

    def close(self) -> None:
        """Kill all processes, and let none be started any more; threads that wait for an answer then go on."""
        with self.lock:
            self.closed = True
            for process in self.processes.values():
                process.kill()

    def bury(self) -> None:
        """Close what is left of them, when no thread uses it any more."""
        for process in self.processes.values():
            _end(process)

    def _process(self) -> subprocess.Popen[bytes]:
        """Return this thread's process."""
        mine = threading.get_ident()
        with self.lock:
            if process := self.processes.get(mine):
                return process
            if self.closed:
                raise DeviceError("the check was interrupted")
            process = self.processes[mine] = subprocess.Popen(
                [sys.executable, "-c", _CODE, str(self.patience_s), *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # an interrupt from the keyboard is the parent's to answer
            )
        assert process.stdout is not None
        watch = threading.Timer(_START_S, process.kill)
        watch.start()
        ready = process.stdout.readline()
        watch.cancel()
        if ready != b"ready\n":
            with self.lock:
                self.processes.pop(mine, None)
            code = _end(process)
            raise DeviceError(
                f"a process for looking at videos could not be started: {sys.executable} ended with {code}; what it "
                "had to say stands above"
            )
        return process

    def _how_it_ended(self, process: subprocess.Popen[bytes], after_s: float) -> tuple[str, bool]:
        """Say why a process gave no answer, and whether it ended by itself, or was ended by others."""
        code = _end(process)
        if after_s >= self.patience_s:
            return f"the decoder gave no answer within {self.patience_s:g} s, and was ended", False
        how = _signal_name(-code) if code < 0 else f"exit code {code}"
        return f"the decoder crashed ({how})", not self.closed


@dataclass(frozen=True)
class _Asked:
    """What a process answered, or how it ended."""

    probe: Probe
    crashed: bool = False


def _end(process: subprocess.Popen[bytes]) -> int:
    """Kill a process that may have ended already, and return its exit code."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    return process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
