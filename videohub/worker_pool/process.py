"""One worker process as its parent sees it: started, given tasks, ended, or found dead and asked why.

They send each other msgpack with its length in front, through pipes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeVar, get_origin

import msgspec
import numpy as np
import numpy.typing as npt

from videohub.errors import DeviceError

COMMAND = (sys.executable, "-m", "videohub.worker_pool.worker")

_GRACE_S = 5.0  # for the system to take an ended process away; one that waits for a dead disk may stay longer
_LAST_WORDS = 4096  # bytes of stderr
_LENGTH = 8  # bytes, of a message's length

_T = TypeVar("_T")


@dataclass(frozen=True)
class Lost:
    """How a process ended, and why its task has no result."""

    kind: Literal["timeout", "signal", "exit", "fault"]  # fault: an exception that nobody caught
    how: str  # "was ended by …", with its last words
    cause: str  # in short: "SIGSEGV", "exit code 3", "TypeError: …"

    @property
    def is_ours(self) -> bool:
        """Return whether it is a fault of ours, or of a library's, whatever the task was."""
        return self.kind in ("exit", "fault")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerProcess:
    """A running worker process. It ends with this one, whichever way this one ends, and leaves nothing behind.

    It has a session of its own, so that Ctrl-C reaches its parent alone. One thread asks it; `kill` may come from any.
    """

    def __init__(self, command: Sequence[str], handler: str, setup: bytes, *, timeout_s: float, linked: bool) -> None:
        """Start the process for a `Work`; see `worker.main`. Raises: DeviceError if this machine cannot do so."""
        self.expired = False  # it took too long, and was ended
        self._timeout_s = timeout_s
        with contextlib.ExitStack() as after, contextlib.ExitStack() as undo:
            self._stderr = undo.enter_context(anonymous_file())
            self._lifeline = theirs = link = -1
            self._link = None
            if signals_an_end():
                theirs, self._lifeline = os.pipe()  # nothing is ever written to it
                undo.callback(os.close, self._lifeline)
                after.callback(os.close, theirs)
            if linked:
                self._link, far = socket.socketpair()
                undo.enter_context(self._link)
                link = after.enter_context(far).fileno()
            try:
                self._process = subprocess.Popen(
                    [*command, handler, str(theirs), str(link)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._stderr,
                    pass_fds=[each for each in (theirs, link) if each >= 0],
                    env=_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                raise DeviceError(f"{command[0]}: a worker process cannot be started: {error.strerror}") from error
            undo.pop_all()
        self._setup = setup

    def begin(self, timeout_s: float) -> bool:
        """Wait until it is ready, and return whether it is."""
        reply = self._exchange(self._setup, timeout_s)
        return reply is not None and reply.fault is None and not self.expired

    def ask(self, task: bytes) -> Reply | None:
        """Have a task done; None if the process has died, or has been ended because it took too long."""
        return self._exchange(task, self._timeout_s)

    def _exchange(self, text: bytes, timeout_s: float) -> Reply | None:
        assert self._process.stdin is not None  # for mypy: asked for above
        assert self._process.stdout is not None
        timer = threading.Timer(min(timeout_s, threading.TIMEOUT_MAX), self._expire)
        timer.daemon = True  # or it would keep a program from its end
        timer.start()
        try:
            with contextlib.suppress(OSError):  # it is dead; perhaps it has said why
                send(self._process.stdin, text)
            answer = receive(self._process.stdout)
        finally:
            timer.cancel()
            timer.join()
        return None if answer is None else decode(answer, Reply)

    def _expire(self) -> None:
        self.expired = True
        self.kill()

    def descriptors(self, count: int) -> list[int]:
        """Return the descriptors that came with a reply; who gets them closes them.

        Raises: DeviceError if this process may not open more files.
        """
        return receive_descriptors(self._link, count) if count and self._link is not None else []

    def kill(self) -> None:
        """End it, whatever it is at; whoever asks it something hears that it is dead."""
        self._process.kill()

    def end(self) -> None:
        """End it and close what belongs to it; one that waits for a dead disk is left to the system."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._stderr, self._link):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)

    def death(self, fault: str | None = None) -> Lost:
        """Say how it ended and what it last wrote to stderr, for one that was found dead; `fault`: what it replied."""
        if self.expired:
            return Lost("timeout", f"took longer than {self._timeout_s:g} s", "timeout")
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return Lost("signal", f"closed its connection, {self._last_words()}", "closed its connection")
        if code < 0:
            name = {each.value: each.name for each in signal.Signals}.get(-code, str(-code))
            return Lost("signal", f"was ended by signal {name}, {self._last_words()}", name)
        how = f"ended with exit code {code}, {self._last_words()}"
        return Lost("exit", how, f"exit code {code}") if fault is None else Lost("fault", how, fault)

    def _last_words(self) -> str:
        size = os.fstat(self._stderr.fileno()).st_size
        self._stderr.seek(max(0, size - _LAST_WORDS))
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return "\n".join(["saying:", *(line[:200] for line in lines[-6:])]) if lines else "without a word"


def receive_descriptors(link: socket.socket, count: int) -> list[int]:
    """Return the descriptors that lie in a socket. Raises: DeviceError if this process may not open as many files."""
    _, descriptors, flags, _ = socket.recv_fds(link, 1, count)
    if len(descriptors) < count or flags & socket.MSG_CTRUNC:
        for descriptor in descriptors:
            os.close(descriptor)
        raise DeviceError("worker processes: this process may not open more files; raise the limit (ulimit -n)")
    return list(descriptors)


def signals_an_end() -> bool:
    """Tell whether this system can send a process a signal when the other end of a pipe is closed."""
    return hasattr(signal, "SIGIO") and hasattr(os, "O_ASYNC") and importlib.util.find_spec("fcntl") is not None


def _environment() -> dict[str, str]:
    """Return an environment in which a process finds the modules that we found, and computes in one thread."""
    root = str(Path(__file__).resolve().parents[2])  # torch.hub takes its folder from the path again
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([root, *(entry for entry in sys.path if entry)]),
        "PYTHONSAFEPATH": "1",  # a random.py where the user stands is none of our modules
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


# --- what they send each other ---------------------------------------------------------------------------------------


class Reply(msgspec.Struct, frozen=True):
    """What a process has to say: once when it is ready, then once a task."""

    resident: int  # bytes of memory that are the process's own
    body: bytes = b""
    descriptors: int = 0  # that come with it, through the socket beside
    fault: str | None = None  # an exception that nobody caught; the process ends with it


def send(stream: IO[bytes], text: bytes) -> None:
    """Send a message. Raises: OSError if nobody is there to receive it."""
    stream.write(len(text).to_bytes(_LENGTH, "big"))
    stream.write(text)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Wait for a message; None where the other end is closed, also in the middle of one."""
    length = stream.read(_LENGTH)
    if len(length) < _LENGTH:
        return None
    size = int.from_bytes(length, "big")
    text = stream.read(size)
    return text if len(text) == size else None


def encode(value: msgspec.Struct) -> bytes:
    """Return a value as it travels. Paths do as the system's own bytes, whose names need not be text; arrays whole."""
    return msgspec.msgpack.encode(value, enc_hook=_to_plain)


def decode(text: bytes, kind: type[_T]) -> _T:
    """Return the value that travelled as `text`."""
    return msgspec.msgpack.decode(text, type=kind, dec_hook=_from_plain)


def anonymous_file() -> IO[bytes]:
    """Return an open file that has no name; on Linux it lies in memory. A kill at any moment leaves nothing of it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("videohub"), "w+b")
    return tempfile.TemporaryFile()


def _to_plain(value: object) -> bytes | tuple[str, tuple[int, ...], bytes]:
    if isinstance(value, Path):
        return os.fsencode(value)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    raise TypeError(f"{type(value).__name__} does not travel to a worker process")


def _from_plain(kind: Any, value: Any) -> Path | npt.NDArray[Any]:
    if kind is Path:
        return Path(os.fsdecode(value))
    if get_origin(kind) is np.ndarray:
        dtype, shape, data = value
        return np.frombuffer(bytearray(data), dtype).reshape(shape)  # torch wants to be allowed to write
    raise TypeError(f"{kind} does not travel to a worker process")
