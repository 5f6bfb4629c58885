"""DenseNet of single frames (arXiv:1608.06993)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import densenet as architecture
from videohub.models.convolutions import ConvNorm, initialise
from videohub.models.video_model import ClassificationHead, OnePathway
from videohub.value_types import Activation


class Layer(nn.Module):
    """Convolutions of 1 and 3, each behind a norm and ReLU, whose output joins the channels of the input."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.reduce = ConvNorm(width, 4 * growth, (1, 1, 1))
        self.grow = nn.Conv3d(4 * growth, growth, (1, 3, 3), padding=(0, 1, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        made = self.grow(self.reduce(self.norm(x).relu()).relu())
        return torch.cat([x, made], dim=1)


class Transition(nn.Module):
    """Half the channels, and an average of each 2x2 pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.conv = nn.Conv3d(width, width // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(self.norm(x).relu())
        pooled = F.avg_pool2d(y.flatten(1, 2), 2)  # a CPU has that of three axes for no type narrower than float32
        return torch.unflatten(pooled, 1, (y.shape[1], -1))


class DenseNet(OnePathway):
    """A stem, and four stages with a transition between each two.

    Source: mmaction2 averages what the last norm puts out, where torchvision's own network has a ReLU in between.
    """

    smallest = (1, 29, 29)  # transitions round down

    def __init__(self, arch: architecture.DenseNet, *, activation: Activation) -> None:
        super().__init__()
        width = arch.width
        self.stem = nn.Sequential(
            ConvNorm(3, width, (1, 7, 7), stride=(1, 2, 2)),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1)),
        )
        stages, transitions = [], []
        for number, count in enumerate(arch.blocks):
            if number:
                transitions.append(Transition(width))
                width //= 2
            layers = [Layer(width + each * arch.growth, arch.growth) for each in range(count)]
            stages.append(nn.Sequential(OrderedDict((f"layer{each}", layer) for each, layer in enumerate(layers, 1))))
            width += count * arch.growth
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        self.transition1, self.transition2, self.transition3 = transitions
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.head = ClassificationHead([width], num_classes=arch.num_classes, activation=activation)
        initialise(self)

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return the normalised output of the last stage, (B, D, T, H / 32, W / 32), about."""
        x = self.transition1(self.stage1(self.stem(clip)))
        x = self.transition3(self.stage3(self.transition2(self.stage2(x))))
        return self.norm(self.stage4(x))


def densenet(arch: architecture.DenseNet, *, frames: int, activation: Activation) -> DenseNet:
    """The network that a record describes; it takes clips of any length."""
    return DenseNet(arch, activation=activation)
