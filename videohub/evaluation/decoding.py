"""Sources to frames, decoded by worker processes: a decoder that hangs or crashes costs the video it was at.

Small things cross as messages; the frames lie in shared memory, which the parent maps and does not copy. A process
imports torch only where large frames are made smaller at once, and so is ready in the time that numpy and PyAV take.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from videohub.data.decoded import Decoded, decode_shared
from videohub.data.decoded_images import Planar
from videohub.data.frame_formats import DECODERS, Decoder
from videohub.data.samples import FrameList, KeyFrame, Source, fetched_ahead
from videohub.data.spec import TestSpec
from videohub.data.video_info import Contradiction
from videohub.errors import DeviceError, FileChangedError, UsageError, VideoError
from videohub.escaping import encodable
from videohub.worker_pool import Lost, Work, WorkerPool
from videohub.worker_pool.process import decode, encode
from videohub.worker_pool.shared_memory import SharedMemoryClient, SharedMemoryPool, available

_MAX_WAITING = 4 << 30  # bytes of decoded frames; at Kinetics' size, 40 MB a video, 2 x 50 processes stay below it

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Failure:
    """Why a source has no frames."""

    reason: str


Outcomes: TypeAlias = list[Decoded | Failure]  # of a source: for each test its frames, or why there are none


def decode_all(
    sources: Iterable[tuple[_Key, Source]],
    specs: Sequence[TestSpec],
    *,
    workers: int,
    decoder: Decoder = DECODERS[0],
) -> Generator[tuple[_Key, Outcomes], None, None]:
    """Yield each source's frames, once for each test that shares them, or why there are none, in the sources' order.

    Args:
        sources: Each with the caller's name for it; they are taken as they are needed.
        workers: Processes that decode, see `WorkerPool`; they end with this generator. 0: this process, unprotected.
        decoder: See `decode_shared`.
    Raises: FileChangedError if a tar that a source lies in is no longer the one whose index was read.
    """
    sources = fetched_ahead(sources)
    if workers:
        with closing(sources), decoding_pool(specs, workers=workers, decoder=decoder) as pool:
            yield from pool.map(sources)
        return
    with closing(sources):
        for key, source in sources:
            outcomes = _decoded(source, specs, decoder=decoder)
            yield key, [Failure(str(each)) if isinstance(each, VideoError) else each for each in outcomes]


def decoding_pool(
    specs: Sequence[TestSpec], *, workers: int, decoder: Decoder = DECODERS[0]
) -> WorkerPool[Source, Outcomes]:
    """Return worker processes that decode; see `decode_all` for the arguments. One source may take them two minutes.

    One has 23 MB without torch and 300 MB with it, which it loads where large frames are made smaller at once; a soak
    of 5,600 videos found 0.2 MB more after each thousand (benchmarks/results/soak.json).
    Raises: DeviceError if this system cannot share memory with them.
    """
    if not available():
        raise DeviceError("worker processes that decode need Linux and a Python to start; workers=0 does without them")
    return WorkerPool(Decoding(specs, decoder, workers), workers=workers, timeout_s=120, max_waiting=_MAX_WAITING)


def _decoded(source: Source, specs: Sequence[TestSpec], **settings: Any) -> Sequence[Decoded | VideoError]:
    try:
        return decode_shared(source, specs, **settings)
    except UsageError as error:
        return [VideoError(str(error)) for _ in specs]


# --- what crosses ----------------------------------------------------------------------------------------------------


class Setup(msgspec.Struct, frozen=True):
    """The first message to a process: how everything that follows is to be decoded."""

    specs: tuple[TestSpec, ...]
    decoder: Decoder
    share: int = 1  # how many processes decode at the same time


class Task(msgspec.Struct, frozen=True):
    """A source to decode, and the lent memory that is no longer in use."""

    source: Source  # of frames without their names
    names: bytes  # of frames, as the system's own bytes: they need not be text
    returned: tuple[int, ...] = ()

    @classmethod
    def of(cls, source: Source, returned: tuple[int, ...] = ()) -> Task:
        """Return what to send for a source."""
        frames = source.frames if isinstance(source, KeyFrame) else source
        if not isinstance(frames, FrameList):
            return cls(source, b"", returned)
        return cls(_with_names(source, ""), os.fsencode(frames.names), returned)

    def whole(self) -> Source:
        """Return the source as it was."""
        return _with_names(self.source, os.fsdecode(self.names)) if self.names else self.source


def _with_names(source: Source, names: str) -> Source:
    if isinstance(source, KeyFrame):
        return msgspec.structs.replace(source, frames=msgspec.structs.replace(source.frames, names=names))
    return msgspec.structs.replace(source, names=names) if isinstance(source, FrameList) else source


class Clips(msgspec.Struct, frozen=True):
    """What the clips of a test are made of; the fields of `Decoded`."""

    positions: npt.NDArray[np.int64]
    pts: npt.NDArray[np.int64]
    decode_positions: npt.NDArray[np.int64]
    contradictions: tuple[Contradiction, ...] = ()


class Frames(msgspec.Struct, frozen=True):
    """Decoded frames, the same for all tests: at the beginning of a block of shared memory."""

    block: int
    size: int  # of the block, in bytes
    dtype: str
    shape: tuple[int, ...]
    planar: Planar | None
    boxes: npt.NDArray[np.float32] | None


class Result(msgspec.Struct, frozen=True):
    """What became of a source."""

    tests: tuple[Clips | str, ...]  # of each spec its clips, or why there are none
    frames: Frames | None = None  # that the clips are made of
    changed: str | None = None  # why nothing more may be read of this data set


# --- in the process --------------------------------------------------------------------------------------------------


def worker(setup: bytes) -> Callable[[bytes], tuple[bytes, list[int]]]:
    """Return what decodes a source in a worker process."""
    settings, memory = decode(setup, Setup), SharedMemoryPool()

    def work(text: bytes) -> tuple[bytes, list[int]]:
        task = decode(text, Task)
        memory.release(task.returned)
        try:
            outcomes = _decoded(
                task.whole(), settings.specs, decoder=settings.decoder, room=memory.allocate, share=settings.share
            )
        except FileChangedError as error:
            memory.discard()
            return encode(Result((), changed=encodable(str(error)))), []
        result, descriptors = result_of(outcomes, memory)
        return encode(result), descriptors

    return work


def result_of(outcomes: Sequence[Decoded | VideoError], memory: SharedMemoryPool) -> tuple[Result, list[int]]:
    """Return what to send for the tests of a source, and the descriptors that go with it.

    The frames, which all of them share, lie in the memory that was allocated last.
    """
    tests = tuple(
        encodable(str(each)) if isinstance(each, VideoError)
        else Clips(each.positions, each.pts, each.decode_positions, each.contradictions)
        for each in outcomes
    )  # fmt: skip
    first = next((each for each in outcomes if isinstance(each, Decoded)), None)
    if first is None:
        memory.discard()
        return Result(tests), []
    block, size, descriptors = memory.lend()
    frames = Frames(block, size, first.frames.dtype.str, first.frames.shape, first.planar, first.boxes)
    return Result(tests, frames), descriptors


# --- beside it -------------------------------------------------------------------------------------------------------


class Decoding(Work[Source, Outcomes]):
    """What the processes of such a pool do."""

    handler = f"{__name__}:worker"
    linked = True
    instead = ", or decode without them (workers=0)"

    def __init__(self, specs: Sequence[TestSpec], decoder: Decoder, workers: int) -> None:
        self.setup, self._tests = encode(Setup(tuple(specs), decoder, workers)), len(specs)

    def client(self) -> _Client:
        return _Client()

    def lost(self, lost: Lost) -> Outcomes:
        reason = f"the worker process {lost.how}"
        if lost.kind == "timeout":
            reason = f"decoding {lost.how}"
        elif lost.is_ours:
            reason = f"a fault of videohub's or its libraries', not of the video's: {reason}"
        return [Failure(reason) for _ in range(self._tests)]

    def size(self, result: Outcomes) -> int:
        """Return what the frames of a source take; all its tests share them."""
        return next((each.frames.nbytes for each in result if isinstance(each, Decoded)), 0)


class _Client:
    """Frames are in memory that goes back to the process with a later task."""

    def __init__(self) -> None:
        self._memory = SharedMemoryClient()

    def task(self, task: Source) -> bytes:
        return encode(Task.of(task, self._memory.unused()))

    def result(self, body: bytes, descriptors: Sequence[int]) -> Outcomes:
        """Return what a process made of a source, the frames mapped and not copied."""
        try:
            return self._outcomes(decode(body, Result), next(iter(descriptors), None))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _outcomes(self, result: Result, descriptor: int | None) -> Outcomes:
        if result.changed is not None:
            raise FileChangedError(result.changed)
        if (lent := result.frames) is None:
            return [Failure(test) for test in result.tests if isinstance(test, str)]
        memory = self._memory.open(lent.block, lent.size, descriptor)
        count = math.prod(lent.shape) * np.dtype(lent.dtype).itemsize
        frames = memory[:count].view(lent.dtype).reshape(lent.shape)
        return [
            Failure(test) if isinstance(test, str)
            else Decoded(frames, test.positions, test.pts, test.decode_positions, lent.boxes, lent.planar,
                         test.contradictions)
            for test in result.tests
        ]  # fmt: skip
