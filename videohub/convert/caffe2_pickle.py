"""Reads and writes Caffe2 checkpoints: a pickle `{"blobs": {name: array}}` in the form that Python 2 gave it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from videohub.convert import unpickler
from videohub.convert.stored_tensor import StoredTensor
from videohub.errors import FormatError, UnsafeFileError, UsageError
from videohub.escaping import quote


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


def write(path: Path, blobs: Mapping[str, np.ndarray], *, protocol: int = 2) -> None:
    """Write `{"blobs": blobs}` as Python 2 with numpy 1 did, so that the original's reader takes it on any numpy.

    Args:
        blobs: Arrays by name; an int64 or float64 array of no dimension is written as a plain number.
        protocol: 0, 1 or 2; the published files use 2.
    Raises: UsageError for a name or an array that this format cannot hold.
    """
    if protocol not in (0, 1, 2):
        raise UsageError(f"protocol is {protocol}, expected 0, 1 or 2: Python 2 knows no other")
    with Path(path).open("wb") as file:
        _Writer(file, protocol).write(blobs)


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
    """Writes pickle opcodes as they come; the data of one array at a time are in memory twice at most."""

    def __init__(self, file: IO[bytes], protocol: int) -> None:
        self.file, self.protocol = file, protocol
        self.memo: dict[str, int] = {}

    def write(self, blobs: Mapping[str, np.ndarray]) -> None:
        """Write the whole file."""
        put = self.file.write
        if self.protocol == 2:
            put(b"\x80\x02")
        self.empty_dict()
        self.string(b"blobs")
        self.empty_dict()
        for batch in _batches(blobs.items(), 1000):
            together = self.protocol and len(batch) > 1
            put(b"(" if together else b"")
            for name, value in batch:
                self.name(name)
                self.value(name, value)
                put(b"" if together else b"s")
            put(b"u" if together else b"")
        put(b"s.")

    def name(self, name: str) -> None:
        """Write a blob's name."""
        if not name.isascii():
            raise UsageError(f"blob {name!r}: Caffe2 names are ASCII")
        self.string(name.encode())

    def value(self, name: str, value: np.ndarray) -> None:
        """Write an array as `_reconstruct(ndarray, (0,), 'b')` and its state, or a plain number."""
        value = np.asarray(value)
        code = f"{value.dtype.kind}{value.dtype.itemsize}"
        if value.dtype.kind not in "fiub" or value.nbytes >= 2**31:
            raise UsageError(f"blob {name!r} is {value.nbytes} bytes of {value.dtype}, expected numbers below 2 GiB")
        if value.ndim == 0 and code == "i8" and -(2**31) <= int(value) < 2**31:
            return self.number(int(value))
        if value.ndim == 0 and code == "f8":
            self.file.write(b"G" + struct.pack(">d", value) if self.protocol else b"F%a\n" % float(value))
            return None
        self.called("numpy.core.multiarray\n_reconstruct", self.reconstruct_arguments)
        self.begin(0)
        self.number(1)
        self.tuple(value.shape)
        self.dtype(code)
        self.file.write(b"\x89" if self.protocol == 2 else b"I00\n")
        self.data(np.ascontiguousarray(value, value.dtype.newbyteorder("<")))
        self.file.write(b"tb")
        return None

    def called(self, name: str, arguments: Any) -> None:
        """Write the call of a global."""
        self.glob(name)
        arguments()
        self.file.write(b"R")

    def reconstruct_arguments(self) -> None:
        """Write the arguments of numpy's `_reconstruct`."""
        self.begin(3)
        self.glob("numpy\nndarray")
        self.tuple((0,))
        self.string(b"b")
        self.end(3)

    def dtype(self, code: str) -> None:
        """Write a dtype, once per file."""
        if self.recall(code):
            return

        def arguments() -> None:
            self.begin(3)
            self.string(code.encode())
            self.number(0)
            self.number(1)
            self.end(3)

        self.called("numpy\ndtype", arguments)
        self.memorize(code)
        self.begin(0)
        self.number(3)
        self.string(b"|" if code[1:] == "1" else b"<")
        self.file.write(b"NNN")
        for number in (-1, -1, 0):
            self.number(number)
        self.file.write(b"tb")

    def data(self, value: np.ndarray) -> None:
        """Write the array's bytes as a byte string."""
        raw = value.reshape(-1).view(np.uint8)
        if self.protocol:
            self.file.write(_length(raw.nbytes))
            self.file.write(raw.data)
            return
        self.file.write(b"S'")
        for start in range(0, raw.nbytes, 1 << 20):
            text = raw[start : start + (1 << 20)].tobytes().decode("latin1")
            self.file.write(text.encode("unicode_escape").replace(b"'", b"\\'"))
        self.file.write(b"'\n")

    def string(self, text: bytes) -> None:
        """Write a short byte string."""
        self.file.write(_length(len(text)) + text if self.protocol else b"S%a\n" % text.decode())

    def number(self, number: int) -> None:
        """Write a whole number, as short as the protocol allows."""
        if not self.protocol:
            self.file.write(b"I%d\n" % number)
        elif 0 <= number < 256:
            self.file.write(b"K" + struct.pack("<B", number))
        elif 0 <= number < 65536:
            self.file.write(b"M" + struct.pack("<H", number))
        else:
            self.file.write(b"J" + struct.pack("<i", number))

    def tuple(self, numbers: tuple[int, ...]) -> None:
        """Write a tuple of whole numbers."""
        if not numbers and self.protocol:
            self.file.write(b")")
            return
        self.begin(len(numbers))
        for number in numbers:
            self.number(number)
        self.end(len(numbers))

    def begin(self, length: int) -> None:
        """Begin a tuple; protocol 2 marks short ones at their end."""
        if self.protocol < 2 or not 1 <= length <= 3:
            self.file.write(b"(")

    def end(self, length: int) -> None:
        """End a tuple."""
        self.file.write({1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(length, b"t") if self.protocol == 2 else b"t")

    def empty_dict(self) -> None:
        """Write an empty dict."""
        self.file.write(b"}" if self.protocol else b"(d")

    def glob(self, name: str) -> None:
        """Write a global, the second time as a reference to the first."""
        if not self.recall(name):
            self.file.write(b"c" + name.encode() + b"\n")
            self.memorize(name)

    def memorize(self, key: str) -> None:
        """Store what was written last under the next number."""
        number = self.memo[key] = len(self.memo)
        self.file.write(b"q" + struct.pack("<B", number) if self.protocol else b"p%d\n" % number)

    def recall(self, key: str) -> bool:
        """Write a reference to what was stored, if it was."""
        if key not in self.memo:
            return False
        self.file.write(b"h" + struct.pack("<B", self.memo[key]) if self.protocol else b"g%d\n" % self.memo[key])
        return True


def _length(length: int) -> bytes:
    """Return the opcode and the length of a byte string."""
    return b"U" + struct.pack("<B", length) if length < 256 else b"T" + struct.pack("<i", length)


def _batches(items: Any, size: int) -> Iterator[list[tuple[str, np.ndarray]]]:
    """Yield lists of up to `size` items."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
