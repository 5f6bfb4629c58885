"""CSN: a ResNet whose 3x3x3 convolutions each look at one channel (arXiv:1904.02811)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from videohub.architectures import csn as architecture
from videohub.architectures.parts import block_counts
from videohub.models.convolutions import ConvNorm, ResidualNetwork, Size, Stem, initialise, stage
from videohub.models.video_model import ClassificationHead
from videohub.value_types import Activation


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 beside a shortcut; the middle one is depthwise and carries the stride.

    With `mixes`, one of 1 stands right before it, with a norm and without a ReLU.
    """

    def __init__(self, width: int, out: int, *, stride: Size, mixes: bool, eps: float) -> None:
        super().__init__()
        inner = out // 4
        self.conv_a = ConvNorm(width, inner, (1, 1, 1), eps=eps)
        self.mix = ConvNorm(inner, inner, (1, 1, 1), eps=eps) if mixes else nn.Identity()
        self.conv_b = ConvNorm(inner, inner, (3, 3, 3), stride=stride, groups=inner, eps=eps)
        self.conv_c = ConvNorm(inner, out, (1, 1, 1), eps=eps)
        self.shortcut = ConvNorm(width, out, (1, 1, 1), stride=stride, eps=eps) if width != out else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv_a(x))
        y = self.relu(self.conv_b(self.mix(y)))
        y = self.conv_c(y)
        y += self.shortcut(x)
        return self.relu(y)


class CSN(ResidualNetwork):
    """A stem that looks at three frames, and four stages, of which the last three halve time and space.

    They put out (B, 32 width, T / 8, H / 32, W / 32), rounded up.
    """

    def __init__(self, arch: architecture.CSN, *, frames: int, activation: Activation) -> None:
        super().__init__()
        width, block = arch.width, partial(Bottleneck, mixes=arch.variant == "ip", eps=arch.eps)
        two, three, four, five = block_counts(arch.depth)
        self.stem = Stem(width, temporal_kernel=3, eps=arch.eps)
        self.res2 = stage(block, two, width, 4 * width, stride=(1, 1, 1))
        self.res3 = stage(block, three, 4 * width, 8 * width, stride=(2, 2, 2))
        self.res4 = stage(block, four, 8 * width, 16 * width, stride=(2, 2, 2))
        self.res5 = stage(block, five, 16 * width, 32 * width, stride=(2, 2, 2))
        self.head = ClassificationHead(
            [32 * width], arch.head, frames=-(-frames // 8), num_classes=arch.num_classes, activation=activation
        )
        initialise(self)


def csn(arch: architecture.CSN, *, frames: int, activation: Activation) -> CSN:
    """CSN as a record describes it, for clips of `frames` frames."""
    return CSN(arch, frames=frames, activation=activation)
