"""What threads do ahead of the model: several videos are read at once, and frames are on their way to a GPU meanwhile.

FFmpeg, swscale and torch let go of Python's lock while they work.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

import torch
from torch import Tensor

from videohub.data.views import Views
from videohub.errors import DeviceError
from videohub.evaluation.batches import ran_out

_PIECES_AHEAD = 8  # of each video; a window of SlowFast's brings up to 32 frames of 1 MB
_LOOKS_S = 0.1  # how often a thread that has to wait looks whether it is to end
_SAMPLES_AHEAD = 2  # at Kinetics' size one takes 320 MB of the GPU's memory

_Source = TypeVar("_Source")
_Piece = TypeVar("_Piece")
_Key = TypeVar("_Key")
_From = TypeVar("_From")
_To = TypeVar("_To")


def read_ahead(
    sources: Iterable[_Source], read: Callable[[_Source], Generator[_Piece, None, None]], *, threads: int
) -> Generator[_Piece, None, None]:
    """Yield the pieces that `read` gives of each source, those of the first source first.

    It is for videos that are too long to be decoded whole in a process of their own, as `decoding` does.
    What `read` raises comes out in its place. Closing this ends all threads, each once it has the piece it is at.

    Sources are taken as they are needed, so many at once as there are threads; 0: one, by whoever asks for its pieces.
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
    waiting: queue.Queue[_Piece | _End] = field(default_factory=lambda: queue.Queue(_PIECES_AHEAD))

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


# --- frames for a GPU ------------------------------------------------------------------------------------------------


def prepared(
    given: Iterable[tuple[_Key, _From]], prepare: Callable[[_From], _To], device: torch.device
) -> Generator[tuple[_Key, _To], None, None]:
    """Yield what `prepare` makes of each item, in order; on a GPU made ahead, in a stream beside the model's.

    On a CPU each is made when it is asked for: the model wants the cores itself. What `prepare` raises comes out in its
    item's turn; where a GPU's memory ran out, beside what the model needs, the item is first tried again in its turn.
    Closing this waits for the item that is being made.

    Raises: DeviceError if an item alone does not fit into what memory is left.
    """
    if device.type != "cuda":
        for key, item in given:
            yield key, prepare(item)
        return
    # its many small kernels go before what the model has waiting, else they would hardly get through
    beside = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    def make(item: _From) -> tuple[_To, torch.cuda.Event] | None:
        with torch.cuda.device(device), torch.cuda.stream(beside):
            try:
                return prepare(item), beside.record_event()
            except RuntimeError as error:
                if not ran_out(error):
                    raise
        return None  # and not the error, which would keep in use what memory was had

    def taken(key: _Key, item: _From, made: Future[tuple[_To, torch.cuda.Event] | None]) -> tuple[_Key, _To]:
        ahead_of_time = made.result()
        if ahead_of_time is None:
            return key, _made_alone(item, prepare, device)
        return key, _taken_over(*ahead_of_time, device)

    with ExitStack() as stack:
        thread = ThreadPoolExecutor(1, thread_name_prefix="videohub-preparing")
        stack.callback(thread.shutdown, wait=True, cancel_futures=True)
        ahead: deque[tuple[_Key, _From, Future[tuple[_To, torch.cuda.Event] | None]]] = deque()
        for key, item in given:
            ahead.append((key, item, thread.submit(make, item)))
            if len(ahead) > _SAMPLES_AHEAD:
                yield taken(*ahead.popleft())
        while ahead:
            yield taken(*ahead.popleft())


def _taken_over(value: _To, ready: torch.cuda.Event, device: torch.device) -> _To:
    """Let the model's stream wait for what was made beside it, and keep that until the model has used it."""
    stream = torch.cuda.current_stream(device)
    stream.wait_event(ready)
    for tensor in _tensors(value):
        tensor.record_stream(stream)
    return value


def _made_alone(item: _From, prepare: Callable[[_From], _To], device: torch.device) -> _To:
    """Prepare an item in the model's stream, with all the memory that nobody uses."""
    torch.cuda.empty_cache()
    try:
        return prepare(item)
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise DeviceError(
            f"{device}: the frames of one sample do not fit into the memory that is free; end what else runs there, "
            "take smaller batches, or use the CPU"
        ) from error


def _tensors(value: object) -> list[Tensor]:
    """Return the tensors on a GPU that views, or lists of them, are made of."""
    if isinstance(value, Views):
        return [each for each in (value.frames, value.positions, value.boxes) if each is not None]
    if isinstance(value, list | tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    return []
