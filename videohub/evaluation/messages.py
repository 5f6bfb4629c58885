"""Messages between the decoder processes and those who use them: anonymous files, passed as descriptors.

What is sent lies in a file without a name (in memory, on Linux); only its descriptor and one byte cross the socket. So
nobody waits for the other one to read. Frames lie in files of their own, which are lent and used again (`lending`);
whoever receives them maps them and does not copy. Since nothing has a name, a kill at any moment leaves nothing behind.
Containers that allow /dev/shm little room do not matter.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from videohub.data.colour import Planar
from videohub.data.contradictions import Contradiction
from videohub.data.decoded import Decoded
from videohub.data.forms import Decoder
from videohub.data.recipes import Recipe
from videohub.data.samples import FrameList, KeyFrame, Source
from videohub.errors import DeviceError, VideoError
from videohub.escaping import encodable
from videohub.evaluation.lending import Borrower, Lender, anonymous_file

_T = TypeVar("_T")


class Setup(msgspec.Struct, frozen=True):
    """The first message to a process: how everything that follows is to be decoded."""

    recipes: tuple[Recipe, ...]
    decoder: Decoder
    share: int = 1  # how many processes decode at the same time


class Task(msgspec.Struct, frozen=True):
    """A source to decode, and the lent memory that is no longer in use."""

    source: Source  # of frames without their names
    names: bytes
    returned: tuple[int, ...]


class Array(msgspec.Struct, frozen=True):
    """A small array, whole."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Clips(msgspec.Struct, frozen=True):
    """What the clips of a test are made of; the fields of `Decoded`."""

    positions: Array
    pts: Array
    decode_positions: Array
    contradictions: tuple[Contradiction, ...] = ()


class Lent(msgspec.Struct, frozen=True):
    """Decoded frames, the same for all tests: at the beginning of a piece of lent memory."""

    piece: int
    size: int  # of the piece, in bytes
    dtype: str
    shape: tuple[int, ...]
    planar: Planar | None
    boxes: Array | None


class Answer(msgspec.Struct, frozen=True):
    """What became of a task; the first one, to the setup, only says that the process is ready."""

    resident: int  # bytes of memory that are the process's own
    tests: tuple[Clips | str, ...] = ()  # of each recipe its clips, or why there are none
    frames: Lent | None = None  # that the clips are made of


@dataclass(frozen=True)
class Failure:
    """Why a source has no frames."""

    reason: str


@dataclass(frozen=True, eq=False)
class Received:
    """A message as it arrived, and the descriptor that came with it; who receives that closes it."""

    text: bytes
    descriptor: int | None

    def read(self, kind: type[_T]) -> _T:
        """Return the text as a value of `kind`."""
        return msgspec.msgpack.decode(self.text, type=kind, dec_hook=_from_plain)


def task(source: Source, returned: tuple[int, ...] = ()) -> Task:
    """Return what to send for a source. Names of frames travel as paths do, as the system's own bytes."""
    frames = source.frames if isinstance(source, KeyFrame) else source
    if not isinstance(frames, FrameList):
        return Task(source, b"", returned)
    return Task(_with_names(source, ""), os.fsencode(frames.names), returned)


def source_of(task: Task) -> Source:
    """Return the source of a task as it was."""
    return _with_names(task.source, os.fsdecode(task.names)) if task.names else task.source


def _with_names(source: Source, names: str) -> Source:
    if isinstance(source, KeyFrame):
        return msgspec.structs.replace(source, frames=msgspec.structs.replace(source.frames, names=names))
    return msgspec.structs.replace(source, names=names) if isinstance(source, FrameList) else source


def send(connection: socket.socket, value: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
    """Send a value, and a descriptor with it. Raises: OSError if nobody is there to receive it."""
    with anonymous_file() as file:
        file.write(msgspec.msgpack.encode(value, enc_hook=_to_plain))
        file.flush()
        socket.send_fds(connection, [b"."], [file.fileno(), *descriptors])


def receive(connection: socket.socket) -> Received | None:
    """Wait for a message; None where the other end is closed."""
    byte, descriptors, flags, _ = socket.recv_fds(connection, 1, 2)
    if not byte:
        return None
    if not descriptors or flags & socket.MSG_CTRUNC:
        for descriptor in descriptors:
            os.close(descriptor)
        raise DeviceError("decoder processes: this process may not open more files; raise the limit (ulimit -n)")
    with open(descriptors[0], "rb") as file:
        file.seek(0)
        return Received(file.read(), descriptors[1] if len(descriptors) > 1 else None)


def answer(outcomes: Sequence[Decoded | VideoError], resident: int, lender: Lender) -> tuple[Answer, list[int]]:
    """Return what to send for the tests of a source, and the descriptors that go with it.

    The frames, which all of them share, lie in the memory that the lender gave last.
    """
    tests = tuple(encodable(str(each)) if isinstance(each, VideoError) else _clips(each) for each in outcomes)
    first = next((each for each in outcomes if isinstance(each, Decoded)), None)
    if first is None:
        lender.keep()
        return Answer(resident, tests), []
    piece, size, descriptors = lender.lend()
    boxes = None if first.boxes is None else _whole(first.boxes)
    frames = Lent(piece, size, first.frames.dtype.str, first.frames.shape, first.planar, boxes)
    return Answer(resident, tests, frames), descriptors


def outcomes(answer: Answer, borrower: Borrower, descriptor: int | None) -> list[Decoded | Failure]:
    """Return what a process made of a source, the frames mapped and not copied."""
    if (lent := answer.frames) is None:
        return [Failure(test) for test in answer.tests if isinstance(test, str)]
    memory = borrower.borrow(lent.piece, lent.size, descriptor)
    count = math.prod(lent.shape) * np.dtype(lent.dtype).itemsize
    frames = memory[:count].view(lent.dtype).reshape(lent.shape)
    boxes = None if lent.boxes is None else _array(lent.boxes)
    return [
        Failure(test)
        if isinstance(test, str)
        else Decoded(
            frames,
            _array(test.positions),
            _array(test.pts),
            _array(test.decode_positions),
            boxes,
            lent.planar,
            test.contradictions,
        )
        for test in answer.tests
    ]


def _clips(decoded: Decoded) -> Clips:
    return Clips(
        _whole(decoded.positions), _whole(decoded.pts), _whole(decoded.decode_positions), decoded.contradictions
    )


def _whole(array: npt.NDArray[Any]) -> Array:
    return Array(array.dtype.str, array.shape, array.tobytes())


def _array(sent: Array) -> npt.NDArray[Any]:
    # a bytearray, because torch wants to be allowed to write
    return np.frombuffer(bytearray(sent.data), sent.dtype).reshape(sent.shape)


def _to_plain(value: object) -> bytes:
    """Paths travel as the system's own bytes: a file's name need not be text."""
    if isinstance(value, Path):
        return os.fsencode(value)
    raise TypeError(f"{type(value).__name__} does not travel to a decoder process")


def _from_plain(kind: type, value: Any) -> Path:
    if kind is Path:
        return Path(os.fsdecode(value))
    raise TypeError(f"{kind.__name__} does not travel to a decoder process")
