"""The file that converted weights are kept in: safetensors under our names, their origin, and a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from videohub.convert.plain_files import MAX_HEADER, read_safetensors
from videohub.convert.stored_tensor import StoredTensor
from videohub.errors import FormatError

if TYPE_CHECKING:
    from torch import Tensor


_CHECKSUM = "checksum"


def write(path: Path, tensors: dict[str, Tensor], origin: Mapping[str, str]) -> None:
    """Write tensors with what is known of their origin, such as `record`, `source` and `source_sha256`.

    Not by the library, which lays out the same bytes in memory first, then in a file of its own beside this one that
    nobody but its owner may read and a kill leaves behind.
    Raises: OSError if the disk refuses.
    """
    stated = {"format": "pt", **origin}
    arrays = {name: tensor.detach().contiguous().numpy() for name, tensor in tensors.items()}
    write_safetensors(path, arrays, {**stated, _CHECKSUM: _checksum(stated, map(_of_array, arrays.items()))})


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


def tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors, read into memory: a file that changes or becomes shorter later does nothing to them.

    Raises: FormatError if the file is damaged so that it cannot be read; `check` finds every damage.
    """
    import torch

    with _opened(path) as (stored, _):
        return {name: torch.from_numpy(np.asarray(tensor)) for name, tensor in stored.items()}


def shape(path: Path, name: str) -> tuple[int, ...]:
    """Return the shape of one tensor, from the header alone. Raises: FormatError if the file is damaged or has none."""
    with _opened(path) as (stored, _):
        if name not in stored:
            raise FormatError(f"it has no {name}")
        return stored[name].shape


def origin(path: Path) -> dict[str, str]:
    """Return what the file says of itself: `videohub`, `record`, `labels`, `source`, `source_sha256`, `checksum`, …

    Raises: FormatError if it is damaged, or no file of ours.
    """
    with _opened(path) as (_, header):
        _check_is_ours(header)
        return header


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
    """Read the whole file and return its checksum, a SHA-256 of names, types, shapes, bytes and origin.

    Raises: FormatError if the file is not what was written.
    """
    with _opened(path) as (stored, header):
        _check_is_ours(header)
        stated = header.pop(_CHECKSUM, None)
        found = _checksum(header, map(_of_file, stored.items()))
        if stated != found:
            raise FormatError(f"its checksum is {found}, its header says {stated}")
        return found


def check_checksum(header: Mapping[str, str], tensors: Mapping[str, StoredTensor], source: str) -> None:
    """Compare the checksum of a file of ours, which may come from elsewhere, with what the file holds.

    Files of versions that wrote no checksum pass.
    Raises: FormatError.
    """
    rest = dict(header)
    stated = rest.pop(_CHECKSUM, None)
    if stated is not None and stated != (found := _checksum(rest, map(_of_file, tensors.items()))):
        raise FormatError(
            f"{source}: damaged: its checksum is {found}, its header says {stated!r:.80}.\n"
            "  It is not what videohub wrote. Take another copy, or convert the published file again."
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


def _of_array(item: tuple[str, np.ndarray[Any, Any]]) -> _Hashed:
    name, array = item
    return name, str(array.dtype), array.shape, (array.reshape(-1).data,)


def _of_file(item: tuple[str, StoredTensor]) -> _Hashed:
    name, stored = item
    return name, str(stored.dtype), stored.shape, stored.chunks()


_UNUSED = ".num_batches_tracked"  # evaluation does not read it, and Caffe2 files do not have it


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 of tensors under our names: of each its name, type, shape and bytes, by name.

    Batch counters are left out: no output depends on them, and whether there are any depends on the file's format. So
    a Caffe2 file, its converted copy and the torch file that was exported from it are the same weights.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.endswith(_UNUSED):
            continue
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
