"""The program of a worker process: `python -m videohub.worker_pool.worker HANDLER LIFELINE LINK`.

`process` starts it. It does one task after the other until nobody is left to ask. A fault of ours ends it with a
traceback on stderr; the pool hands that on and starts another.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import sys
import traceback
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO

from videohub.worker_pool.process import Reply, encode, receive, send


def main() -> None:
    """Do tasks from stdin with HANDLER, `module:function`, and write what became of them to stdout.

    The function is called once with what the pool was set up with; what it returns is called with every task, and
    returns a body and the descriptors that go with it. LIFELINE and LINK are descriptors, or -1: a pipe that is closed
    when the parent dies, and a socket for descriptors.
    """
    handler, lifeline, link = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if lifeline >= 0:
        _end_with_the_parent(lifeline)
    tasks, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed are last words
    sys.excepthook = partial(_fault, replies)
    setup = receive(tasks)
    if setup is None:
        return
    module, _, function = handler.partition(":")
    work = getattr(importlib.import_module(module), function)(setup)
    send(replies, encode(Reply(_own_memory())))
    while (task := receive(tasks)) is not None:
        os.lseek(2, 0, os.SEEK_SET)
        os.ftruncate(2, 0)  # last words shall be about the last task, and take no room
        body, descriptors = work(task)
        if descriptors:
            with socket.socket(fileno=os.dup(link)) as beside:
                socket.send_fds(beside, [b"."], descriptors)
        send(replies, encode(Reply(_own_memory(), body, len(descriptors))))


def _fault(replies: IO[bytes], kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell the parent, too, of what nobody expected."""
    where = traceback.extract_tb(trace)[-1]
    fault = f"{kind.__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
    sys.__excepthook__(kind, error, trace)
    send(replies, encode(Reply(0, fault=fault.encode(errors="backslashreplace").decode())))


def _own_memory() -> int:
    """Return how many bytes of memory this process has for itself, libraries' files not counted."""
    try:
        numbers = Path("/proc/self/statm").read_bytes().split()
    except FileNotFoundError:
        return 0  # only Linux tells; a peak, which all do, says nothing about growth
    return (int(numbers[1]) - int(numbers[2])) * os.sysconf("SC_PAGE_SIZE")  # resident, less what is shared


def _end_with_the_parent(lifeline: int) -> None:
    """Let the system end this process, whatever it does, when the parent's end of a pipe is closed.

    Closed it is when the parent dies, of SIGKILL too. The signal comes from the system, so that it also ends a process
    that hangs in a system call or in native code.
    """
    import fcntl  # a system without it has no lifeline, see `process`

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGIO])
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it died before there was a signal to send
        sys.exit()


if __name__ == "__main__":
    main()
