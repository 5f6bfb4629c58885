"""What threads read and prepare: in order, no further ahead than they may, and over when nobody wants more.

CUDA is played by a stub.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest
import torch

from videohub.errors import DeviceError
from videohub.evaluation import prefetch
from videohub.evaluation.prefetch import prepared, read_ahead

GPU = torch.device("cuda")


class Stub:
    """Streams and events that note what happens to them."""

    def __init__(self):
        self.log = []
        self.model_stream = SimpleNamespace(wait_event=lambda event: self.log.append(("model waits for", event.number)))
        self.events = 0

    def Stream(self, device, priority):
        assert priority < 0  # goes before the model's
        self.beside = SimpleNamespace(record_event=self.record_event)
        return self.beside

    @contextmanager
    def stream(self, stream):
        assert stream is self.beside
        yield

    @contextmanager
    def device(self, device):
        yield

    def record_event(self):
        self.events += 1
        self.log.append(("recorded", self.events))
        return SimpleNamespace(number=self.events)

    def current_stream(self, device):
        return self.model_stream

    def empty_cache(self):
        self.log.append("gave back")


@pytest.fixture
def cuda(monkeypatch):
    stub = Stub()
    monkeypatch.setattr(prefetch.torch, "cuda", stub)
    return stub


def test_on_a_cpu_each_is_made_when_it_is_asked_for():
    made = []
    items = prepared([(1, "a"), (2, "b")], lambda item: made.append(item) or item.upper(), torch.device("cpu"))
    assert made == []
    assert next(items) == (1, "A")
    assert made == ["a"]
    assert list(items) == [(2, "B")]


def test_on_a_gpu_a_thread_makes_a_few_ahead_and_the_model_waits_for_each(cuda):
    taken, threads = [], set()

    def given():
        for number in range(6):
            taken.append(number)
            yield number, number

    def prepare(item):
        threads.add(threading.current_thread())
        return 10 * item

    items = prepared(given(), prepare, GPU)
    assert next(items) == (0, 0)
    assert taken == [0, 1, 2]  # two ahead
    assert list(items) == [(number, 10 * number) for number in range(1, 6)]
    assert [what for what in cuda.log if what[0] == "model waits for"] == [("model waits for", n) for n in range(1, 7)]
    for number in range(1, 7):
        assert cuda.log.index(("recorded", number)) < cuda.log.index(("model waits for", number))
    assert threading.current_thread() not in threads
    assert len(threads) == 1


def test_a_fault_in_the_thread_comes_out_in_its_turn(cuda):
    items = prepared(enumerate([4, 2, 0]), lambda item: 8 // item, GPU)
    assert [next(items), next(items)] == [(0, 2), (1, 4)]
    with pytest.raises(ZeroDivisionError):
        next(items)


def test_what_finds_no_memory_beside_the_model_is_tried_again_in_its_turn(cuda):
    tried, held = [], []

    def prepare(item):
        tried.append((item, threading.current_thread() is threading.main_thread()))
        assert not any(each() is not None for each in held)  # the first attempt holds no memory any more
        if item == 1 and tried.count((1, True)) == 0:
            frames = torch.zeros(1)
            held.append(weakref.ref(frames))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 10 * item

    assert list(prepared(enumerate(range(4)), prepare, GPU)) == [(0, 0), (1, 10), (2, 20), (3, 30)]
    assert [each for each in tried if each[0] == 1] == [(1, False), (1, True)]
    assert cuda.log.count("gave back") == 1


def test_a_sample_that_does_not_fit_alone_is_told(cuda):
    def prepare(item):
        raise RuntimeError("CUDA error: out of memory")

    with pytest.raises(DeviceError, match="cuda: the frames of one sample do not fit"):
        next(prepared([(0, 0)], prepare, GPU))


def test_closing_leaves_no_thread_and_makes_nothing_more(cuda):
    before, made = threading.active_count(), []
    items = prepared(enumerate(range(100)), made.append, GPU)
    next(items)
    items.close()
    assert threading.active_count() == before
    assert len(made) <= 3


# --- videos that threads read ----------------------------------------------------------------------------------------


def pieces(source: int) -> Generator[tuple[int, int], None, None]:
    yield from ((source, number) for number in range(source))


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_pieces_come_in_the_order_of_the_sources(threads):
    sources = [20, 0, 3, 1, 15]
    expected = [(source, number) for source in sources for number in range(source)]
    assert list(read_ahead(sources, pieces, threads=threads)) == expected


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_out_in_its_place(threads):
    def broken(source):
        yield source
        if source == 2:
            raise KeyError(source)

    result = read_ahead([1, 2, 3], broken, threads=threads)
    assert [next(result), next(result)] == [1, 2]
    with pytest.raises(KeyError):
        next(result)


@pytest.mark.parametrize("threads", [0, 2])
def test_whoever_has_enough_ends_the_threads_and_closes_what_they_read(threads):
    closed = []

    def endless(source):
        try:
            while True:
                yield source
        finally:
            closed.append(source)

    with closing(read_ahead(range(9), endless, threads=threads)) as result:
        assert [next(result) for _ in range(30)] == [0] * 30
    assert sorted(closed) == list(range(max(1, threads)))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("videohub-reading")]


def test_no_source_is_read_further_ahead_than_eight_pieces():
    read: list[int] = []
    enough = threading.Event()

    def counted(source):
        for number in range(100):
            read.append(number)
            if len(read) >= 10:  # 8 that wait, one that has no room, the one that is used
                enough.set()
            yield number

    with closing(read_ahead([0], counted, threads=1)) as result:
        assert next(result) == 0
        assert enough.wait(10)
        assert not threading.Event().wait(0.3)
        assert len(read) == 10
