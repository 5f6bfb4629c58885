"""Safetensors files: anybody's, and those that converted weights are kept in, with their origin and a checksum."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import brief
from videohub.files import each_once
from videohub.log import log
from videohub.pickles.stored_values import StoredTensor, bytes_at, checked_shape, damaged

if TYPE_CHECKING:
    from torch import Tensor


MAX_HEADER = 2 << 20  # a hundred bytes for each tensor; read as JSON, a header takes twenty times its length
_CHECKSUM = "checksum"
_TYPES = {
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "BOOL": "|b1", "C64": "<c8",
    "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
}  # fmt: skip


def write(path: Path, tensors: dict[str, Tensor], origin: Mapping[str, str]) -> None:
    """Write tensors with what is known of their origin, such as `record`, `source` and `source_sha256`.

    Not by the library, which lays out the same bytes in memory first, then in a file of its own beside this one that
    nobody but its owner may read and a kill leaves behind.
    Raises: OSError if the disk refuses.
    """
    stated = {"format": "pt", **origin}
    arrays = {name: tensor.detach().contiguous().numpy() for name, tensor in tensors.items()}
    pieces = ((name, str(array.dtype), array.shape, (array.reshape(-1).data,)) for name, array in arrays.items())
    write_safetensors(path, arrays, {**stated, _CHECKSUM: _checksum(stated, pieces)})


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays, one after the other; the same arrays give the same bytes. Raises: OSError if the disk refuses."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    in_order = sorted(contiguous.items(), key=lambda named: (-named[1].itemsize, named[0]))  # each at its alignment
    end = 0
    for name, array in in_order:
        begin, end = end, end + array.nbytes
        dtype = "BOOL" if array.dtype.kind == "b" else f"{array.dtype.kind.upper()}{8 * array.itemsize}"
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [begin, end]}
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for _, array in in_order:
            file.write(array.reshape(-1).data)


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
        raise _cut_or_damaged(source, f"its header takes {length} bytes, {size - 8} are there")
    start, end = 8 + length, 0
    tensors = {}
    try:
        header = json.loads(file.read(length), object_pairs_hook=each_once)
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
            chunks = functools.partial(bytes_at, file, start + begin, stop - begin, source)
            tensors[name] = StoredTensor(shape, raw, chunks, source, bfloat16=dtype == "BF16")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _cut_or_damaged(source, f"its header is unreadable, {error!s:.300}") from None
    if end != size - start:
        raise _cut_or_damaged(source, f"its tensors take {end} bytes, {size - start} are there")
    return tensors, meta


def _place(entry: dict[str, Any]) -> tuple[int, int]:
    """Return where a tensor begins and ends, behind the header."""
    begin, stop = entry["data_offsets"]
    if type(begin) is not int or type(stop) is not int:
        raise ValueError("a place that is no number")
    return begin, stop


def _cut_or_damaged(source: str, what: str) -> FormatError:
    return damaged(source, f"a safetensors file that is cut short or damaged ({what})")


def tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors, read into memory: a file that changes or becomes shorter later does nothing to them.

    Raises: FormatError if the file is damaged so that it cannot be read; `check` finds every damage.
    """
    import torch

    with _opened(path) as (stored, _):
        return {name: torch.from_numpy(np.asarray(tensor)) for name, tensor in stored.items()}


def shape(path: Path, name: str) -> tuple[int, ...] | None:
    """Return the shape of one tensor, from the header alone, None if there is none of this name.

    Raises: FormatError if the file is damaged.
    """
    with _opened(path) as (stored, _):
        return stored[name].shape if name in stored else None


def holds(path: Path, state: Mapping[str, Tensor]) -> bool:
    """Tell whether a file has tensors of these names, shapes and types, and no others. Raises: FormatError."""
    with _opened(path) as (stored, _):
        types = {name: (tensor.shape, str(tensor.dtype)) for name, tensor in stored.items()}
    return types == {name: (tuple(each.shape), str(each.dtype).removeprefix("torch.")) for name, each in state.items()}


def origin(path: Path) -> dict[str, str]:
    """Return what the file says of itself: `videohub`, `record`, `labels`, `source`, `source_sha256`, `checksum`, …

    Raises: FormatError if it is damaged, or no file of ours.
    """
    with _opened(path) as (_, header):
        _check_is_ours(header)
        return header


def check(path: Path) -> None:
    """Read the whole file. Raises: FormatError if it is not what was written, or has no checksum."""
    with _opened(path) as (stored, header):
        _check_is_ours(header)
        if _CHECKSUM not in header:
            raise FormatError("it has no checksum")
        check_checksum(header, stored, str(path))


def check_checksum(header: Mapping[str, str], tensors: Mapping[str, StoredTensor], source: str) -> None:
    """Compare the checksum of a file of ours, which may come from elsewhere, with what the file holds.

    It is a SHA-256 of names, types, shapes, bytes and origin. A header that was written anew, without one, passes.
    Raises: FormatError.
    """
    rest = dict(header)
    stated = rest.pop(_CHECKSUM, None)
    pieces = ((name, str(stored.dtype), stored.shape, stored.chunks()) for name, stored in tensors.items())
    if stated is not None and stated != (actual := _checksum(rest, pieces)):
        raise FormatError(
            f"{source}: its checksum is {actual}, its header says {stated!r:.80}.\n"
            "  It is damaged, or not what videohub wrote. Take another copy, or convert the published file again."
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, StoredTensor], dict[str, str]]]:
    """Yield the tensors of a file, to be read within the block, and its header.

    Raises: FormatError that names the file, for what is found in the block, too.
    """
    try:
        with path.open("rb") as file:
            stored, header = read_safetensors(file, str(path))
            if other := next((name for name, tensor in stored.items() if tensor.bfloat16), None):
                raise FormatError(f"{other!r:.100} has another precision than any that we write")
            yield stored, header
    except FormatError as error:
        what = str(error).partition("\n")[0].removeprefix(f"{path}: ")
        raise FormatError(f"{path}: damaged ({what}), expected converted weights; remove it and fetch again") from error


def _check_is_ours(header: Mapping[str, str]) -> None:
    if "videohub" not in header:
        raise FormatError("its header does not name videohub")


_Hashed = tuple[str, str, tuple[int, ...], Iterable[Any]]  # name, type, shape, bytes in pieces


def _checksum(header: Mapping[str, str], tensors: Iterable[_Hashed]) -> str:
    digest = hashlib.sha256(repr(sorted(header.items())).encode())
    for name, dtype, shape, pieces in sorted(tensors, key=lambda hashed: hashed[0]):
        digest.update(repr((name, dtype, shape)).encode())
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 of tensors under our names: of each its name, type, shape and bytes, by name.

    Counts, which are int64 without dimensions, are left out: such as of the batches that a norm saw. No output depends
    on them, and whether there are any depends on the file's format. So a Caffe2 file, its converted copy and the torch
    file that was exported from it are the same weights.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        if not tensors[name].ndim and tensors[name].dtype == torch.int64:
            continue
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tell_suffix(file: Path) -> None:
    """Warn where a file of weights is called as another kind is: videohub looks into files, other libraries do not."""
    with file.open("rb") as opened:
        is_safetensors = opened.read(9)[8:] == b"{"
    if is_safetensors and file.suffix in (".pth", ".pt", ".pyth", ".ckpt", ".bin", ".pkl"):
        log.warning("%s: holds safetensors, which torch.load does not read; call it .safetensors", file)
    elif not is_safetensors and file.suffix == ".safetensors":
        log.warning("%s: holds no safetensors; call it as its publisher does, such as .pth or .pkl", file)
