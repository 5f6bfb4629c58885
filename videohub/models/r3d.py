"""R3D, MC3 and R(2+1)D: three ways to look at time in one residual network (arXiv:1711.11248)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, TypeAlias

from torch import Tensor, nn

from videohub.architectures import r3d as architecture
from videohub.models.convolutions import ConvNorm, ResidualNetwork, SeparableConv, Size, initialise, stage
from videohub.models.video_model import ClassificationHead
from videohub.value_types import Activation

# How a stage's convolutions see a clip: space and time at once, space alone, or one after the other.
Sight: TypeAlias = Literal["joint", "space", "separate"]

_SIGHTS: Mapping[str, tuple[Sight, Sight, Sight, Sight]] = {  # of res2 to res5
    "r3d": ("joint", "joint", "joint", "joint"),
    "mc3": ("joint", "space", "space", "space"),
    "r2plus1d": ("separate", "separate", "separate", "separate"),
}


class BasicBlock(nn.Module):
    """Two convolutions of 3 beside a shortcut; the first carries the stride, which is one of time where time is seen.

    Source: torchvision computes the width between the halves of separate convolutions once a block, from what enters
        and leaves it, also for the second; Caffe2's networks have one of its own there (issue 1265 of torchvision).
    """

    def __init__(self, arch: architecture.R3D, width: int, out: int, *, sight: Sight, stride: Size) -> None:
        super().__init__()
        middle = middle_width(width, out)
        second = middle if arch.middle == "block" else middle_width(out, out)
        self.conv_a = _conv(arch, width, out, sight=sight, middle=middle, stride=stride)
        self.conv_b = _conv(arch, out, out, sight=sight, middle=second)
        self.shortcut = _shortcut(arch, width, out, sight=sight, stride=stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_b(self.relu(self.conv_a(x)))
        y += self.shortcut(x)
        return self.relu(y)


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 beside a shortcut; the middle one carries the stride, as in a basic block."""

    def __init__(self, arch: architecture.R3D, width: int, out: int, *, sight: Sight, stride: Size) -> None:
        super().__init__()
        inner = out // 4
        middle = middle_width(width if arch.middle == "block" else inner, inner)
        self.conv_a = ConvNorm(width, inner, (1, 1, 1), eps=arch.eps)
        self.conv_b = _conv(arch, inner, inner, sight=sight, middle=middle, stride=stride)
        self.conv_c = ConvNorm(inner, out, (1, 1, 1), eps=arch.eps)
        self.shortcut = _shortcut(arch, width, out, sight=sight, stride=stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv_a(x))
        y = self.conv_c(self.relu(self.conv_b(y)))
        y += self.shortcut(x)
        return self.relu(y)


class R3D(ResidualNetwork):
    """A stem that halves the picture, perhaps twice, and four stages, of which the last three halve what they see.

    They put out (B, D, T', H / 16, W / 16), rounded up, half of that where the stem pools. T' is T / 8, in MC3 T.
    """

    def __init__(self, arch: architecture.R3D, *, frames: int, activation: Activation) -> None:
        super().__init__()
        width, out = arch.width, arch.width * (4 if arch.bottleneck else 1)
        two, three, four, five = arch.blocks
        sights = _SIGHTS[arch.variant]
        pool = [nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1))] if arch.stem_pool else []
        self.stem = nn.Sequential(_stem(arch, separate=sights[0] == "separate"), nn.ReLU(inplace=True), *pool)
        block = partial(Bottleneck if arch.bottleneck else BasicBlock, arch)
        self.res2 = stage(partial(block, sight=sights[0]), two, width, out, stride=(1, 1, 1))
        self.res3 = stage(partial(block, sight=sights[1]), three, out, 2 * out, stride=_halving(sights[1]))
        self.res4 = stage(partial(block, sight=sights[2]), four, 2 * out, 4 * out, stride=_halving(sights[2]))
        self.res5 = stage(partial(block, sight=sights[3]), five, 4 * out, 8 * out, stride=_halving(sights[3]))
        self.head = ClassificationHead(
            [8 * out],
            arch.head,
            frames=frames if arch.variant == "mc3" else -(-frames // 8),
            num_classes=arch.num_classes,
            activation=activation,
        )
        initialise(self)


def middle_width(width: int, out: int, side: int = 3) -> int:
    """Return how many channels separate convolutions over space and time have between them.

    Source: the paper: as many as give the two together the number of weights of a 3x3x3 convolution, rounded down.
        mmaction2 counts 3 frames also for its shortcuts, whose two convolutions see one place and one frame each.
    """
    return 3 * side**2 * width * out // (side**2 * width + 3 * out)


def _stem(arch: architecture.R3D, *, separate: bool) -> nn.Module:
    if separate:  # by the formula there would be 83 between the halves; the authors' network has 45
        return _separable(arch, 3, arch.width, (3, 7, 7), middle=arch.stem_middle, stride=(1, 2, 2))
    return ConvNorm(3, arch.width, (3, 7, 7), stride=(1, 2, 2), eps=arch.eps)


def _halving(sight: Sight) -> Size:
    return (1 if sight == "space" else 2, 2, 2)


def _conv(
    arch: architecture.R3D, width: int, out: int, *, sight: Sight, middle: int, stride: Size = (1, 1, 1)
) -> nn.Module:
    if sight == "separate":
        return _separable(arch, width, out, (3, 3, 3), middle=middle, stride=stride)
    return ConvNorm(width, out, (3 if sight == "joint" else 1, 3, 3), stride=stride, eps=arch.eps)


def _shortcut(arch: architecture.R3D, width: int, out: int, *, sight: Sight, stride: Size) -> nn.Module:
    if width == out:
        return nn.Identity()
    if sight == "separate" and arch.separate_shortcuts:
        return _separable(arch, width, out, (1, 1, 1), middle=middle_width(width, out, 1), stride=stride)
    return ConvNorm(width, out, (1, 1, 1), stride=stride, eps=arch.eps)


def _separable(
    arch: architecture.R3D, width: int, out: int, kernel: Size, *, middle: int, stride: Size
) -> SeparableConv:
    return SeparableConv(width, out, kernel, middle=middle, stride=stride, eps=arch.eps, middle_eps=arch.middle_eps)


def r3d(arch: architecture.R3D, *, frames: int, activation: Activation) -> R3D:
    """The network that a record describes, for clips of `frames` frames."""
    return R3D(arch, frames=frames, activation=activation)
