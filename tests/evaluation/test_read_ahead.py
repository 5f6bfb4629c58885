"""Sources that threads read: in order, no further ahead than they may, and over when nobody wants more."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from videohub.evaluation.read_ahead import read_ahead


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

    found = read_ahead([1, 2, 3], broken, threads=threads)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(KeyError):
        next(found)


@pytest.mark.parametrize("threads", [0, 2])
def test_whoever_has_enough_ends_the_threads_and_closes_what_they_read(threads):
    closed = []

    def endless(source):
        try:
            while True:
                yield source
        finally:
            closed.append(source)

    with closing(read_ahead(range(9), endless, threads=threads)) as found:
        assert [next(found) for _ in range(30)] == [0] * 30
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

    with closing(read_ahead([0], counted, threads=1)) as found:
        assert next(found) == 0
        assert enough.wait(10)
        assert not threading.Event().wait(0.3)
        assert len(read) == 10
