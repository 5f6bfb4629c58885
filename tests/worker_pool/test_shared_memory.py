"""Memory that goes to and fro between a worker process and its parent: never in use on both sides."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from videohub.errors import DeviceError
from videohub.worker_pool import process, shared_memory
from videohub.worker_pool.shared_memory import SharedMemoryClient, SharedMemoryPool

MAPS = Path("/proc/self/maps")


class Pair:
    """Both sides in one process; what crosses the socket otherwise is handed over here."""

    def __init__(self):
        self.pool, self.client = SharedMemoryPool(), SharedMemoryClient()
        self.given = []  # (number, whether a descriptor went along)

    def send(self, level, size=1000):
        self.pool.release(self.client.unused())
        self.pool.allocate(size)[:size] = level
        number, whole, descriptors = self.pool.lend()
        self.given.append((number, bool(descriptors)))
        return self.client.open(number, whole, descriptors[0] if descriptors else None)


@pytest.mark.parametrize(
    "derive",
    [
        lambda array: array[:10],
        lambda array: array[:996].view("<f4").reshape(3, 83)[1:],
        lambda array: torch.from_numpy(array[:12].reshape(3, 4))[:, 1:].T,
        lambda array: memoryview(array)[5:],
        lambda array: array[::2][::2].T,
    ],
    ids=["slice", "other type", "tensor", "memoryview", "steps"],
)
def test_memory_is_in_use_as_long_as_anything_made_of_it(derive):
    pair = Pair()
    kept = derive(pair.send(7))
    before = bytes(memoryview(np.asarray(kept)).tobytes())
    pair.send(8)
    assert np.asarray(kept).tobytes() == before
    del kept
    pair.send(9)
    pair.send(10)
    numbers = [number for number, _ in pair.given]
    assert len(set(numbers)) == 2  # the first is used again once nobody has it
    assert numbers[0] in numbers[2:]


def test_memory_goes_to_and_fro_and_its_descriptor_crosses_once():
    pair = Pair()
    for level in range(5):
        assert (pair.send(level)[:1000] == level).all()
    assert pair.given == [(1, True), (1, False), (1, False), (1, False), (1, False)]


def test_memory_grows_for_a_larger_source_and_is_sent_anew():
    pair = Pair()
    pair.send(1, 1000)
    assert (pair.send(2, 5_000_000)[:5_000_000] == 2).all()
    assert (pair.send(3, 1000)[:1000] == 3).all()
    assert pair.given == [(1, True), (1, True), (1, False)]


def test_of_several_pieces_the_smallest_that_fits_is_taken():
    pair = Pair()
    held = [pair.send(1, 4_000_000), pair.send(1, 1000), pair.send(1, 2_000_000)]
    del held
    pair.send(1, 1_500_000)
    assert pair.given[-1] == (3, False)


def test_a_source_without_frames_lends_nothing():
    pair = Pair()
    pair.pool.allocate(1000)
    pair.pool.discard()
    pair.pool.allocate(1000)  # asked for twice: the first attempt is given up
    pair.send(1)
    assert pair.given == [(1, True)]


def test_memory_that_is_too_large_to_keep_is_let_go_of_on_both_sides(monkeypatch):
    monkeypatch.setattr(shared_memory, "KEPT", 1_000_000)
    pair = Pair()
    pair.send(1, 2_000_000)
    pair.send(2, 1000)
    assert [number for number, _ in pair.given] == [1, 2]
    if MAPS.exists():
        spans = [line.split()[0].split("-") for line in MAPS.read_text().splitlines() if "memfd:videohub" in line]
        assert 0 < max(int(end, 16) - int(begin, 16) for begin, end in spans) < 1_000_000


def test_memory_too_large_to_keep_that_is_never_lent_leaves_the_parent_with_nothing_of_it(monkeypatch):
    monkeypatch.setattr(shared_memory, "KEPT", 1_000_000)
    pair = Pair()
    pair.send(1, 1000)
    pair.pool.release(pair.client.unused())
    pair.pool.allocate(2_000_000)  # for a source that then turns out to be damaged
    pair.send(2, 1000)
    assert pair.given == [(1, True), (1, False)]  # the parent goes on mapping the piece that it knows


def test_a_descriptor_that_finds_no_room_is_told_and_not_overlooked():
    resource = pytest.importorskip("resource")
    ours, theirs = socket.socketpair()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    with ours, theirs, tempfile.TemporaryFile() as file:
        socket.send_fds(theirs, [b"."], [file.fileno(), file.fileno()])
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken[0], file.fileno()) + 8, before[1]))
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            os.close(taken.pop())  # room for one of the two
            with pytest.raises(DeviceError, match="may not open more files; raise the limit"):
                process.receive_descriptors(ours, 2)
            taken.append(os.dup(0))  # and it was not lost
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for descriptor in taken:
                os.close(descriptor)
