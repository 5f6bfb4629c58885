"""Features as the code for temporal action localisation reads them: what its configuration has to say.

Both read `ID.npy` of (T, D), the form in which they are kept anyway, and are told how features lie in time. What they
read was taken from their code; neither has been run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from videohub.feature_extraction.sampling import Sampling
from videohub.files import atomic_write

Layout: TypeAlias = Literal["actionformer", "opentad"]

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_MISSING = "missing_files.txt"


def config_of(layout: Layout, folder: Path, sampling: Sampling, num_features: int) -> str:
    """Return the lines of a configuration that belong to features of `num_features` values in a folder.

    Both place feature k around frame k * stride + span / 2 at the stated rate, which is the middle of window k.
    """
    return _CONFIGS[layout](folder, sampling, num_features)


def _actionformer(folder: Path, sampling: Sampling, num_features: int) -> str:
    """Source: libs/datasets/thumos14.py, which divides `seconds * fps - 0.5 * num_frames` by `feat_stride`."""
    fps = "~" if sampling.fps is None else f"{sampling.fps:g}"
    return f"""\
dataset: {{
  feat_folder: {json.dumps(str(folder))},
  file_prefix: ~,
  file_ext: .npy,
  input_dim: {num_features},
  feat_stride: {sampling.stride},
  num_frames: {sampling.span},
  default_fps: {fps},
}}
"""


def _opentad(folder: Path, sampling: Sampling, num_features: int) -> str:
    """Source: opentad/datasets/anet.py: `(seconds * fps - offset_frames) / (feature_stride * sample_stride)`.

    Its THUMOS data set takes the rate from the annotations, frames by seconds, and no `fps`.
    """
    fps = "-1" if sampling.fps is None else f"{sampling.fps:g}"
    return f"""\
data_path = {json.dumps(f"{folder}/")}
block_list = data_path + "{_MISSING}"
feature_stride = {sampling.stride}
sample_stride = 1
offset_frames = {sampling.span // 2}
fps = {fps}
load = dict(type="LoadFeats", feat_format="npy")
rearrange = dict(type="Rearrange", keys=["feats"], ops="t c -> c t")
in_channels = {num_features}
"""


_CONFIGS: dict[Layout, Callable[[Path, Sampling, int], str]] = {"actionformer": _actionformer, "opentad": _opentad}


def write_missing(layout: Layout, folder: Path, names: Iterable[str]) -> None:
    """Name the videos without features where the code wants to be told; ActionFormer passes over them by itself."""
    if layout == "opentad":
        with atomic_write(folder / _MISSING) as part:
            part.write_text("".join(f"{name}\n" for name in names), encoding="utf-8", errors="surrogateescape")
