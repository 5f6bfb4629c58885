"""Back from our names to a family's own file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from videohub import registry
from videohub.convert import caffe2_pickle
from videohub.convert.renaming import table_for, to_published
from videohub.errors import UsageError
from videohub.files import atomic_write, check_parent_exists
from videohub.registry.schema import Record

if TYPE_CHECKING:
    from torch import Tensor

FAMILIES = ("caffe2", "pyslowfast")


def export(state_dict: Mapping[str, Tensor], record: str | Record, family: str, path: str | Path) -> Path:
    """Write tensors under our names as a published file of `family`, whole or not at all, and return its path.

    What is given is written: whether it is the whole network is for `videohub.convert.tensor_match.matched` to say.

    "caffe2" is a pickle of blobs as Python 2 wrote it; "pyslowfast" a torch file with `model_state`.
    Raises: UsageError for another family; ConversionError for tensors that the family has no names for.
    """
    if family not in FAMILIES:
        raise UsageError(f"family: found {family!r}, expected one of {', '.join(FAMILIES)}")
    check_parent_exists(Path(path))
    tensors = to_published(state_dict, table_for(registry.record(record), family))
    with atomic_write(Path(path)) as part:
        if family == "caffe2":
            caffe2_pickle.write(part, {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()})
        else:
            import torch

            torch.save({"model_state": tensors}, part)
    return Path(path)
