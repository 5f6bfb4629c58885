"""A part of a file as a file of its own, which reads blocks when they are needed and keeps the last few."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

BLOCK = 4 << 20  # bytes that are read at once
KEPT = 6  # blocks; a demuxer goes back and forth between the index, at either end, and where it reads


class RangeReader(io.RawIOBase):
    """Bytes 0 to `size` of what `read(start, stop)` gives; for one thread at a time."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self._read, self._size = read, size
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; one behind the end is allowed, and reads nothing. Raises: ValueError before the start."""
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise ValueError(f"found position {begin + offset}, expected none before the start")
        self._position = begin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read what lies in one block, at most."""
        view = memoryview(buffer).cast("B")
        if self._position >= self._size or not len(view):
            return 0
        number, within = divmod(self._position, BLOCK)
        piece = self._block(number)[within : within + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as many bytes as are asked for, unless the end comes first."""
        rest = max(0, self._size - self._position)
        wanted = rest if size is None or size < 0 else min(size, rest)
        data = bytearray(wanted)
        view, filled = memoryview(data), 0
        while filled < wanted:
            filled += self.readinto(view[filled:])
        return bytes(data)

    def close(self) -> None:
        self._blocks.clear()
        super().close()

    def _block(self, number: int) -> bytes:
        if self.closed:
            raise ValueError("this file is closed")
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK
        while len(self._blocks) >= KEPT:  # before the next one comes, so that no more are held than that
            self._blocks.popitem(last=False)
        self._blocks[number] = self._read(start, min(start + BLOCK, self._size))
        return self._blocks[number]
