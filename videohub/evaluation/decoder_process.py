"""The program of a decoder process: `python -m videohub.evaluation.decoder_process DESCRIPTOR`, started by `processes`.

It decodes one source after the other until nobody is left to ask. It imports torch only where large frames are made
smaller at once, and so is ready in the time that numpy and PyAV take. A fault of ours ends it with a traceback on
stderr; the pool hands that on and starts another.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from pathlib import Path

from videohub.data.decoded import decode_shared
from videohub.errors import UsageError, VideoError
from videohub.evaluation import messages
from videohub.evaluation.lending import Lender
from videohub.evaluation.messages import Answer, Setup, Task


def main() -> None:
    """Answer on the socket with the given descriptor."""
    _end_with_the_parent()
    lender = Lender()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        message = messages.receive(connection)
        if message is None:
            return
        setup = message.read(Setup)
        messages.send(connection, Answer(own_memory()))
        while (message := messages.receive(connection)) is not None:
            _forget_words()
            _work(connection, message.read(Task), setup, lender)


def _work(connection: socket.socket, task: Task, setup: Setup, lender: Lender) -> None:
    lender.take_back(task.returned)
    try:
        source = messages.source_of(task)
        outcomes = decode_shared(source, setup.recipes, decoder=setup.decoder, room=lender.room, share=setup.share)
    except UsageError as error:
        outcomes = [VideoError(str(error)) for _ in setup.recipes]
    answer, descriptors = messages.answer(outcomes, own_memory(), lender)
    messages.send(connection, answer, descriptors)


def _forget_words() -> None:
    """Empty what stderr is written to: last words shall be about the last task, and take no room."""
    os.lseek(2, 0, os.SEEK_SET)
    os.ftruncate(2, 0)


def own_memory() -> int:
    """Return how many bytes of memory this process has for itself, libraries' files not counted."""
    try:
        numbers = Path("/proc/self/statm").read_bytes().split()
    except FileNotFoundError:
        return 0  # only Linux tells; a peak, which all do, says nothing about growth
    return (int(numbers[1]) - int(numbers[2])) * os.sysconf("SC_PAGE_SIZE")  # resident, less what is shared


def _end_with_the_parent() -> None:
    """Let the system end this process, whatever it does, when the parent's end of its stdin is closed.

    Closed it is when the parent dies, of SIGKILL too. The signal comes from the system, so that it also ends a decoder
    that hangs in a system call or in native code.
    """
    import fcntl  # a system without it has no decoder processes, see `processes.available`

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGIO])
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(0, 0)
    if poll.poll(0):  # it died before there was a signal to send
        sys.exit()


if __name__ == "__main__":
    main()
