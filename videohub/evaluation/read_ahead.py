"""Videos that are read by threads, ahead of who uses them: several at once, their pieces in the order of the videos.

FFmpeg, swscale and torch let go of Python's lock while they work. It is for videos that are too long to be decoded
whole in a process of their own, as `decoding` does.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

_AHEAD = 8  # pieces of each video; a window of SlowFast's brings up to 32 frames of 1 MB
_LOOKS_S = 0.1  # how often a thread that has to wait looks whether it is to end

_Source = TypeVar("_Source")
_Piece = TypeVar("_Piece")


def read_ahead(
    sources: Iterable[_Source], read: Callable[[_Source], Generator[_Piece, None, None]], *, threads: int
) -> Generator[_Piece, None, None]:
    """Yield the pieces that `read` gives of each source, those of the first source first.

    What `read` raises comes out in its place. Closing this ends all threads, each once it has the piece it is at.

    Args:
        sources: They are taken as they are needed.
        read: Is called in a thread.
        threads: How many sources are read at once; 0: one, by whoever asks for its pieces.
    """
    if not threads:
        for source in sources:
            with closing(read(source)) as pieces:
                yield from pieces
        return
    stopped = threading.Event()
    with ThreadPoolExecutor(threads, thread_name_prefix="videohub-reading") as pool:
        try:
            flight: deque[_Flight[_Piece]] = deque()
            rest = iter(sources)
            while True:
                for source in islice(rest, threads - len(flight)):
                    flight.append(_Flight(stopped))
                    pool.submit(flight[-1].fly, read(source))
                if not flight:
                    return
                yield from flight.popleft().pieces()
        finally:
            stopped.set()


@dataclass(eq=False)
class _Flight(Generic[_Piece]):
    """A source that a thread reads; the last thing in its queue is a callable, which raises what ended it."""

    stopped: threading.Event
    waiting: queue.Queue[_Piece | _End] = field(default_factory=lambda: queue.Queue(_AHEAD))

    def fly(self, pieces: Generator[_Piece, None, None]) -> None:
        """Read all pieces; in a thread."""
        with closing(pieces):
            try:
                for piece in pieces:
                    if not self._put(piece):
                        return
            except BaseException as error:  # raised again where the pieces are asked for
                self._put(_End(error))
            else:
                self._put(_End(None))

    def pieces(self) -> Iterator[_Piece]:
        """Yield what the thread has read."""
        while not isinstance(piece := self.waiting.get(), _End):
            yield piece
        if piece.error is not None:
            raise piece.error

    def _put(self, piece: _Piece | _End) -> bool:
        """Wait until there is room, and return whether the piece is wanted."""
        while not self.stopped.is_set():
            try:
                self.waiting.put(piece, timeout=_LOOKS_S)
            except queue.Full:
                continue
            return True
        return False


@dataclass(frozen=True)
class _End:
    """What ended a source: its end, or an error."""

    error: BaseException | None
