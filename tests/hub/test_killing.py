"""Processes that fetch are killed at any moment, come many at once, or stand still: right files, and no leftovers."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import hashlib
import itertools
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from errno import ENOLCK
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.hub.outcomes import kept
from tests.hub.publisher import Answer, Asked, Serve, cut, first, sent
from videohub.hub import cache, download, file_lock, http_request

pytestmark = pytest.mark.slow

CONTENT = random.Random(0).randbytes(640_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KNOWN: list[dict[str, Any]] = [{}, {"sha256": SHA256, "size": len(CONTENT)}]
KILLED = -signal.SIGKILL


def assert_no_wrong_file(home: Path) -> None:
    """Whatever lies in raw/ is what its name says."""
    for path in (home / "raw").glob("*"):
        assert cache.sha256_of(path) == path.name


def assert_right_file_alone(home: Path) -> None:
    """The file is there, and nothing else is."""
    assert kept(home) == [f"raw/{SHA256}"]
    assert (home / "raw" / SHA256).read_bytes() == CONTENT


# --- processes that fetch --------------------------------------------------------------------------------------------


class Fetchers:
    """A process without threads that imports everything once and forks a child for each fetch."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_fork_at_will, args=(theirs,), daemon=True)
        self._process.start()
        self._running: set[int] = set()
        self._asked = False

    def start(self, url: str, trouble: tuple[Any, ...] = (), **known: Any) -> int:
        """Let a child fetch, with `trouble`: a function and its arguments; returns its id when it is about to begin."""
        environment = {name: os.environ[name] for name in ("VIDEOHUB_HOME", "NO_PROXY")}
        self._running.add(child := self._ask((environment, url, trouble, known)))
        return child

    def end(self, child: int) -> int:
        """Wait for a child; returns 0 if it got a right file, 1 if it failed, minus the signal if it was killed."""
        status = self._ask(child)
        self._running.remove(child)
        return status

    def _ask(self, order: object) -> int:
        assert not self._asked, "an earlier test gave up before the answer came"
        self._asked = True
        self._pipe.send(order)
        answer = self._pipe.recv()
        self._asked = False
        return answer

    def close(self) -> None:
        """End all that a test which failed has left."""
        for child in self._running:
            os.kill(child, signal.SIGKILL)
        self._pipe.send(None)
        self._process.join(10)
        self._process.kill()


@pytest.fixture(scope="module")
def fetchers() -> Iterator[Fetchers]:
    fetchers = Fetchers()
    yield fetchers
    fetchers.close()


def _fork_at_will(pipe: Connection) -> None:
    import requests
    import tqdm  # noqa: F401 (a fetch imports these late)

    with contextlib.suppress(requests.RequestException):
        requests.get("http://127.0.0.1:1/", timeout=1)  # which imports the rest
    multiprocessing.set_start_method("fork", force=True)  # else tqdm's lock outlives a child that is killed
    gc.freeze()  # a child need not copy what it does not change
    while (order := pipe.recv()) is not None:
        if isinstance(order, int):
            pipe.send(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]))
            continue
        begins, about_to_begin = os.pipe()
        if (child := os.fork()) == 0:
            os.close(begins)
            _fetch(about_to_begin, *order)
        os.close(about_to_begin)
        os.read(begins, 1)
        os.close(begins)
        pipe.send(child)


def _fetch(
    about_to_begin: int, environment: dict[str, str], url: str, trouble: tuple[Any, ...], known: dict[str, Any]
) -> None:
    """A child's whole life."""
    status = 1
    try:
        os.environ.update(environment)
        http_request.PAUSE_S = 0.01
        if trouble:
            trouble[0](*trouble[1:])
        os.close(about_to_begin)
        path = download.fetch(url, name="model", **known).path
        status = 0 if path.name == SHA256 == cache.sha256_of(path) else 1
    except BaseException:
        traceback.print_exc(limit=-4, chain=False)
    finally:
        os._exit(status)


# --- killed ----------------------------------------------------------------------------------------------------------


def test_a_hundred_kills_at_random_moments_leave_the_right_file_and_nothing_else(publisher, home, fetchers):
    draw, kills = random.Random(0), 0
    for number in itertools.count():
        if kills >= 100:
            break
        url = publisher.publish(f"/{number}.pkl", CONTENT, sent(block=64_000, pause_s=0.004))  # takes 40 ms
        known, status = draw.choice(KNOWN), KILLED
        while status == KILLED:
            child = fetchers.start(url, **known)
            if draw.random() < 0.8:
                time.sleep(draw.uniform(0, 0.06))
                os.kill(child, signal.SIGKILL)
            status = fetchers.end(child)  # 0: it was left alone, or faster
            kills += status == KILLED
            assert_no_wrong_file(home)
        assert status == 0
        assert_right_file_alone(home)
        (home / "raw" / SHA256).unlink()
    assert any(exchange.status == 206 for exchange in publisher.log)  # some went on from what the killed had left


def test_a_kill_before_every_step_on_the_disk_leaves_the_right_file_and_nothing_else(
    publisher, home, fetchers, impatient
):
    """The moments between two steps are short; a clock would hardly ever hit them."""
    for step in itertools.count(1):
        url = publisher.publish("/MODEL.pkl", CONTENT, cut([200_000]))
        status = fetchers.end(fetchers.start(url, (_die_before, step)))
        if status == 0:
            break
        assert status == KILLED
        assert fetchers.end(fetchers.start(url, (_die_before, step))) in (KILLED, 0)  # amid what the first has left
        assert_no_wrong_file(home)
        assert download.fetch(url, name="model").sha256 == SHA256
        assert_right_file_alone(home)
        (home / "raw" / SHA256).unlink()
        for pin in (home / "pins").iterdir():
            pin.unlink()
    assert step > 15


def _die_before(step: int) -> None:
    """Kill this process before the n-th time that it opens, makes, renames, links, locks or removes something."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        here = event == "open" and str(arguments[0]).startswith(home)  # elsewhere it reads modules
        if (here or event.startswith(("os.", "fcntl."))) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    home, steps = os.environ["VIDEOHUB_HOME"], itertools.count(1)
    sys.addaudithook(watch)


def test_when_the_one_at_work_is_killed_another_goes_on_from_there(publisher, home, fetchers):
    url = publisher.publish("/MODEL.pkl", CONTENT, sent(block=64_000, pause_s=0.2))
    killed = fetchers.start(url)
    while not publisher.log or publisher.log[0].sent < 200_000:
        time.sleep(0.001)
    others = [fetchers.start(url) for _ in range(5)]
    os.kill(killed, signal.SIGKILL)
    assert fetchers.end(killed) == KILLED
    assert [fetchers.end(other) for other in others] == [0] * 5
    assert [exchange.status for exchange in publisher.log] == [200, 206]
    assert_right_file_alone(home)


# --- many at once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", KNOWN, ids=["unknown", "known"])
def test_of_thirty_two_at_once_one_downloads(publisher, home, fetchers, known):
    url = publisher.publish("/MODEL.pkl", CONTENT, sent(block=64_000, pause_s=0.05))
    children = [fetchers.start(url, **known) for _ in range(32)]
    assert [fetchers.end(child) for child in children] == [0] * 32
    assert publisher.requests == ["/MODEL.pkl"]
    assert_right_file_alone(home)


@pytest.mark.parametrize("known", KNOWN, ids=["unknown", "known"])
@pytest.mark.parametrize("locks", ["refused", "granted to all"])
def test_thirty_two_at_once_are_right_without_locks(publisher, home, fetchers, locks, known):
    url = publisher.publish("/MODEL.pkl", CONTENT, _together(32), cut([300_000] * 8))
    children = [fetchers.start(url, (_without_locks, locks), **known) for _ in range(32)]
    assert [fetchers.end(child) for child in children] == [0] * 32
    assert [exchange.status for exchange in publisher.log][:32] == [200] * 32
    assert_right_file_alone(home)


@pytest.mark.parametrize("locks", ["refused", "granted to all"])
def test_sixteen_in_a_row_are_right_without_locks(publisher, home, fetchers, locks):
    """Each begins while others are under way; where locks are granted to all, it believes that it is alone."""
    url = publisher.publish("/MODEL.pkl", CONTENT, _together(5), sent(block=64_000, pause_s=0.02))
    children = []
    for _ in range(16):
        children.append(fetchers.start(url, (_without_locks, locks)))
        time.sleep(0.02)
    assert [fetchers.end(child) for child in children] == [0] * 16
    assert len(publisher.log) >= 5
    assert_right_file_alone(home)


def _together(count: int):
    """Answer the first requests once all of them are there, however long a machine takes to start who asks."""
    everybody = threading.Barrier(count)

    def serve_together(asked: Asked, serve: Serve) -> Answer:
        everybody.wait(30)
        return serve(asked)

    return first(count, serve_together)


def _without_locks(how: str) -> None:
    """Make this process's locks as useless as some file systems do."""

    def flock(handle: int, operation: int) -> None:
        if how == "refused":
            raise OSError(ENOLCK, os.strerror(ENOLCK))

    fcntl.flock = flock


def test_one_that_stands_still_does_not_stop_the_next(publisher, home, fetchers):
    url = publisher.publish("/MODEL.pkl", CONTENT, sent(block=64_000, pause_s=0.02))
    frozen = fetchers.start(url)
    while not publisher.log or publisher.log[0].sent < 200_000:
        time.sleep(0.001)
    os.kill(frozen, signal.SIGSTOP)
    assert fetchers.end(fetchers.start(url, (_with_little_patience,))) == 0
    assert_no_wrong_file(home)
    os.kill(frozen, signal.SIGCONT)
    assert fetchers.end(frozen) == 0
    assert_right_file_alone(home)


def _with_little_patience() -> None:
    file_lock.STALE_AFTER_S = 0.3
