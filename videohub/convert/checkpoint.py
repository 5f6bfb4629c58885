"""What was found in a file of weights: its tensors by name, and what kind of file they came from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as published: names and values are the file's own, nothing is renamed or dropped.

    `container` is `caffe2`, `torch`, `torch_legacy`, `safetensors` or `npz`; `wrapping` is what had to be taken off
    first, outermost first: `("gzip", "tar")`.
    `family` says whose names the keys are: `caffe2`, `pyslowfast`, `videohub` or `unknown`. Plain numbers of the file
    (`model_iter`) are arrays of no dimension. `source` is the path, and `path::member` inside an archive.
    """

    container: str
    family: str
    wrapping: tuple[str, ...]
    tensors: dict[str, np.ndarray]
    meta: dict[str, Any]
    source: str


def family_of(keys: Iterable[str]) -> str:
    """Return whose names these are: `caffe2`, `pyslowfast` or `unknown`."""
    keys = set(keys)
    if any(_CAFFE2.match(key) for key in keys):
        return "caffe2"
    if any(_PYSLOWFAST.match(key) for key in keys) or keys >= _PYSLOWFAST_MVIT:
        return "pyslowfast"
    return "unknown"


_CAFFE2 = re.compile(r"(t_)?(conv1(_xy)?_w|res_conv1_bn_\w+|res[2-5]_[0-9]+_branch[12]\w+)$|pred_[wb]$")
_PYSLOWFAST = re.compile(r"s1\.pathway[0-9]_stem\.|s[2-5]\.pathway[0-9]_res[0-9]+\.branch[12][._]")
_PYSLOWFAST_MVIT = {"patch_embed.proj.weight", "blocks.0.attn.proj.weight", "head.projection.weight"}
