"""TSM on MobileNetV2 (arXiv:1811.08383, arXiv:1801.04381)."""

from __future__ import annotations

from torch import Tensor, nn

from videohub.architectures import tsm_mobilenet as architecture
from videohub.models.convolutions import ConvNorm, TemporalShift, initialise
from videohub.models.video_model import ClassificationHead, OnePathway
from videohub.value_types import Activation

# Of each stage: how many times the stem's width / 32 it puts out, how many blocks it has, and the stride of its first.
_STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))


class InvertedResidual(nn.Module):
    """Convolutions of 1, 3 and 1: the first widens, the second looks at each channel, the last has no activation.

    A block that keeps width and size has a shortcut, and shifts channels in time before it widens.
    """

    def __init__(self, width: int, out: int, *, widened: int, stride: int, share: int) -> None:
        super().__init__()
        self.has_shortcut = stride == 1 and width == out
        widens = widened != width
        self.shift = TemporalShift(share) if self.has_shortcut and widens else nn.Identity()
        self.widen = _activated(width, widened, kernel=1) if widens else nn.Identity()
        self.depthwise = _activated(widened, widened, kernel=3, stride=stride, groups=widened)
        self.narrow = ConvNorm(widened, out, (1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.narrow(self.depthwise(self.widen(self.shift(x))))
        return x + y if self.has_shortcut else y


class TSMMobileNet(OnePathway):
    """A stem, seventeen blocks, and a last convolution; all of them see single frames."""

    def __init__(self, arch: architecture.TSMMobileNet, *, activation: Activation) -> None:
        super().__init__()
        self.stem = _activated(3, arch.width, kernel=3, stride=2)
        width = arch.width
        blocks: list[InvertedResidual] = []
        for times, count, first in _STAGES:
            out = times * arch.width // 32
            for number in range(count):
                widened = (6 if blocks else 1) * width
                stride = first if number == 0 else 1
                blocks.append(InvertedResidual(width, out, widened=widened, stride=stride, share=arch.share))
                width = out
        self.blocks = nn.Sequential(*blocks)
        self.last = _activated(width, 40 * arch.width, kernel=1)
        self.head = ClassificationHead([40 * arch.width], num_classes=arch.num_classes, activation=activation)
        initialise(self)

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return the output of the last convolution, (B, 40 width, T, H / 32, W / 32), rounded up."""
        return self.last(self.blocks(self.stem(clip)))


def _activated(width: int, out: int, *, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = ConvNorm(width, out, (1, kernel, kernel), stride=(1, stride, stride), groups=groups)
    return nn.Sequential(conv, nn.ReLU6(inplace=True))


def tsm_mobilenet(arch: architecture.TSMMobileNet, *, frames: int, activation: Activation) -> TSMMobileNet:
    """The network that a record describes; it takes clips of any length."""
    return TSMMobileNet(arch, activation=activation)
