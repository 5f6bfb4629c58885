"""What stands for torch's tensors in the pickle of a checkpoint: each lies within what the file holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from videohub.convert.zip_file import Member
from videohub.errors import UnsafeFileError
from videohub.escaping import quote
from videohub.pickles import unpickler
from videohub.pickles.stored_values import StoredTensor, Unchangeable, by_stride, bytes_at, checked_shape, strided

# What training scripts keep beside the weights, and nobody looks at here: their options, and MMEngine its losses.
BESIDE_WEIGHTS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "argparse.Namespace",
    *(f"{module}.{system}Path" for module in ("pathlib", "pathlib._local") for system in ("Posix", "Windows")),
    *("yacs.config.CfgNode", "fvcore.common.config.CfgNode", "easydict.EasyDict", "addict.addict.Dict"),
    *("mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict"),
    *("pytorch_lightning.utilities.parsing.AttributeDict", "lightning.pytorch.utilities.parsing.AttributeDict"),
    *("lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict"),
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode"),
    *("omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata", "typing.Any", "collections.defaultdict"),
    *(f"__builtin__.{name}" for name in ("bool", "dict", "float", "int", "list", "long", "set", "str")),
    *(f"torch.{name}" for name in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool")),
)


@dataclass(frozen=True)
class Storage(Unchangeable):
    """Stands for a storage, or a part of one: its key, its numbers' type, and the part's place, in elements."""

    key: str
    kind: str
    offset: int
    numel: int

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return int(_STORAGES[self.kind][1:])


@dataclass(frozen=True)
class TensorView(Unchangeable):
    """Stands for a tensor: it was checked to lie within its storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Outline:
    """What a torch file holds: its content with `TensorView` for tensors, and its storages by their keys."""

    content: Any
    file: IO[bytes]
    members: dict[str, Member]
    source: str
    byteorder: str = "<"

    def stored(self, view: TensorView) -> StoredTensor:
        """Return a tensor that can be read while the file is open."""
        storage, file, source = view.storage, self.file, self.source
        member, bfloat16 = self.members[storage.key], storage.kind == "BFloat16Storage"
        raw = np.dtype(self.byteorder + _STORAGES[storage.kind])
        position = member.offset + (storage.offset + view.offset) * raw.itemsize
        axes, dense = by_stride(view.shape, view.strides)
        shape, strides = [view.shape[axis] for axis in axes], [view.strides[axis] for axis in axes]
        length = math.prod(shape) * raw.itemsize

        def chunks() -> Any:
            member.check()
            if dense or not length:
                return bytes_at(file, position, length, source)
            return strided(file, position, shape, strides, raw, source)

        in_order = None if axes == tuple(range(len(axes))) else axes
        return StoredTensor(view.shape, raw, chunks, source, bfloat16, in_order)


_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",  # the upper half of a float32
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
REAL = ("FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage")


class Tensors:
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
        return unpickler.load(
            file, end, self.source, stand_ins=stand_ins, classes=BESIDE_WEIGHTS, persistent=self.storage
        )

    def storage(self, pid: Any) -> Storage:
        """Return the storage of a persistent id: ("storage", type, key, place, length[, view])."""
        word, kind, key, _, numel, *rest = pid
        view = rest[0] if rest else None
        kind = getattr(kind, "name", "").removeprefix("torch.")
        if (
            word != "storage"
            or kind not in _STORAGES
            or not isinstance(key, str | int)
            or type(numel) is not int
            or not 0 <= numel < 2**60
        ):
            raise ValueError("not the id of a storage")
        storage = Storage(str(key), kind, 0, numel)
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
        return Storage(storage.key, kind, offset, length)

    def tensor(
        self, storage: Any, offset: Any, shape: Any, stride: Any, _: Any = None, hooks: Any = None, bits: Any = None
    ) -> TensorView:
        """Return a tensor that lies within its storage, as it lies there: with no hook, not negated or conjugated."""
        if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
            raise ValueError("not a tensor")
        if len(shape) != len(stride) or hooks or bits:
            raise ValueError("not a plain tensor")
        if not all(type(n) is int and 0 <= n < 2**62 for n in (offset, *stride)):
            raise ValueError("a tensor with a negative size or stride")
        shape = checked_shape(shape, self.source)
        numel, last = 1, offset
        for length, step in zip(shape, stride, strict=True):
            numel, last = numel * length, last + (length - 1) * step
        if numel > storage.numel or (numel and last >= storage.numel):
            raise UnsafeFileError(
                f"{self.source}: a tensor of shape {shape!r:.80} claims more than {storage.numel} stored elements.\n"
                "  Nothing was allocated. The file is damaged, or made to fill the memory: do not use it."
            )
        return TensorView(storage, offset, shape, stride)

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
