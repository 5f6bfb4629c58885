"""Memory that a worker process fills and its parent reads without a copy, used again instead of made anew.

For a new page the system takes longer than a decoder for the pixels on it: 36 MB of planes take 4 ms to copy, and 35 ms
with the pages to put them on. So memory that the parent has no more use for goes back with the next task.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from videohub.worker_pool.process import anonymous_file, signals_an_end

KEPT = 128 << 20  # bytes of a block that are worth keeping; larger ones are let go of when they come back


def available() -> bool:
    """Tell whether worker processes can share memory here: descriptors can be passed, and files have no names.

    Windows has nothing of that, and macOS no nameless memory to share.
    """
    return signals_an_end() and hasattr(socket, "send_fds") and hasattr(os, "memfd_create") and bool(sys.executable)


class SharedMemoryPool:
    """A worker process's side: blocks of shared memory, each lent, free, or being filled."""

    def __init__(self) -> None:
        self._free: list[_Block] = []
        self._lent: dict[int, _Block] = {}
        self._filled: _Block | None = None
        self._made = 0

    def allocate(self, size: int) -> npt.NDArray[np.uint8]:
        """Return memory of at least `size` bytes; a second call before it is lent asks for other memory instead."""
        self.discard()
        self._free.sort(key=lambda block: block.size)
        fitting = (block for block in self._free if block.size >= size)
        # what will not be kept is a new block: one that the parent knows, it would go on mapping when we had let it go
        growing = self._free[-1] if self._free and size <= KEPT else None
        block = next(fitting, growing)
        if block is None:
            self._made += 1
            block = _Block(self._made)
        else:
            self._free.remove(block)
        block.grow(size)
        self._filled = block
        return block.memory

    def discard(self) -> None:
        """Take back what was to be filled: there is nothing to lend."""
        if self._filled is not None:
            self._put_back(self._filled)
            self._filled = None

    def lend(self) -> tuple[int, int, list[int]]:
        """Hand out what was filled: its number, its size, and its descriptor if the parent does not have that yet."""
        assert self._filled is not None, "nothing was filled"
        block, self._filled = self._filled, None
        self._lent[block.number] = block
        descriptors = [] if block.known else [block.file.fileno()]
        block.known = True
        return block.number, block.size, descriptors

    def release(self, numbers: tuple[int, ...]) -> None:
        """Have blocks again that the parent reads no more."""
        for number in numbers:
            self._put_back(self._lent.pop(number))

    def _put_back(self, block: _Block) -> None:
        if block.size <= KEPT:
            self._free.append(block)


class SharedMemoryClient:
    """The parent's side: what one worker process has lent, and what of it nobody here uses any more."""

    def __init__(self) -> None:
        self._mapped: dict[int, mmap.mmap] = {}
        self._used: dict[int, weakref.ref[Watched]] = {}

    def open(self, number: int, size: int, descriptor: int | None) -> npt.NDArray[np.uint8]:
        """Return a block's bytes without copying; it is in use as long as an array made from them is."""
        if descriptor is not None:
            self._mapped[number] = mmap.mmap(descriptor, size)
        lent = Watched(size, np.uint8, self._mapped[number])
        self._used[number] = weakref.ref(lent)
        return lent.view(np.ndarray)

    def unused(self) -> tuple[int, ...]:
        """Return the blocks that are to go back, and count them as gone."""
        numbers = tuple(number for number, lent in self._used.items() if lent() is None)
        for number in numbers:
            del self._used[number]
            if len(self._mapped[number]) > KEPT:  # the process lets go of it, too
                del self._mapped[number]
        return numbers


class _Block:
    """A file without a name, mapped."""

    def __init__(self, number: int) -> None:
        self.number, self.file = number, anonymous_file()
        self.size = 0  # in bytes
        self.memory = np.empty(0, np.uint8)
        self.known = False  # to the parent, at this size

    def grow(self, size: int) -> None:
        if size > self.size:
            self.file.truncate(size)
            self.memory = np.frombuffer(mmap.mmap(self.file.fileno(), size), np.uint8)
            self.size, self.known = size, False


class Watched(np.ndarray[Any, np.dtype[Any]]):
    """An array, made on a `mmap`, that ends when the last view of it ends.

    numpy lets a view keep the array at the very bottom alive instead of those in between, but only among arrays of one
    type; and this one lies at the bottom, for below it there is no other.
    """
