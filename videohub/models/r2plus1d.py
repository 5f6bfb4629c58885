"""R(2+1)D of bottleneck blocks: time first, space second (PyTorchVideo's reading of arXiv:1711.11248)."""

from __future__ import annotations

from torch import Tensor, nn

from videohub.architectures import r2plus1d as architecture
from videohub.architectures.parts import block_counts
from videohub.models.convolutions import ConvNorm, Size
from videohub.models.heads import Activation, build_head
from videohub.models.stages import initialise
from videohub.models.video_model import OnePathway


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 over time, 3 over space, and 1 beside a shortcut; each half carries its part of a stride."""

    def __init__(self, width: int, inner: int, out: int, *, stride: Size) -> None:
        super().__init__()
        time, height, side = stride
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


class R2Plus1D(OnePathway):
    """A stem that sees single frames, and four stages that halve space, the last two time as well."""

    def __init__(self, arch: architecture.R2Plus1D, *, frames: int, activation: Activation) -> None:
        super().__init__()
        width = arch.width
        two, three, four, five = block_counts(arch.depth)
        self.stem = nn.Sequential(ConvNorm(3, width, (1, 7, 7), stride=(1, 2, 2)), nn.ReLU(inplace=True))
        self.res2 = _stage(two, width, 4 * width, stride=(1, 2, 2))
        self.res3 = _stage(three, 4 * width, 8 * width, stride=(1, 2, 2))
        self.res4 = _stage(four, 8 * width, 16 * width, stride=(2, 2, 2))
        self.res5 = _stage(five, 16 * width, 32 * width, stride=(2, 2, 2))
        self.head = build_head(
            arch.head,
            [32 * width],
            frames=-(-frames // 4),
            stride=32,
            num_classes=arch.num_classes,
            activation=activation,
        )
        initialise(self)

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return the output of res5, (B, 32 width, T / 4, H / 32, W / 32), rounded up."""
        x = self.res2(self.stem(clip))
        return self.res5(self.res4(self.res3(x)))


def _stage(count: int, width: int, out: int, *, stride: Size) -> nn.Sequential:
    first = Bottleneck(width, out // 4, out, stride=stride)
    return nn.Sequential(first, *(Bottleneck(out, out // 4, out, stride=(1, 1, 1)) for _ in range(count - 1)))


def r2plus1d(arch: architecture.R2Plus1D, *, frames: int, activation: Activation) -> R2Plus1D:
    """R(2+1)D as a record describes it, for clips of `frames` frames."""
    return R2Plus1D(arch, frames=frames, activation=activation)
