"""R(2+1)D of bottleneck blocks: time first, space second (PyTorchVideo's reading of arXiv:1711.11248)."""

from __future__ import annotations

from torch import Tensor, nn

from videohub.architectures import r2plus1d as architecture
from videohub.architectures.parts import block_counts
from videohub.models.convolutions import ConvNorm, ResidualNetwork, Size, initialise, stage
from videohub.models.video_model import ClassificationHead
from videohub.value_types import Activation


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 over time, 3 over space, and 1 beside a shortcut; each half carries its part of a stride."""

    def __init__(self, width: int, out: int, *, stride: Size) -> None:
        super().__init__()
        inner, (time, height, side) = out // 4, stride
        self.conv_a = ConvNorm(width, inner, (1, 1, 1))
        self.temporal = ConvNorm(inner, inner, (3, 1, 1), stride=(time, 1, 1))
        self.spatial = ConvNorm(inner, inner, (1, 3, 3), stride=(1, height, side))
        self.conv_c = ConvNorm(inner, out, (1, 1, 1))
        self.shortcut = ConvNorm(width, out, (1, 1, 1), stride=stride) if width != out else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv_a(x))
        y = self.relu(self.spatial(self.relu(self.temporal(y))))
        y = self.conv_c(y)
        y += self.shortcut(x)
        return self.relu(y)


class R2Plus1D(ResidualNetwork):
    """A stem that sees single frames, and four stages that halve space, the last two time as well.

    They put out (B, 32 width, T / 4, H / 32, W / 32), rounded up.
    """

    def __init__(self, arch: architecture.R2Plus1D, *, frames: int, activation: Activation) -> None:
        super().__init__()
        width = arch.width
        two, three, four, five = block_counts(arch.depth)
        self.stem = nn.Sequential(ConvNorm(3, width, (1, 7, 7), stride=(1, 2, 2)), nn.ReLU(inplace=True))
        self.res2 = stage(Bottleneck, two, width, 4 * width, stride=(1, 2, 2))
        self.res3 = stage(Bottleneck, three, 4 * width, 8 * width, stride=(1, 2, 2))
        self.res4 = stage(Bottleneck, four, 8 * width, 16 * width, stride=(2, 2, 2))
        self.res5 = stage(Bottleneck, five, 16 * width, 32 * width, stride=(2, 2, 2))
        self.head = ClassificationHead(
            [32 * width], arch.head, frames=-(-frames // 4), num_classes=arch.num_classes, activation=activation
        )
        initialise(self)


def r2plus1d(arch: architecture.R2Plus1D, *, frames: int, activation: Activation) -> R2Plus1D:
    """R(2+1)D as a record describes it, for clips of `frames` frames."""
    return R2Plus1D(arch, frames=frames, activation=activation)
