"""X3D: a small image network that is expanded, one axis after the other, into one for video (arXiv:2004.04730)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import x3d as architecture
from videohub.models.convolutions import ResidualNetwork, initialise
from videohub.models.video_model import ClassificationHead
from videohub.value_types import Activation


class Stem(nn.Module):
    """A convolution over space, which halves the picture, then one over time, channel by channel."""

    NORM_AFTER: ClassVar[Mapping[str, str]] = {"conv_t": "norm"}

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_xy = nn.Conv3d(3, width, (1, 3, 3), (1, 2, 2), padding=(0, 1, 1), bias=False)
        self.conv_t = nn.Conv3d(width, width, (5, 1, 1), padding=(2, 0, 0), groups=width, bias=False)
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, clip: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv_t(self.conv_xy(clip))))


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what all of them show on average (arXiv:1709.01507)."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv3d(width, squeezed, 1)
        self.relu = nn.ReLU(inplace=True)
        self.excite = nn.Conv3d(squeezed, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        average = x.mean(dim=(2, 3, 4), keepdim=True)
        return x / _over_sigmoid(self.excite(self.relu(self.squeeze(average))))


class Swish(nn.Module):
    """x * sigmoid(x) (arXiv:1710.05941)."""

    def forward(self, x: Tensor) -> Tensor:
        return x / _over_sigmoid(x) if x.device.type == "cpu" else F.silu(x)


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 beside a shortcut; the middle one is wider, and works channel by channel."""

    NORM_AFTER: ClassVar[Mapping[str, str]] = {f"conv_{part}": f"norm_{part}" for part in ("a", "b", "c", "shortcut")}
    LAST_NORM: ClassVar[str] = "norm_c"

    def __init__(
        self, width: int, inner: int, out: int, *, stride: int, squeezed: int | None, shortcut_norm: bool
    ) -> None:
        super().__init__()
        self.conv_a = nn.Conv3d(width, inner, 1, bias=False)
        self.norm_a = nn.BatchNorm3d(inner, eps=1e-5)
        self.relu = nn.ReLU(inplace=True)
        self.conv_b = nn.Conv3d(inner, inner, 3, (1, stride, stride), padding=1, groups=inner, bias=False)
        self.norm_b = nn.BatchNorm3d(inner, eps=1e-5)
        self.weigh = SqueezeExcitation(inner, squeezed) if squeezed else nn.Identity()
        self.swish = Swish()
        self.conv_c = nn.Conv3d(inner, out, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(out, eps=1e-5)
        self.has_projection = width != out or stride != 1
        if self.has_projection:
            self.conv_shortcut = nn.Conv3d(width, out, 1, (1, stride, stride), bias=False)
            self.norm_shortcut = nn.BatchNorm3d(out, eps=1e-5) if shortcut_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.norm_shortcut(self.conv_shortcut(x)) if self.has_projection else x
        y = self.relu(self.norm_a(self.conv_a(x)))
        y = self.swish(self.weigh(self.norm_b(self.conv_b(y))))
        y = self.norm_c(self.conv_c(y))
        y += shortcut
        return self.relu(y)


class Head(ClassificationHead):
    """Widen twice before the projection; the second time at the few positions that the average leaves."""

    NORM_AFTER: ClassVar[Mapping[str, str]] = {"conv": "norm"}

    def __init__(self, arch: architecture.X3D, *, frames: int, activation: Activation) -> None:
        super().__init__(
            [arch.head_width], arch.head, frames=frames, num_classes=arch.num_classes, activation=activation
        )
        width = arch.widths[-1]
        inner = arch.inner_width(width)
        self.conv = nn.Conv3d(width, inner, 1, bias=False)
        self.norm = nn.BatchNorm3d(inner, eps=1e-5)
        self.relu = nn.ReLU(inplace=True)
        self.widen = nn.Conv3d(inner, arch.head_width, 1, bias=False)

    def positions(self, maps: Sequence[Tensor]) -> Tensor:
        """Return what the projection sees at each position, (B, T', H', W', D)."""
        (features,) = maps
        pooled = self.pooled(self.relu(self.norm(self.conv(features))))
        return self.relu(self.widen(pooled)).permute(0, 2, 3, 4, 1)


class X3D(ResidualNetwork):
    """A stem and four stages, each of which halves the picture and none of which shortens the clip.

    They put out (B, C, T, H / 32, W / 32), rounded up.
    """

    head: Head

    def __init__(self, arch: architecture.X3D, *, frames: int, activation: Activation) -> None:
        super().__init__()
        self.stem = Stem(arch.widths[0])
        self.res2, self.res3, self.res4, self.res5 = (_stage(arch, number) for number in range(4))
        self.head = Head(arch, frames=frames, activation=activation)
        initialise(self)


def _stage(arch: architecture.X3D, number: int) -> nn.Sequential:
    """Return the stage res`number + 2`; every other block weighs its channels, from the first on."""
    arriving, out = arch.widths[number : number + 2]
    inner = arch.inner_width(out)
    return nn.Sequential(
        *(
            Bottleneck(
                out if block else arriving,
                inner,
                out,
                stride=1 if block else 2,
                squeezed=None if block % 2 else arch.squeezed_width(inner),
                shortcut_norm=number > 0 or arch.first_shortcut_norm,
            )
            for block in range(arch.block_counts[number])
        )
    )


def _over_sigmoid(x: Tensor) -> Tensor:
    """Return 1 / sigmoid(x), on a CPU to the same bits wherever a number stands among others.

    torch's own sigmoid and SiLU compute the last few numbers of each thread's share by other instructions, so that a
    view's bits would depend on the views beside it; `exp` does not, and division is exact.
    """
    return 1 + torch.exp(-x)


def x3d(arch: architecture.X3D, *, frames: int, activation: Activation) -> X3D:
    """X3D as a record describes it, for clips of `frames` frames."""
    return X3D(arch, frames=frames, activation=activation)
