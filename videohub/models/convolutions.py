"""The parts that convolutional networks share: convolutions with their norms, stems, blocks and stages of residual
networks, and how they start training.

A part says in `NORM_AFTER` which batch norm it computes right after which convolution, and a block in `LAST_NORM` which
one scales what it adds to its input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import ClassVar, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import parts
from videohub.models.video_model import OnePathway

Size: TypeAlias = tuple[int, int, int]  # time, height, width
# Temporal kernels of (stem, res2, res3, res4, res5); a stage's list repeats over its blocks.
TemporalKernels: TypeAlias = tuple[int, list[int], list[int], list[int], list[int]]

_PLAIN_STEM = parts.Stem()


class ResidualNetwork(OnePathway):
    """A stem, and four stages of residual blocks."""

    stem: nn.Module
    res2: nn.Module
    res3: nn.Module
    res4: nn.Module
    res5: nn.Module

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return the output of res5, (B, D, T', H', W')."""
        x = self.res2(self.stem(clip))
        return self.res5(self.res4(self.res3(x)))


class ConvNorm(nn.Module):
    """A convolution that keeps the size but for its stride, and the batch norm after it."""

    NORM_AFTER: ClassVar[Mapping[str, str]] = {"conv": "norm"}

    def __init__(
        self, width: int, out: int, kernel: Size, *, stride: Size = (1, 1, 1), groups: int = 1, eps: float = 1e-5
    ) -> None:
        super().__init__()
        time, height, side = kernel
        padding = (time // 2, height // 2, side // 2)
        self.conv = nn.Conv3d(width, out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm3d(out, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class SeparableConv(nn.Module):
    """A convolution over space, then one over time, each with its batch norm, and a ReLU between the two."""

    def __init__(
        self,
        width: int,
        out: int,
        kernel: Size,
        *,
        middle: int,
        stride: Size = (1, 1, 1),
        eps: float = 1e-5,
        middle_eps: float | None = None,
    ) -> None:
        super().__init__()
        between = eps if middle_eps is None else middle_eps
        self.spatial = ConvNorm(width, middle, (1, *kernel[1:]), stride=(1, *stride[1:]), eps=between)
        self.relu = nn.ReLU(inplace=True)
        self.temporal = ConvNorm(middle, out, (kernel[0], 1, 1), stride=(stride[0], 1, 1), eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.temporal(self.relu(self.spatial(x)))


class Stem(nn.Module):
    """First convolution, which halves the picture, and a max-pool, which halves it again; either may halve time."""

    NORM_AFTER: ClassVar[Mapping[str, str]] = {"conv": "norm"}

    def __init__(self, width: int, *, temporal_kernel: int, stem: parts.Stem = _PLAIN_STEM, eps: float = 1e-5) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            3, width, (temporal_kernel, 7, 7), (stem.stride, 2, 2), padding=(temporal_kernel // 2, 3, 3), bias=False
        )
        self.norm = nn.BatchNorm3d(width, eps=eps)
        self.relu = nn.ReLU(inplace=True)
        pixels = stem.pool_padding
        self.pool = nn.MaxPool3d((stem.pool_frames, 3, 3), (stem.pool_step, 2, 2), padding=(0, pixels, pixels))

    def forward(self, clip: Tensor) -> Tensor:
        return self.pool(self.relu(self.norm(self.conv(clip))))


class Bottleneck(nn.Module):
    """Convolutions of 1 (in space), 3 and 1 beside a shortcut; the middle one carries stride and dilation."""

    NORM_AFTER: ClassVar[Mapping[str, str]] = {f"conv_{part}": f"norm_{part}" for part in ("a", "b", "c", "shortcut")}
    LAST_NORM: ClassVar[str] = "norm_c"

    def __init__(
        self,
        width: int,
        inner: int,
        out: int,
        *,
        temporal_kernel: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv_a = nn.Conv3d(width, inner, (temporal_kernel, 1, 1), padding=(temporal_kernel // 2, 0, 0), bias=False)
        self.norm_a = nn.BatchNorm3d(inner, eps=1e-5)
        self.conv_b = nn.Conv3d(
            inner,
            inner,
            (1, 3, 3),
            (1, stride, stride),
            padding=(0, dilation, dilation),
            dilation=(1, dilation, dilation),
            groups=groups,
            bias=False,
        )
        self.norm_b = nn.BatchNorm3d(inner, eps=1e-5)
        self.conv_c = nn.Conv3d(inner, out, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(out, eps=1e-5)
        self.relu = nn.ReLU(inplace=True)
        self.has_projection = width != out or stride != 1
        if self.has_projection:
            self.conv_shortcut = nn.Conv3d(width, out, 1, (1, stride, stride), bias=False)
            self.norm_shortcut = nn.BatchNorm3d(out, eps=1e-5)
        self.shift: nn.Module = nn.Identity()
        self.non_local: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.norm_shortcut(self.conv_shortcut(x)) if self.has_projection else x
        y = self.relu(self.norm_a(self.conv_a(self.shift(x))))
        y = self.relu(self.norm_b(self.conv_b(y)))
        y = self.norm_c(self.conv_c(y))
        y += shortcut  # in place, as ReLU is: the largest tensors of a network stand here
        return self.non_local(self.relu(y))


class TemporalShift(nn.Module):
    """Take 1 / `share` of the channels from the next frame, and the ones after those from the frame before.

    Beyond the clip's ends there are zeros. With a `segment`, so many frames at a time are a clip of their own.
    Source: TSM (arXiv:1811.08383), its residual shift.
    """

    def __init__(self, share: int, segment: int | None = None) -> None:
        super().__init__()
        self.share = share
        self.segment = segment

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (B, C, T, H, W)."""
        return _in_turn(self._shifted, x, self.segment)

    def _shifted(self, x: Tensor) -> Tensor:
        moved = x.shape[1] // self.share
        after = F.pad(x[:, :moved, 1:], (0, 0, 0, 0, 0, 1))
        before = F.pad(x[:, moved : 2 * moved, :-1], (0, 0, 0, 0, 1, 0))
        return torch.cat([after, before, x[:, 2 * moved :]], dim=1)


class NonLocal(nn.Module):
    """Add to each position what it gathers from all (pooled) positions, weighted by their affinity (arXiv:1711.07971).

    `softmax` scales by 1/sqrt(inner width), if at all, and normalises; `gaussian` does so with the products of the
    input itself, unscaled; `dot_product` divides by the number of keys instead.
    With a `window`, so many frames at a time relate to each other alone; the norm is that of all.
    """

    NORM_AFTER: ClassVar[Mapping[str, str]] = {"out": "norm"}
    LAST_NORM: ClassVar[str] = "norm"

    def __init__(self, width: int, how: parts.NonLocal, *, window: int | None) -> None:
        super().__init__()
        inner = width // 2
        self.affinity = how.affinity
        self.pools_input = how.pooled == "input"
        self.scale = inner**-0.5 if how.scaled and how.affinity == "softmax" else 1.0
        self.window = window
        self.theta = nn.Identity() if how.affinity == "gaussian" else nn.Conv3d(width, inner, 1)
        self.phi = nn.Identity() if how.affinity == "gaussian" else nn.Conv3d(width, inner, 1)
        self.g = nn.Conv3d(width, inner, 1)
        self.out = nn.Conv3d(inner, width, 1, bias=how.out_bias)
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.pool = nn.MaxPool3d(how.pool, how.pool) if max(how.pool) > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (B, C, T, H, W)."""
        return x + self.norm(self.out(_in_turn(self._gathered, x, self.window)))

    def _gathered(self, x: Tensor) -> Tensor:
        """Return what each position gathers, (B, inner width, T, H, W)."""
        if self.pools_input:
            pooled = self.pool(x)
            keys, values = self.phi(pooled).flatten(2), self.g(pooled).flatten(2)
        else:
            keys, values = self.pool(self.phi(x)).flatten(2), self.pool(self.g(x)).flatten(2)
        affinity = self.theta(x).flatten(2).transpose(1, 2) @ keys  # (B, positions, pooled positions)
        if self.affinity == "dot_product":
            affinity = affinity / keys.shape[2]
        else:
            affinity = torch.softmax(affinity * self.scale, dim=2)
        return (values @ affinity.transpose(1, 2)).unflatten(2, x.shape[2:])


def _in_turn(compute: Callable[[Tensor], Tensor], x: Tensor, frames: int | None) -> Tensor:
    """Return what is made of a clip (B, C, T, H, W), so many frames at a time; None: of all together."""
    if frames is None or frames >= x.shape[2]:
        return compute(x)
    return torch.cat([compute(part) for part in torch.split(x, frames, dim=2)], dim=2)


def stage(block: Callable[..., nn.Module], count: int, width: int, out: int, *, stride: Size) -> nn.Sequential:
    """Return `count` blocks, each made from the channels that it takes and puts out; the first carries the stride."""
    first = block(width, out, stride=stride)
    return nn.Sequential(first, *(block(out, out, stride=(1, 1, 1)) for _ in range(count - 1)))


def stages(
    counts: Sequence[int],
    *,
    width: int,
    inner_width: int | None = None,
    groups: int = 1,
    temporal_kernels: TemporalKernels,
    res4_temporal: int | None = None,
    res5: parts.LastStage,
    lateral_widths: Sequence[int] = (0, 0, 0, 0),
    non_local: parts.NonLocal | None = None,
    stem: parts.Stem = _PLAIN_STEM,
) -> dict[str, nn.Module]:
    """Return the stem and the stages of one pathway, by name and in order.

    Args:
        counts: Blocks of res2 to res5.
        width: Channels after the stem; the stages put out 4, 8, 16 and 32 times as many.
        inner_width: Channels that blocks of res2 have within, twice as many in each stage after it; None: the width.
        groups: Of the blocks' middle convolutions.
        temporal_kernels: Of the stem, and of each stage's blocks (repeated).
        res4_temporal: Only so many of res4's blocks have their temporal kernel, the rest 1; None: all.
        res5: Stride and dilation of the last stage.
        lateral_widths: Channels that a lateral connection adds to the input of res2 to res5.
        non_local: Where non-local blocks stand.
        stem: What the first layers do to time.
    """
    made: dict[str, nn.Module] = {"stem": Stem(width, temporal_kernel=temporal_kernels[0], stem=stem)}
    arriving, inner, out = width, inner_width or width, 4 * width
    of_stages = zip(get_args(parts.Stage), counts, temporal_kernels[1:], lateral_widths, strict=True)
    for name, count, repeated, lateral_width in of_stages:
        kernels = list(islice(cycle(repeated), count))
        if name == "res4" and res4_temporal is not None:
            kernels = [kernel if i < res4_temporal else 1 for i, kernel in enumerate(kernels)]
        stride, dilation = (res5.stride, res5.dilation) if name == "res5" else (1 if name == "res2" else 2, 1)
        chain = [
            Bottleneck(
                arriving + lateral_width if i == 0 else out,
                inner,
                out,
                temporal_kernel=kernel,
                stride=stride if i == 0 else 1,
                dilation=dilation,
                groups=groups,
            )
            for i, kernel in enumerate(kernels)
        ]
        if non_local:
            for block in non_local.after.get(name, ()):
                chain[block].non_local = NonLocal(out, non_local, window=non_local.windows.get(name))
        made[name] = nn.Sequential(*chain)
        arriving, inner, out = out, 2 * inner, 2 * out
    return made


def initialise(model: nn.Module) -> None:
    """Start a network for training: He initialisation, and blocks that begin as the identity.

    One on the meta device is left as it is: it has nothing to start, and drawing there imports torch's compiler, which
    takes a second.
    """
    if next(model.parameters()).is_meta:
        return
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif last_norm := getattr(module, "LAST_NORM", None):
            nn.init.zeros_(getattr(module, last_norm).weight)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
