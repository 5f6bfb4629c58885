"""Memory for frames that a decoder process fills and its parent reads, lent to and fro instead of made anew.

For a new page the system takes longer than a decoder for the pixels on it: 36 MB of planes take 4 ms to copy, and 35 ms
with the pages to put them on. So memory that the parent has no more use for goes back with the next task.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from typing import IO, Any

import numpy as np
import numpy.typing as npt

KEPT = 128 << 20  # bytes of a piece that are worth keeping; larger ones are let go of when they come back


class Lender:
    """A decoder process's side: pieces of shared memory, each lent, at hand, or being filled."""

    def __init__(self) -> None:
        self._at_hand: list[_Piece] = []
        self._lent: dict[int, _Piece] = {}
        self._filled: _Piece | None = None
        self._made = 0

    def room(self, size: int) -> npt.NDArray[np.uint8]:
        """Return memory of at least `size` bytes; a second call before it is lent asks for other memory instead."""
        self.keep()
        self._at_hand.sort(key=lambda piece: piece.size)
        fitting = (piece for piece in self._at_hand if piece.size >= size)
        # what will not be kept is a new piece: one that the parent knows, it would go on mapping when we had let it go
        growing = self._at_hand[-1] if self._at_hand and size <= KEPT else None
        piece = next(fitting, growing)
        if piece is None:
            self._made += 1
            piece = _Piece(self._made)
        else:
            self._at_hand.remove(piece)
        piece.grow(size)
        self._filled = piece
        return piece.memory

    def keep(self) -> None:
        """Take back what was to be filled: there is nothing to lend."""
        if self._filled is not None:
            self._put_back(self._filled)
            self._filled = None

    def lend(self) -> tuple[int, int, list[int]]:
        """Hand out what was filled: its number, its size, and its descriptor if the parent does not have that yet."""
        assert self._filled is not None, "nothing was filled"
        piece, self._filled = self._filled, None
        self._lent[piece.number] = piece
        descriptors = [] if piece.known else [piece.file.fileno()]
        piece.known = True
        return piece.number, piece.size, descriptors

    def take_back(self, numbers: tuple[int, ...]) -> None:
        """Have pieces again that the parent reads no more."""
        for number in numbers:
            self._put_back(self._lent.pop(number))

    def _put_back(self, piece: _Piece) -> None:
        if piece.size <= KEPT:
            self._at_hand.append(piece)


class Borrower:
    """The parent's side: what one decoder process has lent, and what of it nobody here uses any more."""

    def __init__(self) -> None:
        self._mapped: dict[int, mmap.mmap] = {}
        self._used: dict[int, weakref.ref[Watched]] = {}

    def borrow(self, number: int, size: int, descriptor: int | None) -> npt.NDArray[np.uint8]:
        """Return a piece's bytes without copying; it is in use as long as an array made from them is."""
        if descriptor is not None:
            self._mapped[number] = mmap.mmap(descriptor, size)
        lent = Watched(size, np.uint8, self._mapped[number])
        self._used[number] = weakref.ref(lent)
        return lent.view(np.ndarray)

    def unused(self) -> tuple[int, ...]:
        """Return the pieces that are to go back, and count them as gone."""
        numbers = tuple(number for number, lent in self._used.items() if lent() is None)
        for number in numbers:
            del self._used[number]
            if len(self._mapped[number]) > KEPT:  # the lender lets go of it, too
                del self._mapped[number]
        return numbers


class _Piece:
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


def anonymous_file() -> IO[bytes]:
    """Return an open file that has no name."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("videohub"), "w+b")
    return tempfile.TemporaryFile()
