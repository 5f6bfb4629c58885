"""Back from our names to a file of another layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from videohub import registry
from videohub.convert import caffe2_pickle, tables
from videohub.convert.renaming import to_published
from videohub.errors import UsageError
from videohub.files import atomic_write, check_parent_exists
from videohub.registry.schema import Record

if TYPE_CHECKING:
    from torch import Tensor


def export(state_dict: Mapping[str, Tensor], record: str | Record, layout: str, path: str | Path) -> Path:
    """Write tensors under our names as a published file of a layout, whole or not at all, and return its path.

    What is given is written: whether it is the whole network is for `videohub.convert.tensor_match.matched` to say.

    "caffe2" is a pickle of blobs as Python 2 wrote it; "pyslowfast" a torch file with `model_state`.
    Raises: UsageError for another layout; ConversionError for tensors that the layout has no names for.
    """
    record = registry.record(record)
    if layout not in tables.layouts(record.family):
        raise UsageError(f"layout: found {layout!r}, expected one of {', '.join(tables.layouts(record.family))}")
    check_parent_exists(Path(path))
    tensors = to_published(state_dict, tables.find(record.family, layout))
    with atomic_write(Path(path)) as part:
        if layout == "caffe2":
            caffe2_pickle.write(part, {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()})
        else:
            import torch

            torch.save({"model_state": tensors}, part)
    return Path(path)
