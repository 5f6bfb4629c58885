"""What weights are known by: a digest of the tensors themselves, the same whatever file they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

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
