"""Reads the containers that hold nothing but arrays: safetensors and npz."""

from __future__ import annotations

import json
import tokenize
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from videohub.convert.zip_directory import DAMAGED_MEMBER
from videohub.errors import FormatError, UnsafeFileError

MAX_HEADER = 2 << 20  # a hundred bytes for each tensor; read as JSON, a header takes twenty times its length


def read_safetensors(path: Path, source: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors of a safetensors file, bfloat16 as float32, and the metadata of its header."""
    from safetensors import SafetensorError, safe_open

    _check_header(path, source)
    tensors = {}
    try:
        with safe_open(path, framework="numpy") as file:
            meta = dict(file.metadata() or {})
            narrow = [name for name in file.keys() if file.get_slice(name).get_dtype() == "BF16"]  # noqa: SIM118
            for name in file.keys():  # noqa: SIM118 - it is no dict
                tensors[name] = np.empty(0) if name in narrow else file.get_tensor(name)
        if narrow:  # numpy has no bfloat16
            with safe_open(path, framework="pt") as file:
                tensors.update({name: file.get_tensor(name).float().numpy() for name in narrow})
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged_safetensors(source, str(error)) from None
    return tensors, meta


def is_npz(archive: zipfile.ZipFile) -> bool:
    """Tell whether a zip file holds numpy arrays and nothing else."""
    return bool(archive.namelist()) and all(name.endswith(".npy") for name in archive.namelist())


def read_npz(archive: zipfile.ZipFile, source: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of an npz file; those of Python objects are refused."""
    tensors = {}
    for info in archive.infolist():
        try:
            tensors[info.filename.removesuffix(".npy")] = _npy(archive, info, source)
        except (*DAMAGED_MEMBER, SyntaxError, tokenize.TokenError, RecursionError) as error:
            raise FormatError(
                f"{source}: a damaged npz file ({info.filename!r:.100}: {error!s:.200}).\n  Fetch it again."
            ) from None
    return tensors, {}


def _npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str) -> np.ndarray:
    """Return one array, after comparing the shape in its header with its length."""
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        try:
            shape, fortran, dtype = header(file)
        except MemoryError:  # what the parser says of a deeply nested text
            raise ValueError("an unreadable header") from None
        if dtype.kind not in "fiubc":
            raise UnsafeFileError(
                f"{source}: {info.filename!r:.100} has dtype {dtype!s:.100}, expected numbers.\n"
                "  Python objects can run code when they are built, so none was."
            )
        needed, left = dtype.itemsize, info.file_size - file.tell()
        for length in shape:
            needed *= int(length)
        if needed != left or min(shape, default=0) < 0:
            raise UnsafeFileError(
                f"{source}: {info.filename!r:.100} of shape {shape!r:.80} needs {needed!s:.40} bytes, "
                f"{left} are there.\n"
                "  Nothing was allocated. The file is damaged, or made to fill the memory: do not use it."
            )
        flat = np.empty(needed, np.uint8)
        done = 0
        while done < needed:
            chunk = file.read(min(1 << 20, needed - done))
            if not chunk:
                raise EOFError(f"{needed - done} bytes are missing")
            flat[done : done + len(chunk)] = np.frombuffer(chunk, np.uint8)
            done += len(chunk)
    array = flat.view(dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(array, dtype.newbyteorder("<")).reshape(shape)


def _check_header(path: Path, source: str) -> None:
    """Refuse a safetensors file that is cut short, or whose header is too long or names a tensor twice."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = path.stat().st_size
        if length > MAX_HEADER:
            raise UnsafeFileError(f"{source}: a safetensors header of {length} bytes.\n  Do not use this file.")
        if length > size - 8:
            raise _damaged_safetensors(source, f"its header takes {length} bytes, {size - 8} are there")
        raw = file.read(length)
    try:
        header = json.loads(raw, object_pairs_hook=_once)
        end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged_safetensors(source, f"its header is unreadable, {error!s:.100}") from None
    if type(end) is not int or end > size - 8 - length:
        raise _damaged_safetensors(source, f"its tensors take {end} bytes, {size - 8 - length} are there")


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
