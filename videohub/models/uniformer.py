"""UniFormer: convolutions among neighbours in two stages, attention among all tokens in two more (arXiv:2201.04676)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from videohub.architectures import uniformer as architecture
from videohub.models.convolutions import Size
from videohub.models.transformer import Block
from videohub.models.video_model import ClassificationHead, OnePathway
from videohub.value_types import Activation

_FIRST = ((3, 4, 4), (2, 4, 4), (1, 0, 0))  # kernel, stride and padding: frames overlap, patches do not
_LATER = ((1, 2, 2), (1, 2, 2), (0, 0, 0))


class PatchEmbedding(nn.Module):
    """Make one position of several, of other channels, which are normalised at each."""

    def __init__(self, width: int, out: int, kernel: Size, stride: Size, padding: Size) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, out, kernel, stride, padding)
        self.norm = nn.LayerNorm(out, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x).movedim(1, -1)).movedim(-1, 1)


class NeighbourBlock(nn.Module):
    """Gather from 5 x 5 x 5 neighbours within each channel, then a perceptron at each position.

    Both come after a norm and beside a shortcut. Where a position stands it learns from its neighbours, too.
    """

    NORM_BEFORE: ClassVar[Mapping[str, str]] = {"values": "norm_gather", "hidden": "norm_perceptron"}

    def __init__(self, width: int) -> None:
        super().__init__()
        self.position = _within_channels(width, 3)
        self.norm_gather = nn.BatchNorm3d(width, eps=1e-5)
        self.values = nn.Conv3d(width, width, 1)
        self.gather = _within_channels(width, 5)
        self.projection = nn.Conv3d(width, width, 1)
        self.norm_perceptron = nn.BatchNorm3d(width, eps=1e-5)
        self.hidden = nn.Conv3d(width, 4 * width, 1)
        self.gelu = nn.GELU()
        self.out = nn.Conv3d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        x = x + self.projection(self.gather(self.values(self.norm_gather(x))))
        return x + self.out(self.gelu(self.hidden(self.norm_perceptron(x))))


class AttentionBlock(nn.Module):
    """Attention between all positions and a perceptron; where a position stands it learns from its neighbours."""

    def __init__(self, width: int, *, heads: int, eps: float) -> None:
        super().__init__()
        self.position = _within_channels(width, 3)
        self.block = Block(width, heads=heads, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (B, C, T, H, W)."""
        x = x + self.position(x)
        tokens = self.block(x.flatten(2).transpose(1, 2))
        return torch.unflatten(tokens.transpose(1, 2), 2, x.shape[2:])


class Stage(nn.Module):
    """Positions of the stage's size and width, then blocks."""

    def __init__(self, embedding: PatchEmbedding, blocks: Iterable[NeighbourBlock | AttentionBlock]) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.embedding(x))


class UniFormer(OnePathway):
    """Four stages, each of which but the first halves the picture; the average of what they make is classified."""

    smallest = (1, 32, 32)

    def __init__(self, arch: architecture.UniFormer, *, activation: Activation) -> None:
        super().__init__()
        one, two, three, four = arch.widths
        self.stage1 = Stage(PatchEmbedding(3, one, *_FIRST), _near(arch, 0))
        self.stage2 = Stage(PatchEmbedding(one, two, *_LATER), _near(arch, 1))
        self.stage3 = Stage(PatchEmbedding(two, three, *_LATER), _far(arch, 2))
        self.stage4 = Stage(PatchEmbedding(three, four, *_LATER), _far(arch, 3))
        self.norm = nn.BatchNorm3d(four, eps=1e-5)
        self.head = ClassificationHead([four], num_classes=arch.num_classes, activation=activation)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return normalised features, (B, D, T / 2 rounded up, H / 32, W / 32)."""
        return self.norm(self.stage4(self.stage3(self.stage2(self.stage1(clip)))))


def _near(arch: architecture.UniFormer, stage: int) -> Iterator[NeighbourBlock]:
    return (NeighbourBlock(arch.widths[stage]) for _ in range(arch.blocks[stage]))


def _far(arch: architecture.UniFormer, stage: int) -> Iterator[AttentionBlock]:
    width = arch.widths[stage]
    return (AttentionBlock(width, heads=width // arch.head_width, eps=arch.norm_eps) for _ in range(arch.blocks[stage]))


def _within_channels(width: int, kernel: int) -> nn.Conv3d:
    """Return a convolution that mixes no channels and keeps the size."""
    return nn.Conv3d(width, width, kernel, padding=kernel // 2, groups=width)


def uniformer(arch: architecture.UniFormer, *, frames: int, activation: Activation) -> UniFormer:
    """UniFormer as a record describes it, for clips of any length."""
    return UniFormer(arch, activation=activation)
