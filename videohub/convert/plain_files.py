"""Reads the containers that hold nothing but arrays: safetensors and npz."""

from __future__ import annotations

import io
import json
import math
import tokenize
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from videohub.convert.stored_tensor import (
    CHUNK,
    DTYPES,
    StoredTensor,
    bytes_at,
    checked_shape,
    claims_too_much,
)
from videohub.convert.zip_directory import DAMAGED_MEMBER
from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import brief

MAX_HEADER = 2 << 20  # a hundred bytes for each tensor; read as JSON, a header takes twenty times its length
_MAX_NPY_HEADER = 12 + 10_000  # numpy parses no longer one, but reads whatever length it claims
_TYPES = {
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "BOOL": "|b1", "C64": "<c8",
    "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
}  # fmt: skip


def read_safetensors(file: IO[bytes], source: str) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """Return the tensors of a safetensors file, bfloat16 as float32, and the metadata of its header.

    The file is not mapped: one that becomes shorter while it is used is an error, and no signal that ends the process.
    Raises: FormatError if it is cut short or damaged, if its tensors overlap or leave a gap, or if one occurs twice.
    """
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise UnsafeFileError(f"{source}: a safetensors header of {length} bytes.\n  Do not use this file.")
    if length > size - 8:
        raise _damaged_safetensors(source, f"its header takes {length} bytes, {size - 8} are there")
    start, end = 8 + length, 0
    tensors = {}
    try:
        header = json.loads(file.read(length), object_pairs_hook=_once)
        meta = header.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in meta.values()):
            raise ValueError("metadata that is no text")
        places = sorted((_place(entry), name) for name, entry in header.items())
        for (begin, stop), name in places:
            dtype = header[name]["dtype"]
            if dtype not in _TYPES:
                raise ValueError(f"{brief(name)} is of type {dtype!r:.40}, expected one of {', '.join(_TYPES)}")
            shape, raw = checked_shape(header[name]["shape"], source), np.dtype(_TYPES[dtype])
            if begin != end or stop - begin != math.prod(shape) * raw.itemsize:
                raise ValueError(f"{brief(name)} of shape {shape!r:.100} takes the bytes from {begin} to {stop}")
            end = stop
            tensors[name] = _at(file, start + begin, shape, raw, source, bfloat16=dtype == "BF16")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged_safetensors(source, f"its header is unreadable, {error!s:.300}") from None
    if end != size - start:
        raise _damaged_safetensors(source, f"its tensors take {end} bytes, {size - start} are there")
    return tensors, meta


def _place(entry: dict[str, Any]) -> tuple[int, int]:
    """Return where a tensor begins and ends, behind the header."""
    begin, stop = entry["data_offsets"]
    if type(begin) is not int or type(stop) is not int:
        raise ValueError("a place that is no number")
    return begin, stop


def _at(
    file: IO[bytes], position: int, shape: tuple[int, ...], raw: np.dtype[Any], source: str, *, bfloat16: bool
) -> StoredTensor:
    """Return the tensor whose bytes lie at `position`."""
    length = math.prod(shape) * raw.itemsize
    return StoredTensor(shape, raw, lambda: bytes_at(file, position, length, source), source, bfloat16)


def is_npz(archive: zipfile.ZipFile) -> bool:
    """Tell whether a zip file holds numpy arrays and nothing else."""
    return bool(archive.namelist()) and all(name.endswith(".npy") for name in archive.namelist())


def read_npz(archive: zipfile.ZipFile, source: str) -> tuple[dict[str, StoredTensor], dict[str, Any]]:
    """Return the arrays of an npz file; those of Python objects are refused."""
    tensors = {}
    for info in archive.infolist():
        try:
            tensors[info.filename.removesuffix(".npy")] = _npy(archive, info, source)
        except _DAMAGED_NPY as error:
            raise _damaged_npz(info, source, error) from None
    return tensors, {}


_DAMAGED_NPY = (*DAMAGED_MEMBER, SyntaxError, tokenize.TokenError, RecursionError)


def _npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str) -> StoredTensor:
    """Return one array, after comparing the shape in its header with its length."""
    with archive.open(info) as member:
        file = io.BytesIO(member.read(_MAX_NPY_HEADER))
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = header(file)
    except MemoryError:  # what the parser says of a deeply nested text
        raise ValueError("an unreadable header") from None
    start = file.tell()
    if dtype.kind not in "fiubc":
        raise UnsafeFileError(
            f"{source}: {info.filename!r:.100} has dtype {dtype!s:.100}, expected numbers.\n"
            "  Python objects can run code when they are built, so none was."
        )
    if f"{dtype.kind}{dtype.itemsize}" not in DTYPES:
        raise FormatError(
            f"{source}: {info.filename!r:.100} has dtype {dtype!s:.100}, expected one of {', '.join(DTYPES)}.\n"
            "  Convert it where it was made, and save it again."
        )
    shape = checked_shape(shape, source)
    if (needed := math.prod(shape) * dtype.itemsize) != info.file_size - start:
        raise claims_too_much(shape, needed, info.file_size - start, f"{source}: {info.filename!r:.100}")

    def chunks() -> Iterator[bytes]:
        try:
            with archive.open(info) as member:
                member.read(start)
                while chunk := member.read(CHUNK):  # to its end, where its checksum is compared
                    yield chunk
        except _DAMAGED_NPY as error:
            raise _damaged_npz(info, source, error) from None

    axes = tuple(reversed(range(len(shape)))) if fortran else None
    return StoredTensor(shape, dtype, chunks, source, axes=axes)


def _damaged_npz(info: zipfile.ZipInfo, source: str, error: BaseException) -> FormatError:
    """Return the error for an npz file that cannot be read."""
    return FormatError(f"{source}: a damaged npz file ({info.filename!r:.100}: {error!s:.200}).\n  Fetch it again.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict of the pairs, unless a key comes twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _damaged_safetensors(source: str, what: str) -> FormatError:
    """Return the error for a safetensors file that is no longer whole."""
    return FormatError(
        f"{source}: a safetensors file that is cut short or damaged ({what}).\n"
        "  Compare its size and hash with its publisher's, or fetch it again."
    )
