"""The pool whatever its processes do: closed from anywhere, asked for nothing, told what nobody expected."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from videohub.errors import DeviceError
from videohub.worker_pool import Lost, Work, WorkerPool


class Client:
    """Text, there and back."""

    def __init__(self, heard):
        self._heard = heard

    def task(self, task):
        return task.encode()

    def result(self, body, descriptors):
        self._heard(body)
        return body.decode()


class Shouting(Work):
    """Processes that say everything in capitals; `heard` is told in the thread that hears it."""

    handler = "tests.worker_pool.test_pool:worker"
    faults_end = False

    def __init__(self, heard=lambda body: None):
        self._heard = heard

    def client(self):
        return Client(self._heard)

    def lost(self, lost):
        return lost


def worker(setup):
    def shout(task):
        if task == b"fault":
            raise KeyError(task.decode())
        return task.upper(), []

    return shout


def pool(heard=lambda body: None, workers=2, timeout_s=60):
    return WorkerPool(Shouting(heard), workers=workers, timeout_s=timeout_s)


def test_results_come_with_their_keys_in_order():
    words = {number: f"word {number}" * 20_000 for number in range(9)}  # more than a pipe holds
    with pool() as workers:
        assert dict(workers.map(words.items())) == {number: word.upper() for number, word in words.items()}
        assert list(workers.map([])) == []
        assert list(workers.map([(0, "again")])) == [(0, "AGAIN")]


def test_a_fault_is_told_with_its_place_and_costs_its_task():
    with pool() as workers:
        (_, before), (_, lost), (_, after) = workers.map(enumerate(["a", "fault", "b"]))
    assert (before, after) == ("A", "B")
    assert isinstance(lost, Lost)
    assert (lost.kind, lost.is_ours) == ("fault", True)
    assert lost.cause.startswith("KeyError: 'fault' (test_pool.py, line ")
    assert lost.how.startswith("ended with exit code 1, saying:\n")
    assert lost.how.endswith("KeyError: 'fault'")


def test_what_a_thread_of_the_pool_meets_is_raised_where_the_result_is_asked_for():
    def heard(body):
        raise ZeroDivisionError(body)

    with pytest.raises(ZeroDivisionError), pool(heard) as workers:
        list(workers.map(enumerate("ab")))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what is open is read from /proc")
def test_a_pool_that_one_of_its_own_threads_closes_does_not_wait_for_itself():
    """As a collection of rubbish may, which comes where it likes."""
    threads = threading.active_count()
    with pool(lambda body: workers.close()) as workers:
        with pytest.raises(DeviceError, match="were ended before"):
            list(workers.map(enumerate("abcdefgh")))
        for thread in workers._threads:
            thread.join(60)
    assert threading.active_count() == threads


def test_no_thread_is_left_of_a_pool_that_could_not_start():
    threads = threading.active_count()
    command = (sys.executable, "-c", "raise SystemExit(7)")
    expected = pytest.raises(DeviceError, match=r"3 worker processes in a row(.|\n)*exit code 7")
    with expected, WorkerPool(Shouting(), workers=2, timeout_s=60, command=command) as workers:
        list(workers.map(enumerate("abc")))
    assert threading.active_count() == threads
