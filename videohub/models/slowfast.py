"""SlowFast: a slow pathway for what is there, a fast and thin one for what moves (arXiv:1812.03982)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from videohub.architectures import slowfast as architecture
from videohub.architectures.parts import block_counts
from videohub.models.convolutions import initialise, stages
from videohub.models.video_model import MapModel, build_head
from videohub.value_types import Activation


class Lateral(nn.Module):
    """Bring fast features to the slow pathway's frame rate, with twice the channels; with a norm and ReLU, or bare."""

    NORM_AFTER: ClassVar[Mapping[str, str]] = {"conv": "norm"}

    def __init__(self, width: int, *, alpha: int, kernel: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, 2 * width, (kernel, 1, 1), (alpha, 1, 1), padding=(kernel // 2, 0, 0), bias=False)
        self.norm = nn.BatchNorm3d(2 * width, eps=1e-5) if norm else nn.Identity()
        self.relu = nn.ReLU(inplace=True) if norm else nn.Identity()

    def forward(self, fast: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(fast)))


class SlowFast(MapModel):
    """Two pathways watch one clip; lateral connections carry fast features into the slow one.

    The clip may also be the two pathways' frames, [slow (B, 3, T / alpha, H, W), fast (B, 3, T, H, W)]. Features are
    the slow pathway's, then the fast one's.
    """

    def __init__(self, arch: architecture.SlowFast, *, activation: Activation) -> None:
        super().__init__()
        self.alpha, self.strided = arch.alpha, arch.slow_frames == "strided"
        thin = arch.width // arch.beta_inv
        slow_temporal, fast_temporal = arch.temporal_blocks
        carried = {"stem": thin, "res2": 4 * thin, "res3": 8 * thin, "res4": 16 * thin}
        self.lateral = nn.ModuleDict(
            {
                stage: Lateral(channels, alpha=arch.alpha, kernel=arch.lateral_kernel, norm=arch.lateral_norm)
                for stage, channels in carried.items()
            }
        )
        self.slow = nn.ModuleDict(
            stages(
                block_counts(arch.depth),
                width=arch.width,
                temporal_kernels=(1, [1], [1], [3], [3]),
                res4_temporal=slow_temporal,
                res5=arch.res5,
                lateral_widths=[2 * channels for channels in carried.values()],
                non_local=arch.non_local,
            )
        )
        self.fast = nn.ModuleDict(
            stages(
                block_counts(arch.fast_depth or arch.depth),
                width=thin,
                temporal_kernels=(5, [3], [3], [3], [3]),
                res4_temporal=fast_temporal,
                res5=arch.res5,
            )
        )
        self.head = build_head(
            arch.head,
            [32 * arch.width, 32 * thin],
            frames=None,
            stride=16 * arch.res5.stride,
            num_classes=arch.num_classes,
            activation=activation,
        )
        initialise(self)

    def feature_maps(self, clip: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Return the output of res5 of both pathways, slow first."""
        slow, fast = self._pathways(clip)
        for stage, slow_stage in self.slow.items():
            slow, fast = slow_stage(slow), self.fast[stage](fast)
            if stage in self.lateral:
                slow = torch.cat([slow, self.lateral[stage](fast)], dim=1)
        return [slow, fast]

    def _pathways(self, clip: Tensor | Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        if isinstance(clip, Tensor):
            self.check_clip(clip)
            return slow_frames(clip, self.alpha, strided=self.strided), clip
        if not isinstance(clip, list | tuple):
            raise ValueError(f"clip: found a {type(clip).__name__}, expected a tensor (B, 3, T, H, W), or [slow, fast]")
        for pathway in clip:
            self.check_clip(pathway)
        if len(clip) != 2 or clip[1].shape[2] != self.alpha * clip[0].shape[2]:
            raise ValueError(
                f"clip: found a list of shapes {[tuple(pathway.shape) for pathway in clip]}, expected [slow, fast] "
                f"where fast has {self.alpha} times as many frames"
            )
        return clip[0], clip[1]


def slow_frames(clip: Tensor, alpha: int, *, strided: bool = False) -> Tensor:
    """Return the slow pathway's frames of a clip (B, 3, T, H, W): T / alpha of them.

    Both ends are included, or, if they are strided, they are each alpha-th from the first on.
    Raises: ValueError if T is no multiple of `alpha`, which the lateral connections need.
    """
    frames = clip.shape[2]
    if frames < alpha or frames % alpha:
        raise ValueError(f"clip: found {frames} frames, expected a multiple of alpha = {alpha}")
    if strided:
        return clip[:, :, ::alpha]
    return clip.index_select(2, slow_positions(frames, frames // alpha).to(clip.device))


def slow_positions(frames: int, slow: int) -> Tensor:
    """Return which of `frames` frames the slow pathway sees, (slow,) int64; for 8 of 32: 0, 4, 8, 13, 17, 22, 26, 31.

    Source: the original's `linspace(0, frames - 1, slow)` in float32, truncated. Half of its values are counted from
        the end, and the rounding of both halves shows: 47 of 95 frames comes out as 46. Exporters have a linspace of
        their own, with 30 for 31, so its arithmetic is written out here. A product of two float32 is exact in float64.
    """
    order = torch.arange(slow, dtype=torch.float64)
    from_nearer_end = torch.minimum(order, slow - 1 - order)
    step = torch.full_like(order, (frames - 1) / (slow - 1 or 1), dtype=torch.float32)
    covered = (from_nearer_end * step).to(torch.float32)
    return torch.where(order < (slow // 2 or 1), covered, frames - 1 - covered).to(torch.int64)


def slowfast(arch: architecture.SlowFast, *, frames: int, activation: Activation) -> SlowFast:
    """SlowFast as a record describes it.

    Its head averages over all frames, whatever their number, so `frames` only has to suffice for one slow frame.
    """
    if frames < arch.alpha:
        raise ValueError(f"frames: found {frames}, expected at least alpha = {arch.alpha}")
    return SlowFast(arch, activation=activation)
