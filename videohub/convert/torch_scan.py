"""Looks a torch checkpoint through before torch does: which globals, which storages, how many bytes each tensor claims.

torch's `weights_only` runs no code, but it makes room for whatever a file claims, grows storages to fit the tensors,
and lets a file call `bytearray(10**12)`. A file that passes here claims no more than it holds.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from videohub.convert import restricted
from videohub.convert.quoting import quote
from videohub.convert.sniffing import HEAD, is_tar
from videohub.convert.zip_directory import DAMAGED_MEMBER
from videohub.errors import FormatError, UnsafeFileError

MAX_PICKLE = 64 << 20  # tensors lie outside of the pickle, which so has some hundred bytes for each


@dataclass(frozen=True)
class Storage:
    """Stands for a storage: its key and length, in elements."""

    key: str
    itemsize: int
    numel: int

    def __setstate__(self, state: Any) -> None:
        raise TypeError("a storage cannot be changed")


@dataclass(frozen=True)
class TensorView:
    """Stands for a tensor: it was checked to lie within its storage."""

    shape: tuple[int, ...]

    def __setstate__(self, state: Any) -> None:
        raise TypeError("a tensor cannot be changed")


def scan_zip(archive: zipfile.ZipFile, root: str, source: str) -> Any:
    """Check the torch archive whose pickle is `root/data.pkl`; return its content with `TensorView` for tensors."""
    members = {info.filename: info for info in archive.infolist()}
    if stray := next((name for name in members if not name.startswith(f"{root}/")), None):
        raise UnsafeFileError(
            f"{source}: its member {stray!r:.100} lies outside of {root!r:.100}, and torch looks for it elsewhere.\n"
            "  Load it where it was made and save it again."
        )
    for info in members.values():
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UnsafeFileError(
                f"{source}: its member {info.filename!r:.100} is compressed, and torch.save never compresses.\n"
                "  Load it where it was made and save it again."
            )
    pickled = members[f"{root}/data.pkl"]
    if pickled.file_size > MAX_PICKLE:
        raise UnsafeFileError(f"{source}: a pickle of {pickled.file_size} bytes.\n  Do not use this file.")
    scan = _Tensors(source)
    try:
        content = scan.load(io.BytesIO(archive.read(pickled)), pickled.file_size)
    except DAMAGED_MEMBER as error:
        raise FormatError(f"{source}: a damaged torch file ({error!s:.200}).\n  Fetch it again.") from None
    for storage in scan.storages.values():
        info_or_none = members.get(f"{root}/data/{storage.key}")
        found = info_or_none.file_size if info_or_none else None
        if found != storage.numel * storage.itemsize:
            raise _false_claim(storage, found, source)
    return content


def scan_legacy(path: Path, source: str) -> Any:
    """Check a torch file from before 1.6: five pickles, then the storages; as `scan_zip` does."""
    end = path.stat().st_size
    with path.open("rb") as file:
        if is_tar(file.read(HEAD)):
            raise UnsafeFileError(
                f"{source}: a torch file and a tar at once; what is found in it depends on the reader.\n"
                "  Do not use this file."
            )
        file.seek(0)
        scan = _Tensors(source)
        for _ in range(3):  # the magic number, the version and the sizes of C types
            restricted.load(file, min(end, file.tell() + 4096), source)
        content = scan.load(file, min(end, file.tell() + MAX_PICKLE))
        keys = restricted.load(file, min(end, file.tell() + MAX_PICKLE), source)
        keys = keys if isinstance(keys, list) and all(isinstance(key, str | int) for key in keys) else []
        if sorted(map(str, keys)) != sorted(scan.storages):
            raise FormatError(f"{source}: a damaged torch file (its storages are not listed).\n  Fetch it again.")
        for key in keys:
            storage = scan.storages[str(key)]
            found = int.from_bytes(file.read(8), "little")
            left = end - file.tell()
            if found != storage.numel:
                raise _false_claim(storage, found * storage.itemsize, source)
            if storage.numel * storage.itemsize > left:
                raise FormatError(
                    f"{source}: a torch file that is cut short: a storage of {storage.numel * storage.itemsize} bytes "
                    f"begins where {max(left, 0)} are left.\n"
                    "  Compare its size and hash with its publisher's, or fetch it again."
                )
            file.seek(storage.numel * storage.itemsize, 1)
    return content


_STORAGES = {
    "FloatStorage": 4,
    "DoubleStorage": 8,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}


class _Tensors:
    """The storages that one pickle refers to."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.storages: dict[str, Storage] = {}
        self.views: dict[Any, tuple[str, Any, Any]] = {}  # torch keeps them with the storages, by names of their own

    def load(self, file: IO[bytes], end: int) -> Any:
        """Read the pickle with stand-ins for everything of torch's."""
        stand_ins: dict[str, Callable[..., Any]] = {
            **{f"torch.{name}": _no_value for name in _STORAGES},
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": self.parameter,
            "torch.Size": _size,
            "torch.device": _no_value,
        }
        return restricted.load(file, end, self.source, stand_ins=stand_ins, persistent=self.storage)

    def storage(self, pid: Any) -> Storage:
        """Return the storage of a persistent id: ("storage", type, key, place, length[, view])."""
        word, kind, key, _, numel, *rest = pid
        view = rest[0] if rest else None
        itemsize = _STORAGES.get(getattr(kind, "name", "").removeprefix("torch."))
        if (
            word != "storage"
            or itemsize is None
            or not isinstance(key, str | int)
            or type(numel) is not int
            or not 0 <= numel < 2**60
        ):
            raise ValueError("not the id of a storage")
        storage = Storage(str(key), itemsize, numel)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"storage {quote(key)} has two lengths")
        if storage.key in self.views:
            raise ValueError(f"storage {quote(key)} has the name of a view")
        if view is None:
            return storage
        name, offset, length = view
        if type(offset) is not int or type(length) is not int or not 0 <= offset <= offset + length <= numel:
            raise ValueError(f"a view leaves storage {quote(key)}")
        place = (storage.key, offset, length)
        if not isinstance(name, str) or name in self.storages or self.views.setdefault(name, place) != place:
            raise ValueError(f"a view of storage {quote(key)} has the name of another")
        return Storage(storage.key, itemsize, length)

    def tensor(
        self, storage: Any, offset: Any, shape: Any, stride: Any, _: Any = None, hooks: Any = None, bits: Any = None
    ) -> TensorView:
        """Return a tensor that lies within its storage, as it lies there: with no hook, not negated or conjugated."""
        if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
            raise ValueError("not a tensor")
        if len(shape) != len(stride) or len(shape) > 32 or hooks or bits:
            raise ValueError("not a plain tensor")
        if not all(type(n) is int and 0 <= n < 2**62 for n in (offset, *shape, *stride)):
            raise ValueError("a tensor with a negative size or stride")
        numel, last = 1, offset
        for length, step in zip(shape, stride, strict=True):
            numel, last = numel * length, last + (length - 1) * step
        if numel > storage.numel or (numel and last >= storage.numel):
            raise UnsafeFileError(
                f"{self.source}: a tensor of shape {shape!r:.80} claims more than {storage.numel} stored elements.\n"
                "  Nothing was allocated. The file is damaged, or made to fill the memory: do not use it."
            )
        return TensorView(shape)

    def parameter(self, data: Any, _: Any = None, hooks: Any = None) -> TensorView:
        """Return the tensor of a parameter."""
        if not isinstance(data, TensorView) or hooks:
            raise ValueError("not a plain parameter")
        return data


def _size(shape: Any = ()) -> tuple[int, ...]:
    """Return a shape; torch would make a tuple of anything, however long, as often as it is asked."""
    if not isinstance(shape, tuple) or len(shape) > 32:
        raise ValueError("not a shape")
    return shape


def _no_value(*_: Any) -> None:
    """Stand for what is not looked at."""


def _false_claim(storage: Storage, found: int | None, source: str) -> FormatError:
    """Return the error for a storage that is longer or shorter than the pickle says."""
    return UnsafeFileError(
        f"{source}: its storage {storage.key!r:.40} claims {storage.numel * storage.itemsize} bytes, the file holds "
        f"{'none' if found is None else found}.\n"
        "  Nothing was allocated. The file is damaged, or made to fill the memory: fetch it again, or do not use it."
    )
