"""What is in a file of weights: its tensors by name, and what kind of file they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from videohub.convert.recognition import OURS, layout_of
from videohub.convert.stored_tensor import StoredTensor


@dataclass(frozen=True)
class Listing:
    """A checkpoint as published, of which only names, shapes and types were read; its file is open.

    `container` is `caffe2`, `torch`, `torch_legacy`, `safetensors` or `npz`; `wrapping` is what had to be taken off
    first, outermost first: `("gzip", "tar")`. Plain numbers of the file (`model_iter`) are arrays of no dimension.
    `source` is the path, and `path::member` inside an archive.
    """

    container: str
    wrapping: tuple[str, ...]
    tensors: Mapping[str, StoredTensor | np.ndarray]
    meta: dict[str, Any]
    source: str

    @property
    def is_converted(self) -> bool:
        """Whether we wrote this file, and it says of which record it holds the weights."""
        return self.container == "safetensors" and "videohub" in self.meta

    @property
    def layout(self) -> str:
        """How the keys are spelt, behind any prefix: `caffe2`, `pyslowfast`, `videohub` (our own) or `unknown`."""
        return OURS if self.is_converted else layout_of(self.tensors)


@dataclass(frozen=True)
class Checkpoint(Listing):
    """A checkpoint as published: names and values are the file's own, nothing is renamed or dropped."""

    tensors: dict[str, np.ndarray]
