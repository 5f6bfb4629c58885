"""One decoder process as its parent sees it: started, given tasks, heard, ended, or found dead and asked why."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videohub.data.decoded import Decoded
from videohub.data.samples import Source
from videohub.errors import DeviceError
from videohub.evaluation import messages
from videohub.evaluation.lending import Borrower, anonymous_file
from videohub.evaluation.messages import Answer, Failure, Received, Setup

COMMAND = (sys.executable, "-m", "videohub.evaluation.decoder_process")

_GRACE_S = 5.0  # for the system to take an ended process away; one that waits for a dead disk may stay longer
_LAST_WORDS = 4096  # bytes of stderr


def available() -> bool:
    """Tell whether this system can keep decoders apart from us: it passes descriptors and ends orphans, as Linux does.

    Windows has nothing of that, and macOS no nameless memory to share.
    """
    has_all = hasattr(socket, "send_fds") and hasattr(signal, "SIGIO") and hasattr(os, "memfd_create")
    return has_all and importlib.util.find_spec("fcntl") is not None and bool(sys.executable)


@dataclass(frozen=True)
class Death:
    """How a process ended by itself, or was ended by others."""

    how: str  # "was ended by …"
    is_fault: bool = False  # an exception that nobody caught: of ours, or of a library's, whatever the video was

    @property
    def reason(self) -> str:
        """Say why its video has no frames."""
        told = f"the decoder process {self.how}"
        return f"a fault of videohub's or its libraries', not of the video's: {told}" if self.is_fault else told


class DecoderProcess:
    """A running `decoder_process`. It ends with this process, whichever way this one ends, and leaves nothing behind.

    It has a session of its own, so that Ctrl-C reaches its parent alone.
    """

    def __init__(self, command: Sequence[str], setup: Setup) -> None:
        """Start the process. Raises: DeviceError if this machine cannot do so."""
        if not available():
            raise DeviceError("decoder processes need Linux and a Python to start; workers=0 does without them")
        self.ready = False  # to take tasks
        self.retiring = False  # takes no more of them
        self.unused = True  # has not been given any
        self.began = time.monotonic()  # the start, or what it is doing now
        self._stderr = anonymous_file()
        self._borrower = Borrower()
        ours, theirs = socket.socketpair()
        self._connection = ours
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno())],
                    stdin=subprocess.PIPE,  # nothing is ever written to it: it says that we live
                    stdout=self._stderr,
                    stderr=self._stderr,
                    pass_fds=[theirs.fileno()],
                    env=_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                self._connection.close()
                self._stderr.close()
                raise DeviceError(f"{command[0]}: a decoder process cannot be started: {error.strerror}") from error
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            messages.send(self._connection, setup)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._connection.fileno()

    def give(self, source: Source) -> None:
        """Hand a task over; a process that is dead does not mind, it shows when it is listened to."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            messages.send(self._connection, messages.task(source, self._borrower.unused()))

    def receive(self) -> Received | None:
        """Return its next message; None if it has died."""
        try:
            return messages.receive(self._connection)
        except ConnectionResetError:
            return None

    def outcomes(self, message: Received, answer: Answer) -> list[Decoded | Failure]:
        """Return what it made of its task; frames are in memory that goes back to it with a later one."""
        with contextlib.ExitStack() as stack:
            if message.descriptor is not None:
                stack.callback(os.close, message.descriptor)
            return messages.outcomes(answer, self._borrower, message.descriptor)

    def death(self) -> Death:
        """Say how it ended and what it last wrote to stderr; for a process that `receive` found dead."""
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return Death(f"closed its connection, {self._last_words()}")
        if code < 0:
            return Death(f"was ended by signal {_signal_name(-code)}, {self._last_words()}")
        return Death(f"ended with exit code {code}, {self._last_words()}", is_fault=True)

    def end(self) -> None:
        """End it, whatever it is at; one that cannot die because it waits for a dead disk is left to the system."""
        self._process.kill()
        self._connection.close()
        self._stderr.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)

    def _last_words(self) -> str:
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), _LAST_WORDS, max(0, size - _LAST_WORDS))
        lines = tail.decode(errors="replace").strip().splitlines()
        return "\n".join(["saying:", *(line[:200] for line in lines[-6:])]) if lines else "without a word"


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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
