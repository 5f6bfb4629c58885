"""The file that converted weights are kept in: safetensors under our names, their origin, and a seal over all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from videohub.convert.plain_files import MAX_HEADER, read_safetensors
from videohub.convert.stored_tensor import StoredTensor
from videohub.errors import FormatError

if TYPE_CHECKING:
    from torch import Tensor

_SEAL = "seal"


def write(path: Path, tensors: dict[str, Tensor], origin: Mapping[str, str]) -> None:
    """Write tensors with what is known of their origin, such as `record`, `source` and `source_sha256`.

    Written here, one after the other: the library lays out the same bytes in memory first, then in a file of its own
    beside this one, which nobody but its owner may read and a kill leaves behind.
    Raises: OSError if the disk refuses.
    """
    stated = {"format": "pt", **origin}
    sealed = {**stated, _SEAL: _seal(stated, map(_of_array, _arrays(tensors).items()))}
    header: dict[str, Any] = {"__metadata__": dict(sorted(sealed.items()))}  # same weights, same bytes
    arrays = sorted(_arrays(tensors).items(), key=lambda named: (-named[1].itemsize, named[0]))  # each at its alignment
    end = 0
    for name, array in arrays:
        begin, end = end, end + array.nbytes
        dtype = "BOOL" if array.dtype.kind == "b" else f"{array.dtype.kind.upper()}{8 * array.itemsize}"
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [begin, end]}
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for _, array in arrays:
            file.write(array.reshape(-1).data)


def tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors, read into memory: a file that changes or becomes shorter later does nothing to them.

    Raises: FormatError if the file is damaged so that it cannot be read; `check` finds every damage.
    """
    import torch

    try:
        with path.open("rb") as file:
            return {name: torch.from_numpy(np.asarray(stored)) for name, stored in _stored(file, path).items()}
    except FormatError as error:
        raise _damaged(path, str(error)) from error


def shape(path: Path, name: str) -> tuple[int, ...]:
    """Return the shape of one tensor, from the header alone. Raises: FormatError if the file is damaged or has none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return tuple(file.get_slice(name).get_shape())
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def origin(path: Path) -> dict[str, str]:
    """Return what the file says of itself: `videohub`, `record`, `labels`, `source`, `source_sha256`, `seal`, …

    Raises: FormatError if it is damaged, or no file of ours.
    """
    with path.open("rb") as file:
        return _header(file, path)


def is_whole(path: Path) -> bool:
    """Tell, from the header alone, whether a file ends where it should."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER:
                return False
            header = json.loads(file.read(length))
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        return bool(8 + length + end == path.stat().st_size)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return False


def check(path: Path) -> str:
    """Read the whole file and return its seal, a SHA-256 of names, types, shapes, bytes and origin.

    Raises: FormatError if the file is not what was written.
    """
    with path.open("rb") as file:
        header = _header(file, path)
        stated = header.pop(_SEAL, None)
        try:
            found = _seal(header, map(_of_file, _stored(file, path).items()))
        except FormatError as error:
            raise _damaged(path, str(error)) from error
    if stated != found:
        raise _damaged(path, f"its seal is {found}, its header says {stated}")
    return found


def check_seal(header: Mapping[str, str], tensors: Mapping[str, StoredTensor], source: str) -> None:
    """Compare the seal of a file of ours, which may come from elsewhere, with what the file holds.

    Files of versions that wrote no seal pass.
    Raises: FormatError.
    """
    rest = dict(header)
    stated = rest.pop(_SEAL, None)
    if stated is not None and stated != (found := _seal(rest, map(_of_file, tensors.items()))):
        raise FormatError(
            f"{source}: damaged: its seal is {found}, its header says {stated!r:.80}.\n"
            "  It is not what videohub wrote. Take another copy, or convert the published file again."
        )


def _stored(file: IO[bytes], path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of an open file."""
    tensors, _ = read_safetensors(file, str(path))
    for name, stored in tensors.items():
        if stored.bfloat16:
            raise FormatError(f"{name!r:.100} has another precision than any that we write")
    return tensors


def _header(file: IO[bytes], path: Path) -> dict[str, str]:
    """Return the origin that an open file states."""
    try:
        _, header = read_safetensors(file, str(path))
    except FormatError as error:
        raise _damaged(path, str(error)) from error
    if "videohub" not in header:
        raise _damaged(path, "its header does not name videohub")
    return header


_Sealed = tuple[str, str, tuple[int, ...], Iterable[Any]]  # name, type, shape, bytes in pieces


def _seal(header: Mapping[str, str], tensors: Iterable[_Sealed]) -> str:
    digest = hashlib.sha256(repr(sorted(header.items())).encode())
    for name, dtype, shape, pieces in sorted(tensors, key=lambda sealed: sealed[0]):
        digest.update(repr((name, dtype, shape)).encode())
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


def _of_array(item: tuple[str, np.ndarray[Any, Any]]) -> _Sealed:
    name, array = item
    return name, str(array.dtype), array.shape, (array.reshape(-1).data,)


def _of_file(item: tuple[str, StoredTensor]) -> _Sealed:
    name, stored = item
    return name, str(stored.dtype), stored.shape, stored.chunks()


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Return tensors as arrays over the same memory. Raises: TypeError for a type that numpy does not know."""
    return {name: tensor.detach().contiguous().numpy() for name, tensor in tensors.items()}


def _damaged(path: Path, what: str) -> FormatError:
    what = what.partition("\n")[0].removeprefix(f"{path}: ")
    return FormatError(f"{path}: damaged ({what}), expected converted weights; remove it and fetch again")
