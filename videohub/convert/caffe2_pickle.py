"""Reads and writes Caffe2 checkpoints: a pickle `{"blobs": {name: array}}` in the form that Python 2 gave it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from videohub.errors import FormatError, UnsafeFileError, UsageError
from videohub.escaping import quote
from videohub.pickles import unpickler
from videohub.pickles.stored_values import StoredTensor


def read(file: IO[bytes], end: int, source: str) -> tuple[dict[str, StoredTensor | np.ndarray], dict[str, Any]]:
    """Return the blobs of a Caffe2 pickle, or of a flat dict of arrays, and what else it held.

    Plain numbers (`model_iter`) become arrays of no dimension. The others are read while `file` (of `end` bytes) is
    open.
    Raises: FormatError, and UnsafeFileError naming the global.
    """
    content = unpickler.load(file, end, source)
    if behind := end - file.tell():
        raise UnsafeFileError(
            f"{source}: {behind} bytes follow the pickle, expected none.\n"
            "  Only its first part would be seen by other readers. Do not use this file."
        )
    if not isinstance(content, dict):
        raise FormatError(f"{source}: a pickle of {type(content).__name__}, expected a dict of arrays.\n  {_EXPECTED}")
    blobs = content.get("blobs", content)
    if not isinstance(blobs, dict) or not blobs:
        raise FormatError(f"{source}: a pickle without tensors, expected a dict of arrays.\n  {_EXPECTED}")
    others = [key if isinstance(key, str) else quote(key) for key in content if key != "blobs" and "blobs" in content]
    return {_name(name, source): _value(name, value, source) for name, value in blobs.items()}, {"other_keys": others}


def write(path: Path, blobs: Mapping[str, np.ndarray]) -> None:
    """Write `{"blobs": blobs}` as Python 2 with numpy 1 did, so that the original's reader takes it on any numpy.

    Args:
        blobs: Arrays by name; an int64 or float64 array of no dimension is written as a plain number.
    Raises: UsageError for a name or an array that this format cannot hold.
    """
    with Path(path).open("wb") as file:
        _Writer(file).write(blobs)


_EXPECTED = "A Caffe2 checkpoint is {'blobs': {name: array}}, or the inner dict alone."


def _name(name: Any, source: str) -> str:
    """Return a blob's name."""
    if not isinstance(name, str):
        raise FormatError(f"{source}: a blob named {quote(name)}, expected a short string.\n  {_EXPECTED}")
    return name


def _value(name: str, value: Any, source: str) -> StoredTensor | np.ndarray:
    """Return a blob as an array."""
    if isinstance(value, unpickler.Array) and value.value is not None:
        return value.value
    if isinstance(value, int | float) and (isinstance(value, float) or -(2**63) <= value < 2**63):
        return np.array(value)
    raise FormatError(
        f"{source}: {quote(name)} is a {type(value).__name__}, expected an array or a number.\n  {_EXPECTED}"
    )


class _Writer:
    """Writes opcodes of protocol 2 as they come; the data of one array at a time are in memory twice at most."""

    def __init__(self, file: IO[bytes]) -> None:
        self.put = file.write
        self.memo: dict[bytes, int] = {}

    def write(self, blobs: Mapping[str, np.ndarray]) -> None:
        """Write the whole file."""
        self.put(b"\x80\x02}U\x05blobs}")
        remaining = iter(blobs.items())
        while batch := list(islice(remaining, 1000)):
            self.put(b"(" if len(batch) > 1 else b"")
            for name, value in batch:
                if not name.isascii():
                    raise UsageError(f"blob {name!r}: Caffe2 names are ASCII")
                self.put(_string(len(name)) + name.encode())
                self.value(name, np.asarray(value))
            self.put(b"u" if len(batch) > 1 else b"s")
        self.put(b"s.")

    def value(self, name: str, value: np.ndarray) -> None:
        """Write an array as `_reconstruct(ndarray, (0,), 'b')` and its state, or a plain number."""
        code = f"{value.dtype.kind}{value.dtype.itemsize}"
        if value.dtype.kind not in "fiub" or value.nbytes >= 2**31:
            raise UsageError(f"blob {name!r} is {value.nbytes} bytes of {value.dtype}, expected numbers below 2 GiB")
        if value.ndim == 0 and code == "i8" and -(2**31) <= int(value) < 2**31:
            self.put(_number(int(value)))
            return
        if value.ndim == 0 and code == "f8":
            self.put(b"G" + struct.pack(">d", value))
            return
        self.once(b"cnumpy.core.multiarray\n_reconstruct\n")
        self.once(b"cnumpy\nndarray\n")
        self.put(b"K\x00\x85U\x01b\x87R(K\x01")
        self.shape(value.shape)
        self.dtype(code.encode())
        raw = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
        self.put(b"\x89" + _string(raw.nbytes))
        self.put(raw.data)
        self.put(b"tb")

    def shape(self, shape: tuple[int, ...]) -> None:
        """Write a tuple, whose end says how long it is, if it is short."""
        if not shape:
            self.put(b")")
            return
        numbers = b"".join(map(_number, shape))
        self.put(b"(" + numbers + b"t" if len(shape) > 3 else numbers + b"\x85\x86\x87"[len(shape) - 1 :][:1])

    def dtype(self, code: bytes) -> None:
        """Write a dtype and its state."""
        if code in self.memo:
            self.recall(code)
            return
        self.once(b"cnumpy\ndtype\n")
        self.put(_string(len(code)) + code + b"K\x00K\x01\x87R")
        self.memorize(code)
        order = b"|" if code[1:] == b"1" else b"<"
        self.put(b"(K\x03U\x01" + order + b"NNN" + 2 * _number(-1) + b"K\x00tb")

    def once(self, opcodes: bytes) -> None:
        """Write a global, the second time as a reference to the first."""
        if opcodes in self.memo:
            self.recall(opcodes)
            return
        self.put(opcodes)
        self.memorize(opcodes)

    def memorize(self, key: bytes) -> None:
        """Store what was written last under the next number."""
        self.memo[key] = len(self.memo)
        self.put(b"q" + struct.pack("<B", self.memo[key]))

    def recall(self, key: bytes) -> None:
        """Write a reference to what was stored."""
        self.put(b"h" + struct.pack("<B", self.memo[key]))


def _string(length: int) -> bytes:
    """Return the opcode and the length of a byte string."""
    return b"U" + struct.pack("<B", length) if length < 256 else b"T" + struct.pack("<i", length)


def _number(number: int) -> bytes:
    """Return the opcode of a whole number, as short as can be."""
    if 0 <= number < 256:
        return b"K" + struct.pack("<B", number)
    return b"M" + struct.pack("<H", number) if 0 <= number < 65536 else b"J" + struct.pack("<i", number)
