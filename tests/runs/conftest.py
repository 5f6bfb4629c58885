"""Processes for the tests of runs: forked when asked, killed when asked."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest

from videohub.errors import VideohubError

KILLED = -signal.SIGKILL


class Forks:
    """A process without threads that imports once and forks a child for each piece of work."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_fork_at_will, args=(theirs,), daemon=True)
        self._process.start()
        self._running: set[int] = set()

    def start(self, work: Callable[..., None], *arguments: Any) -> int:
        """Let a child do this; returns its id."""
        self._pipe.send((work, arguments))
        self._running.add(child := self._pipe.recv())
        return child

    def end(self, child: int) -> int:
        """Wait for a child; returns 0, the exit code of the error that it ended with, or minus the signal."""
        self._pipe.send(child)
        self._running.remove(child)
        return self._pipe.recv()

    def end_all(self) -> None:
        """End what a failing test has left behind."""
        for child in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            self.end(child)

    def stop(self) -> None:
        self.end_all()
        self._pipe.send(None)
        self._process.join()


def _fork_at_will(pipe: Connection) -> None:
    while (order := pipe.recv()) is not None:
        if isinstance(order, int):
            pipe.send(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]))
        elif (child := os.fork()) == 0:
            _work(*order)
        else:
            pipe.send(child)


def _work(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """A child's whole life."""
    status = 1
    try:
        work(*arguments)
        status = 0
    except VideohubError as error:
        status = error.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@pytest.fixture(scope="session")
def _forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.stop()


@pytest.fixture
def forks(_forks: Forks) -> Iterator[Forks]:
    yield _forks
    _forks.end_all()
