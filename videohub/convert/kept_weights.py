"""The file that converted weights are kept in: safetensors under our names, their origin, and a seal over all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videohub.errors import FormatError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_SEAL = "seal"


def write(path: Path, tensors: dict[str, Tensor], origin: Mapping[str, str]) -> None:
    """Write tensors with what is known of their origin, such as `record`, `source` and `source_sha256`.

    Written here, one after the other: the library lays out the same bytes in memory first, then in a file of its own
    beside this one, which nobody but its owner may read and a kill leaves behind.
    Raises: OSError if the disk refuses.
    """
    stated = {"format": "pt", **origin}
    sealed = {**stated, _SEAL: _seal(stated, tensors)}
    header: dict[str, Any] = {"__metadata__": dict(sorted(sealed.items()))}  # same weights, same bytes
    arrays = sorted(_arrays(tensors).items(), key=lambda named: (-named[1].itemsize, named[0]))  # each at its alignment
    end = 0
    for name, array in arrays:
        begin, end = end, end + array.nbytes
        dtype = "BOOL" if array.dtype.kind == "b" else f"{array.dtype.kind.upper()}{8 * array.itemsize}"
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [begin, end]}
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.unlink(missing_ok=True)  # the tensors may be mapped from the very file that is there
    with path.open("xb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for _, array in arrays:
            file.write(array.reshape(-1).data)


def tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors; their bytes are mapped, and read from disk when they are first used.

    Raises: FormatError if the file is damaged so that it cannot be read; `check` finds every damage.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _may_be_read(path)
    try:
        return load_file(path)
    except SafetensorError as error:
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
    from safetensors import SafetensorError, safe_open

    _may_be_read(path)
    try:
        with safe_open(path, "np") as file:
            header = dict(file.metadata() or {})
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if "videohub" not in header:
        raise _damaged(path, "its header does not name videohub")
    return header


def is_whole(path: Path) -> bool:
    """Tell, from the header alone, whether a file ends where it should."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, path.stat().st_size)))
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        return bool(8 + length + end == path.stat().st_size)
    except (ValueError, KeyError, TypeError, AttributeError, LookupError):
        return False


def check(path: Path) -> str:
    """Read the whole file and return its seal, a SHA-256 of names, types, shapes, bytes and origin.

    Raises: FormatError if the file is not what was written.
    """
    header = origin(path)
    stated = header.pop(_SEAL, None)
    try:
        found = _seal(header, tensors(path))
    except TypeError as error:  # a type that numpy does not know, and that we never write
        raise _damaged(path, str(error)) from error
    if stated != found:
        raise _damaged(path, f"its seal is {found}, its header says {stated}")
    return found


def _seal(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(repr(sorted(header.items())).encode())
    for name, array in sorted(_arrays(tensors).items()):
        digest.update(repr((name, str(array.dtype), array.shape)).encode())
        digest.update(array.reshape(-1).data)
    return digest.hexdigest()


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Return tensors as arrays over the same memory. Raises: TypeError for a type that numpy does not know."""
    return {name: tensor.detach().contiguous().numpy() for name, tensor in tensors.items()}


def _may_be_read(path: Path) -> None:
    """Raise what the system says of a file that may not be read; the library calls such a file missing."""
    path.open("rb").close()


def _damaged(path: Path, what: str) -> FormatError:
    return FormatError(f"{path}: damaged ({what}), expected converted weights; remove it and fetch again")
