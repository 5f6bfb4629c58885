"""MobileOne, which sees single frames (arXiv:2206.04040), and TSM on it (arXiv:1811.08383)."""

from __future__ import annotations

from torch import Tensor, nn

from videohub.architectures import mobileone as architecture
from videohub.architectures.parts import rounded_width
from videohub.models.convolutions import ConvNorm, TemporalShift, initialise
from videohub.models.video_model import ClassificationHead, OnePathway
from videohub.value_types import Activation


class Weighing(nn.Module):
    """Weigh the channels of each frame by what they are on average there (squeeze and excitation)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = rounded_width(width // 16, 8)
        self.squeeze = nn.Conv3d(width, inner, 1)
        self.excite = nn.Conv3d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        average = x.mean(dim=(3, 4), keepdim=True)
        return x * self.excite(self.squeeze(average).relu()).sigmoid()


class Branches(nn.Module):
    """The sum of a convolution, of one that sees single places, and of the input, each with its norm, where they fit.

    As trained: the three could be one convolution.
    """

    def __init__(self, width: int, out: int, *, kernel: int, stride: int = 1, groups: int = 1, weighs: bool) -> None:
        super().__init__()
        steps = (1, stride, stride)
        self.conv = ConvNorm(width, out, (1, kernel, kernel), stride=steps, groups=groups)
        self.scale = ConvNorm(width, out, (1, 1, 1), stride=steps, groups=groups) if kernel > 1 else None
        self.norm = nn.BatchNorm3d(width, eps=1e-5) if width == out and stride == 1 else None
        self.weighing = Weighing(out) if weighs else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.scale is not None:
            y = y + self.scale(x)
        if self.norm is not None:
            y = y + self.norm(x)
        return self.relu(self.weighing(y))


class Shifted(nn.Sequential):
    """Branches behind a shift in time."""

    def __init__(self, shift: nn.Module, branches: Branches) -> None:
        super().__init__()
        self.shift, self.branches = shift, branches


class MobileOne(OnePathway):
    """A stem and four stages, each of which halves the picture, too; all of them see single frames."""

    def __init__(self, arch: architecture.MobileOne, *, activation: Activation) -> None:
        super().__init__()
        width = min(64, arch.widths[0])
        self.stem = Branches(3, width, kernel=3, stride=2, weighs=False)
        stages = []
        for pairs, out, weighing in zip(arch.blocks, arch.widths, arch.weighing, strict=True):
            stage: list[nn.Module] = []
            for number in range(pairs):
                stride, weighs = 2 if number == 0 else 1, number >= pairs - weighing
                channels = Branches(width, width, kernel=3, stride=stride, groups=width, weighs=weighs)
                stage += [_shifted(arch, channels), _shifted(arch, Branches(width, out, kernel=1, weighs=weighs))]
                width = out
            stages.append(nn.Sequential(*stage))
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        self.head = ClassificationHead([width], num_classes=arch.num_classes, activation=activation)
        initialise(self)

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return the output of the last stage, (B, D, T, H / 32, W / 32), rounded up."""
        x = self.stage2(self.stage1(self.stem(clip)))
        return self.stage4(self.stage3(x))


def _shifted(arch: architecture.MobileOne, branches: Branches) -> Shifted:
    return Shifted(TemporalShift(arch.share, arch.segment) if arch.share else nn.Identity(), branches)


def mobileone(arch: architecture.MobileOne, *, frames: int, activation: Activation) -> MobileOne:
    """The network that a record describes; it takes clips of any length."""
    return MobileOne(arch, activation=activation)
