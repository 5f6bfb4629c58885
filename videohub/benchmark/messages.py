"""Messages between the decoder processes and those who use them: anonymous files, passed as descriptors.

What is sent lies in a file without a name (in memory, on Linux); only its descriptor and one byte cross the socket. So
nobody waits for the other one to read, frames are mapped and not copied by who receives them, and since nothing has a
name, a kill at any moment leaves nothing behind. Containers that allow /dev/shm little room do not matter.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from videohub.data.decoded import Decoded
from videohub.data.samples import Source
from videohub.errors import DeviceError
from videohub.registry.schema import Clip, Protocol

_LENGTH = struct.Struct("<Q")  # the last bytes of a message: how long its text is
_T = TypeVar("_T")


class Setup(msgspec.Struct, frozen=True):
    """The first message to a process: how everything that follows is to be decoded."""

    protocol: Protocol
    clip: Clip


class Task(msgspec.Struct, frozen=True):
    """A source to decode."""

    source: Source


class Array(msgspec.Struct, frozen=True):
    """An array; without `data`, it is the message's payload."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | None


class Frames(msgspec.Struct, frozen=True):
    """The fields of `Decoded`."""

    frames: Array
    positions: Array
    pts: Array
    decode_positions: Array
    boxes: Array | None


class Answer(msgspec.Struct, frozen=True):
    """What became of a task; the first one, to the setup, only says that the process is ready."""

    resident: int  # bytes of memory that are the process's own, after it has let go of the frames
    failure: str | None = None
    decoded: Frames | None = None


@dataclass(frozen=True, eq=False)
class Received:
    """A message as it arrived. Who keeps an array made from `payload` keeps the file."""

    text: bytes
    payload: mmap.mmap | None

    def read(self, kind: type[_T]) -> _T:
        """Return the text as a value of `kind`."""
        return msgspec.msgpack.decode(self.text, type=kind, dec_hook=_from_plain)


def send(connection: socket.socket, value: msgspec.Struct, payload: npt.NDArray[Any] | None = None) -> None:
    """Send a value, and an array's bytes with it. Raises: OSError if nobody is there to receive it."""
    text = msgspec.msgpack.encode(value, enc_hook=_to_plain)
    with anonymous_file() as file:
        if payload is not None:
            file.write(np.ascontiguousarray(payload).data.cast("B"))
        file.write(text + _LENGTH.pack(len(text)))
        file.flush()
        socket.send_fds(connection, [b"."], [file.fileno()])


def receive(connection: socket.socket) -> Received | None:
    """Wait for a message; None where the other end is closed."""
    byte, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    if not byte:
        return None
    if not descriptors:
        raise DeviceError("decoder processes: this process may not open more files; raise the limit (ulimit -n)")
    with open(descriptors[0], "rb") as file:
        end = file.seek(-_LENGTH.size, os.SEEK_END)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        file.seek(end - length)
        text = file.read(length)
        size = end - length
        return Received(text, mmap.mmap(file.fileno(), size) if size else None)


def pack(decoded: Decoded) -> Frames:
    """Return what to send for decoded frames; the frames themselves travel as the payload."""

    def whole(array: npt.NDArray[Any]) -> Array:
        return Array(array.dtype.str, array.shape, array.tobytes())

    return Frames(
        frames=Array(decoded.frames.dtype.str, decoded.frames.shape, None),
        positions=whole(decoded.positions),
        pts=whole(decoded.pts),
        decode_positions=whole(decoded.decode_positions),
        boxes=None if decoded.boxes is None else whole(decoded.boxes),
    )


def unpack(sent: Frames, payload: mmap.mmap | None) -> Decoded:
    """Return the decoded frames of a message, its payload mapped and not copied."""

    def whole(array: Array) -> npt.NDArray[Any]:
        # a bytearray, because torch wants to be allowed to write
        given = payload if array.data is None else bytearray(array.data)
        return np.frombuffer(given or b"", array.dtype).reshape(array.shape)

    return Decoded(
        frames=whole(sent.frames),
        positions=whole(sent.positions),
        pts=whole(sent.pts),
        decode_positions=whole(sent.decode_positions),
        boxes=None if sent.boxes is None else whole(sent.boxes),
    )


def anonymous_file() -> IO[bytes]:
    """Return an open file that has no name."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("videohub"), "w+b")
    return tempfile.TemporaryFile()


def _to_plain(value: object) -> bytes:
    """Paths travel as the system's own bytes: a file's name need not be text."""
    if isinstance(value, Path):
        return os.fsencode(value)
    raise TypeError(f"{type(value).__name__} does not travel to a decoder process")


def _from_plain(kind: type, value: Any) -> Path:
    if kind is Path:
        return Path(os.fsdecode(value))
    raise TypeError(f"{kind.__name__} does not travel to a decoder process")
