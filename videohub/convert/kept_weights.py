"""The file that converted weights are kept in: safetensors under our names, their origin, and a seal over all of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from videohub.errors import FormatError

if TYPE_CHECKING:
    from torch import Tensor

_SEAL = "seal"


def write(path: Path, tensors: dict[str, Tensor], origin: Mapping[str, str]) -> None:
    """Write tensors with what is known of their origin, such as `record`, `source` and `source_sha256`.

    Raises: OSError if the disk refuses.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    header = {"format": "pt", **origin}
    try:
        save_file(tensors, path, metadata={**header, _SEAL: _seal(header, tensors)})
    except SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):  # the system's own, in other words
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise
    _put_in_order(path)


def tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors; their bytes are mapped, and read from disk when they are first used.

    Raises: FormatError if the file is damaged so that it cannot be read; `check` finds every damage.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error


def origin(path: Path) -> dict[str, str]:
    """Return what the file says of itself: `videohub`, `record`, `labels`, `source`, `source_sha256`, `seal`, …

    Raises: FormatError if it is damaged, or no file of ours.
    """
    from safetensors import SafetensorError, safe_open

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


def _put_in_order(path: Path) -> None:
    """Sort the origin in the file's header, where safetensors leaves it as it comes: same weights, same bytes."""
    with path.open("rb+") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(ordered) <= length:  # else this version of safetensors writes JSON in another way
            file.seek(8)
            file.write(ordered.ljust(length))


def _seal(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(repr(sorted(header.items())).encode())
    for name in sorted(tensors):
        array = tensors[name].detach().contiguous().numpy()
        digest.update(repr((name, str(array.dtype), array.shape)).encode())
        digest.update(array.reshape(-1).data)
    return digest.hexdigest()


def _damaged(path: Path, what: str) -> FormatError:
    return FormatError(f"{path}: damaged ({what}), expected converted weights; remove it and fetch again")
