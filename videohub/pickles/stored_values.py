"""What still lies in its file: tensors, read when an array is made of one, and the long strings of a pickle."""

from __future__ import annotations

import codecs
import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from videohub.errors import FormatError, UnsafeFileError

CHUNK = 1 << 20  # bytes in memory at once, besides the array that is filled
Chunks = Callable[[], Iterator[bytes | memoryview]]

# What an array may be made of, as numpy abbreviates it; the numbers of which every platform has the same idea.
DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16")
_MAX_DIMENSIONS = 32
_MAX_ELEMENTS = 2**58  # of 16 bytes each; empty dimensions count as one, for numpy counts them so


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor of a file: its shape, and how to get at its values.

    `chunks` yields its bytes, numbers of type `raw`, in the order of `axes`: the slowest axis first, as they lie in
    the file. `bfloat16` says that `raw` numbers are the upper halves of float32. An array of it is asked for with
    `numpy.asarray(stored, dtype)`, which reads piece by piece and casts on the way.
    """

    shape: tuple[int, ...]
    raw: np.dtype[Any]
    chunks: Chunks
    source: str
    bfloat16: bool = False
    axes: tuple[int, ...] | None = None  # None: first to last, as C does
    filed: tuple[int, ...] | None = None  # the shape to which `axes` belong, where `shape` has unit dimensions more

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the array that `numpy.asarray` gives: little-endian, float32 for bfloat16."""
        return np.dtype("<f4") if self.bfloat16 else self.raw.newbyteorder("<")

    @property
    def nbytes(self) -> int:
        """The bytes that the array takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def reshape(self, shape: tuple[int, ...]) -> StoredTensor:
        """Return it with another shape of as many elements."""
        return dataclasses.replace(self, shape=tuple(shape), filed=self.filed or self.shape)

    def transpose(self, turn: Any) -> StoredTensor:
        """Return it, as it lies in the file, with its axes in another order. Raises: ValueError if it is none."""
        if not isinstance(turn, tuple) or self.axes or sorted(turn) != list(range(len(self.shape))):
            raise ValueError("an array whose axes are in no order")
        axes = tuple(turn.index(axis) for axis in range(len(turn)))
        return dataclasses.replace(self, shape=tuple(self.shape[axis] for axis in turn), axes=axes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read it into an array of its own, contiguous.

        Raises: FormatError if the bytes are not there any more or fail their checksum; UnsafeFileError if there are
            fewer or more of them than the shape needs.
        """
        flat = np.empty(math.prod(self.shape), self.dtype if dtype is None else dtype)
        filled = 0
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is found by who looks at values
            for values in self._values():
                if filled + values.size > flat.size:
                    raise self._another_length(f"more than {flat.size * self.raw.itemsize}")
                flat[filled : filled + values.size] = values
                filled += values.size
        if filled < flat.size:
            raise self._another_length(str(filled * self.raw.itemsize))
        filed = self.filed or self.shape
        if self.axes is None or flat.size == 0:
            return flat.reshape(self.shape)
        turned = flat.reshape([filed[axis] for axis in self.axes]).transpose(np.argsort(self.axes))
        return np.ascontiguousarray(turned).reshape(self.shape)

    def _values(self) -> Iterator[np.ndarray]:
        """Yield the numbers as they lie in the file; a number cut in two by the end of a piece waits for its rest."""
        rest = b""
        for chunk in self.chunks():
            data = rest + bytes(chunk) if rest else chunk
            size = memoryview(data).nbytes
            whole = size - size % self.raw.itemsize
            rest = bytes(memoryview(data)[whole:])
            if not whole:
                continue
            values = np.frombuffer(data, self.raw, whole // self.raw.itemsize)
            yield (values.astype("<u4") << 16).view("<f4") if self.bfloat16 else values
        if rest:
            raise self._another_length("part of a number too many")

    def _another_length(self, stored: str) -> UnsafeFileError:
        return claims_too_much(self.shape, math.prod(self.shape) * self.raw.itemsize, stored, self.source)


@dataclass(frozen=True, eq=False)
class DerivedTensor:
    """A tensor that is made of others when an array of it is asked for: `make` is told the type."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[np.dtype[Any]], np.ndarray]

    def reshape(self, shape: tuple[int, ...]) -> DerivedTensor:
        """Return it with another shape of as many elements."""
        return DerivedTensor(tuple(shape), self.dtype, lambda dtype: self.make(dtype).reshape(shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Make it, contiguous. Raises: as its parts do, and ConversionError where they do not belong together."""
        return np.ascontiguousarray(self.make(np.dtype(self.dtype if dtype is None else dtype))).reshape(self.shape)


Array = StoredTensor | DerivedTensor | np.ndarray


def damaged(source: str, what: str) -> FormatError:
    """Return the error for a file that is not as it was written."""
    return FormatError(f"{source}: {what}.\n  Compare its size and hash with its publisher's, or fetch it again.")


def claims_too_much(shape: tuple[int, ...], needed: int, stored: object, source: str) -> UnsafeFileError:
    """Return the error for an array whose shape does not belong to its bytes."""
    return UnsafeFileError(
        f"{source}: an array of shape {shape!r:.100} needs {needed} bytes, {stored} are there.\n"
        "  Nothing was allocated. The file is damaged, or made to fill the memory: do not use it."
    )


def checked_shape(shape: Sequence[Any], source: str) -> tuple[int, ...]:
    """Return a shape that numpy and torch can make an array of, even an empty one.

    Raises: UnsafeFileError.
    """
    if len(shape) > _MAX_DIMENSIONS or not all(type(length) is int and 0 <= length < 2**62 for length in shape):
        raise UnsafeFileError(f"{source}: an array of shape {tuple(shape[:40])!r:.100}.\n  Do not use this file.")
    if math.prod(max(length, 1) for length in shape) > _MAX_ELEMENTS:
        raise UnsafeFileError(
            f"{source}: an array of shape {tuple(shape)!r:.100}, which is more than any machine can address.\n"
            "  Nothing was allocated. The file is damaged, or made to fill the memory: do not use it."
        )
    return tuple(shape)


def bytes_at(file: IO[bytes], position: int, length: int, source: str) -> Iterator[memoryview]:
    """Yield `length` bytes from `position` on; what was yielded is overwritten by the next piece.

    Raises: FormatError if the file has become shorter meanwhile.
    """
    buffer = memoryview(bytearray(min(length, CHUNK)))
    for start in range(position, position + length, CHUNK):
        piece = buffer[: min(CHUNK, position + length - start)]
        file.seek(start)
        done = 0
        while done < len(piece):
            count = file.readinto(piece[done:])  # type: ignore[attr-defined]  # of every file opened as "rb"
            if not count:
                raise FormatError(
                    f"{source}: cut short while it was read: {position + length - start - done} bytes are missing.\n"
                    "  Another program writes to it, or its disk is gone: read it again when it is whole."
                )
            done += count
        yield piece


def strided(
    file: IO[bytes], position: int, shape: Sequence[int], strides: Sequence[int], raw: np.dtype[Any], source: str
) -> Iterator[bytes | memoryview]:
    """Yield the elements of a view, in order of its axes, reading no more than a chunk of what lies between them.

    Args:
        position: Where the view's first element lies, in bytes.
        strides: In elements, in descending order.
    """
    inner = 1 + sum((length - 1) * step for length, step in zip(shape[1:], strides[1:], strict=True))
    count = math.prod(shape[1:])
    first, step = (shape[0], strides[0]) if shape else (1, 0)
    chunk = CHUNK // raw.itemsize
    together = min(first, max(1, (chunk - inner) // step + 1 if step else first), max(1, chunk // max(count, 1)))
    for start in range(0, first, together):
        begin, block = position + start * step * raw.itemsize, min(together, first - start)
        span = inner + (block - 1) * step
        if shape and max(span, block * count) > chunk:
            yield from strided(file, begin, shape[1:], strides[1:], raw, source)
            continue
        data = b"".join(bytes_at(file, begin, span * raw.itemsize, source))
        view = np.lib.stride_tricks.as_strided(
            np.frombuffer(data, raw),
            (block, *shape[1:]),
            [stride * raw.itemsize for stride in (step, *strides[1:])],
            writeable=False,
        )
        yield np.ascontiguousarray(view).reshape(-1).data


def by_stride(shape: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, ...], bool]:
    """Return the axes from the largest stride to the smallest, and whether the elements fill their place so."""
    axes = tuple(sorted(range(len(shape)), key=lambda axis: (shape[axis] > 1, -strides[axis])))
    step = 1
    for axis in reversed(axes):
        if shape[axis] > 1 and strides[axis] != step:
            return axes, False
        step *= shape[axis]
    return axes, True


# --- long strings ----------------------------------------------------------------------------------------------------


class Unchangeable:
    """What stands for something that a pickle names: its attributes are out of reach of a BUILD opcode."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise TypeError("what a pickle refers to cannot be changed")


@dataclass(frozen=True)
class LongString(Unchangeable):
    """Stands for a string: the opcode that it is written with, and which bytes of the file it is, undecoded."""

    opcode: str
    position: int
    length: int

    def __len__(self) -> int:
        """Return how many bytes it takes in the file."""
        return self.length

    @property
    def is_plain(self) -> bool:
        """Whether the file holds the string's bytes as they are."""
        return self.opcode not in (*_CODECS, "STRING")


_CODECS = {
    "BINUNICODE": codecs.getincrementaldecoder("utf-8"),
    "BINUNICODE8": codecs.getincrementaldecoder("utf-8"),
    "UNICODE": codecs.getincrementaldecoder("raw_unicode_escape"),
}
# Whole characters of what Python 2 wrote between quotes, and no half of an escape at the end.
_ESCAPED = re.compile(rb"(?:[^\\]+|\\(?:x[0-9a-fA-F]{2}|[0-7]{3}|[^x0-7]|[0-7]{1,2}(?![0-7]|\Z)))*", re.DOTALL)
_PIECE = 1 << 16


def as_bytes(file: IO[bytes], text: LongString, source: str) -> Iterator[bytes | memoryview]:
    """Yield the bytes that the string stands for: its own, or those of its characters in latin1, as Python 2 had them.

    Raises: FormatError if it is damaged.
    """
    pieces = bytes_at(file, text.position, text.length, source)
    if text.is_plain:
        yield from pieces
        return
    try:
        if text.opcode == "STRING":
            yield from _unescaped(pieces, text.length)
            return
        decoder = _CODECS[text.opcode]()
        for piece in pieces:
            yield decoder.decode(bytes(piece)).encode("latin1")
        yield decoder.decode(b"", final=True).encode("latin1")
    except ValueError as error:
        raise damaged(source, f"a damaged pickle ({error!s:.200})") from None


def as_string(file: IO[bytes], text: LongString, source: str) -> str | None:
    """Return the string itself, None if it takes more than `CHUNK` bytes or is damaged."""
    if text.length > CHUNK or text.opcode == "STRING":
        return None
    data = b"".join(bytes_at(file, text.position, text.length, source))
    return _CODECS[text.opcode]("replace").decode(data, final=True) if text.opcode in _CODECS else data.decode("latin1")


def _unescaped(pieces: Iterator[memoryview], length: int) -> Iterator[bytes]:
    """Yield what stands between the quotes, without escapes."""
    rest, seen, quote = b"", 0, b""
    for piece in pieces:
        for start in range(0, len(piece), _PIECE):
            data = rest + bytes(piece[start : start + _PIECE])
            seen += len(data) - len(rest)
            if not quote:
                quote, data = data[:1], data[1:]
            if seen == length:
                if quote not in (b"'", b'"') or not data.endswith(quote):
                    raise ValueError("a string without its quotes")
                data = data[:-1] + b"\0"  # what is no digit ends a short escape
            match = _ESCAPED.match(data)
            whole = match.end() if match else 0
            decoded, _ = codecs.escape_decode(data[:whole])
            rest = data[whole:]
            yield decoded[:-1] if seen == length else decoded
            if len(rest) > 4:
                raise ValueError("an unreadable escape")
    if rest:
        raise ValueError("an unreadable escape")
