"""The parts that residual networks share: stem, bottleneck and non-local blocks, stages, and how they start training.

A part says in `NORM_AFTER` which batch norm it computes right after which convolution, and a block in `LAST_NORM` which
one scales what it adds to its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import parts
from videohub.architectures.parts import LastStage

# Temporal kernels of (stem, res2, res3, res4, res5); a stage's list repeats over its blocks.
TemporalKernels: TypeAlias = tuple[int, list[int], list[int], list[int], list[int]]
_PLAIN_STEM = parts.Stem()


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

    NORM_AFTER: ClassVar[Mapping[str, str]] = {
        "conv_a": "norm_a",
        "conv_b": "norm_b",
        "conv_c": "norm_c",
        "conv_shortcut": "norm_shortcut",
    }
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
        if self.segment is not None and self.segment < x.shape[2]:
            return torch.cat([self._shifted(part) for part in torch.split(x, self.segment, dim=2)], dim=2)
        return self._shifted(x)

    def _shifted(self, x: Tensor) -> Tensor:
        moved = x.shape[1] // self.share
        after = F.pad(x[:, :moved, 1:], (0, 0, 0, 0, 0, 1))
        before = F.pad(x[:, moved : 2 * moved, :-1], (0, 0, 0, 0, 1, 0))
        return torch.cat([after, before, x[:, 2 * moved :]], dim=1)


class NonLocal(nn.Module):
    """Add to each position what it gathers from all (pooled) positions, weighted by their affinity (arXiv:1711.07971).

    `softmax` scales by 1/sqrt(inner width), if at all, and normalises; `gaussian` does so with the products of the
    input itself, unscaled; `dot_product` divides by the number of keys instead.
    With a `window`, so many frames at a time are a clip of their own.
    """

    NORM_AFTER: ClassVar[Mapping[str, str]] = {"out": "norm"}
    LAST_NORM: ClassVar[str] = "norm"

    def __init__(
        self,
        width: int,
        *,
        affinity: Literal["softmax", "gaussian", "dot_product"],
        pool: tuple[int, int, int],
        pooled: Literal["input", "keys"] = "input",
        scaled: bool = True,
        out_bias: bool = True,
        window: int | None = None,
    ) -> None:
        super().__init__()
        inner = width // 2
        self.affinity = affinity
        self.pools_input = pooled == "input"
        self.scale = inner**-0.5 if scaled and affinity == "softmax" else 1.0
        self.window = window
        self.theta = nn.Identity() if affinity == "gaussian" else nn.Conv3d(width, inner, 1)
        self.phi = nn.Identity() if affinity == "gaussian" else nn.Conv3d(width, inner, 1)
        self.g = nn.Conv3d(width, inner, 1)
        self.out = nn.Conv3d(inner, width, 1, bias=out_bias)
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.pool = nn.MaxPool3d(tuple(pool), tuple(pool)) if max(pool) > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (B, C, T, H, W)."""
        if self.window is not None and self.window < x.shape[2]:
            return torch.cat([self._related(part) for part in torch.split(x, self.window, dim=2)], dim=2)
        return self._related(x)

    def _related(self, x: Tensor) -> Tensor:
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
        gathered = (values @ affinity.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.norm(self.out(gathered))


def stages(
    counts: Sequence[int],
    *,
    width: int,
    inner_width: int | None = None,
    groups: int = 1,
    temporal_kernels: TemporalKernels,
    res4_temporal: int | None = None,
    res5: LastStage,
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
    arriving = width
    for number in range(4):
        name = f"res{number + 2}"
        inner, out = (inner_width or width) * 2**number, 4 * width * 2**number
        repeated = temporal_kernels[1:][number]
        pattern = [repeated[i % len(repeated)] for i in range(counts[number])]
        if name == "res4" and res4_temporal is not None:
            pattern = [kernel if i < res4_temporal else 1 for i, kernel in enumerate(pattern)]
        stride, dilation = (res5.stride, res5.dilation) if name == "res5" else (1 if name == "res2" else 2, 1)
        chain = [
            Bottleneck(
                arriving + lateral_widths[number] if i == 0 else out,
                inner,
                out,
                temporal_kernel=kernel,
                stride=stride if i == 0 else 1,
                dilation=dilation,
                groups=groups,
            )
            for i, kernel in enumerate(pattern)
        ]
        if non_local:
            for stage, blocks in non_local.after.items():
                for block in blocks if stage == name else ():
                    chain[block].non_local = NonLocal(
                        out,
                        affinity=non_local.affinity,
                        pool=non_local.pool,
                        pooled=non_local.pooled,
                        scaled=non_local.scaled,
                        out_bias=non_local.out_bias,
                        window=non_local.windows.get(stage),
                    )
        made[name] = nn.Sequential(*chain)
        arriving = out
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
