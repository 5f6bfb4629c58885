"""Messages between a worker process and its parent: msgpack with its length in front, through pipes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

_LENGTH = 8  # bytes

_T = TypeVar("_T")


class Reply(msgspec.Struct, frozen=True):
    """What a process has to say: once when it is ready, then once a task."""

    resident: int  # bytes of memory that are the process's own
    body: bytes = b""
    descriptors: int = 0  # that come with it, through the socket beside
    fault: str | None = None  # an exception that nobody caught; the process ends with it


def write(stream: IO[bytes], text: bytes) -> None:
    """Send a message. Raises: OSError if nobody is there to receive it."""
    stream.write(len(text).to_bytes(_LENGTH, "big"))
    stream.write(text)
    stream.flush()


def read(stream: IO[bytes]) -> bytes | None:
    """Wait for a message; None where the other end is closed, also in the middle of one."""
    length = stream.read(_LENGTH)
    if len(length) < _LENGTH:
        return None
    size = int.from_bytes(length, "big")
    text = stream.read(size)
    return text if len(text) == size else None


def encode(value: msgspec.Struct) -> bytes:
    """Return a value as it travels. Paths do as the system's own bytes: a file's name need not be text."""
    return msgspec.msgpack.encode(value, enc_hook=_to_plain)


def decode(text: bytes, kind: type[_T]) -> _T:
    """Return the value that travelled as `text`."""
    return msgspec.msgpack.decode(text, type=kind, dec_hook=_from_plain)


def anonymous_file() -> IO[bytes]:
    """Return an open file that has no name; on Linux it lies in memory. A kill at any moment leaves nothing of it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("videohub"), "w+b")
    return tempfile.TemporaryFile()


def _to_plain(value: object) -> bytes:
    if isinstance(value, Path):
        return os.fsencode(value)
    raise TypeError(f"{type(value).__name__} does not travel to a worker process")


def _from_plain(kind: type, value: Any) -> Path:
    if kind is Path:
        return Path(os.fsdecode(value))
    raise TypeError(f"{kind.__name__} does not travel to a worker process")
