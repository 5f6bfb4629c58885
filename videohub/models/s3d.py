"""S3D: Inception whose convolutions over space and time are taken apart (arXiv:1712.04851)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videohub.architectures import s3d as architecture
from videohub.models.convolutions import ConvNorm, SeparableConv, initialise
from videohub.models.video_model import ClassificationHead, OnePathway
from videohub.value_types import Activation

_EPS = 1e-3  # of every batch norm
_MOMENTUM = 1e-3  # in training


class Inception(nn.Module):
    """Four looks at one input, joined: at each position, at two neighbourhoods, and at the neighbours' maximum.

    Neighbourhoods are looked at through a map of fewer channels; `first` and `second` are its width and that of the
    outcome.
    """

    def __init__(self, width: int, one: int, first: tuple[int, int], second: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.one = ConvNorm(width, one, (1, 1, 1), eps=_EPS)
        self.narrow_first = ConvNorm(width, first[0], (1, 1, 1), eps=_EPS)
        self.first = SeparableConv(*first, (3, 3, 3), middle=first[1], eps=_EPS)
        self.narrow_second = ConvNorm(width, second[0], (1, 1, 1), eps=_EPS)
        self.second = SeparableConv(*second, (3, 3, 3), middle=second[1], eps=_EPS)
        self.pool = nn.MaxPool3d(3, stride=1, padding=1)
        self.pooled = ConvNorm(width, pooled, (1, 1, 1), eps=_EPS)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        first = self.first(self.relu(self.narrow_first(x)))
        second = self.second(self.relu(self.narrow_second(x)))
        pooled = self.pooled(self.pool(x))
        return self.relu(torch.cat([one, first, second, pooled], dim=1))


class S3D(OnePathway):
    """Three convolutions, then nine Inception blocks in three stages, which pooling parts."""

    smallest = (5, 17, 17)  # the last pooling needs two frames, rows and columns

    def __init__(self, arch: architecture.S3D, *, activation: Activation) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv_1 = SeparableConv(3, 64, (7, 7, 7), middle=64, stride=(2, 2, 2), eps=_EPS)
        self.pool_1 = nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1))
        self.conv_2a = ConvNorm(64, 64, (1, 1, 1), eps=_EPS)
        self.conv_2b = SeparableConv(64, 192, (3, 3, 3), middle=192, eps=_EPS)
        self.pool_2 = nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1))
        self.mixed_3b = Inception(192, 64, (96, 128), (16, 32), 32)
        self.mixed_3c = Inception(256, 128, (128, 192), (32, 96), 64)
        self.pool_3 = nn.MaxPool3d(3, 2, padding=1)
        self.mixed_4b = Inception(480, 192, (96, 208), (16, 48), 64)
        self.mixed_4c = Inception(512, 160, (112, 224), (24, 64), 64)
        self.mixed_4d = Inception(512, 128, (128, 256), (24, 64), 64)
        self.mixed_4e = Inception(512, 112, (144, 288), (32, 64), 64)
        self.mixed_4f = Inception(528, 256, (160, 320), (32, 128), 128)
        self.pool_4 = nn.MaxPool3d(2, 2)
        self.mixed_5b = Inception(832, 256, (160, 320), (32, 128), 128)
        self.mixed_5c = Inception(832, 384, (192, 384), (48, 128), 128)
        self.head = ClassificationHead([1024], arch.head, frames=2, num_classes=arch.num_classes, activation=activation)
        initialise(self)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.momentum = _MOMENTUM

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return the output of the last block, (B, 1024, T / 8, H / 32, W / 32)."""
        x = self.pool_1(self.relu(self.conv_1(clip)))
        x = self.pool_2(self.relu(self.conv_2b(self.relu(self.conv_2a(x)))))
        x = self.pool_3(self.mixed_3c(self.mixed_3b(x)))
        x = self.mixed_4d(self.mixed_4c(self.mixed_4b(x)))
        x = self.pool_4(self.mixed_4f(self.mixed_4e(x)))
        return self.mixed_5c(self.mixed_5b(x))


def s3d(arch: architecture.S3D, *, frames: int, activation: Activation) -> S3D:
    """S3D as a record describes it; its head averages pairs of frames and slides over clips of any length."""
    return S3D(arch, activation=activation)
