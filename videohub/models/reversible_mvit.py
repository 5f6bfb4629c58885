"""Reversible MViT and ViT: two streams of tokens, each computed from the other (Mangalam et al., CVPR 2022).

A block's inputs follow from its outputs, so that training need not keep them. Here only outputs are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from videohub.architectures import reversible_mvit as architecture
from videohub.models.mvit import MultiscaleAttention, Pooling, overlapping_patches
from videohub.models.transformer import (
    Embedding,
    Grid,
    Mlp,
    TokenHead,
    TokenModel,
    initialise,
    layer_norm,
    other_size,
    patch_grid,
    positions,
)
from videohub.value_types import Activation


class ReversibleBlock(nn.Module):
    """Add to the first stream the attention of the second, and to the second the MLP of the first."""

    def __init__(self, width: int, attention: MultiscaleAttention) -> None:
        super().__init__()
        self.attention_norm = layer_norm(width)
        self.attention = attention
        self.mlp_norm = layer_norm(width)
        self.mlp = Mlp(width, 4 * width, width)

    def forward(self, first: Tensor, second: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Grid]:
        gathered, grid = self.attention(self.attention_norm(second), grid)
        first = first + gathered
        return first, second + self.mlp(self.mlp_norm(first)), grid


class StageTransition(nn.Module):
    """Join both streams, then make their tokens fewer and wider; both streams go on with the result."""

    def __init__(self, width: int, out: int, attention: MultiscaleAttention, *, fusion: nn.Module) -> None:
        super().__init__()
        self.fusion = fusion
        self.attention_norm = layer_norm(width)
        self.attention = attention
        self.widen = nn.Linear(width, out) if width != out else nn.Identity()
        self.mlp_norm = layer_norm(out)
        self.mlp = Mlp(out, 4 * out, out)

    def forward(self, first: Tensor, second: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Grid]:
        joined = self.fusion(first, second)
        gathered, pooled_grid = self.attention(self.attention_norm(joined), grid)
        tokens = self.attention.pool_as_queries(self.widen(joined), grid) + gathered
        tokens = tokens + self.mlp(self.mlp_norm(tokens))
        return tokens, tokens, pooled_grid


class MeanFusion(nn.Module):
    """The mean of both streams."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return (first + second) / 2


class MlpFusion(nn.Module):
    """Both streams beside each other, and what an MLP makes of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = Mlp(2 * width, 4 * width, 2 * width)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        joined = torch.cat([first, second], dim=2)
        return joined + self.mlp(joined)


class ReversibleMViT(TokenModel):
    """Runs of reversible blocks, with a transition before each stage but the first; the head reads both streams."""

    def __init__(self, arch: architecture.ReversibleMViT, *, frames: int) -> None:
        super().__init__()
        patch = (1 if arch.image else 2, arch.patch, arch.patch)
        self.tiled = arch.patch == 16
        self.smallest = patch if self.tiled else (1, 1, 1)
        self.own_size = (frames, arch.crop, arch.crop)
        grid = patch_grid(frames, arch.crop, patch, image=arch.image)
        added = positions(grid, arch.width, joint=arch.joint_positions, class_token=False)
        self.embedding = (
            overlapping_patches(arch.width, image=arch.image, class_token=False, positions=added)
            if arch.patch == 4
            else Embedding(arch.width, kernel=patch, class_token=False, positions=added, image=arch.image)
        )
        self.grid = grid if arch.patch == 4 else None
        self.pixels = (frames, arch.crop, arch.crop)
        self.blocks = nn.ModuleList(_blocks(arch))
        width = 2 * arch.width * 2 ** (len(arch.blocks) - 1)
        self.head = TokenHead(width, readout="mean", class_token=False, num_classes=arch.num_classes)
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        clip = self.checked(clip)
        tokens, grid = self.embedding(clip)
        if self.grid not in (None, grid):  # the original pools maps of the size that it was built for, and no other
            raise other_size(clip, self.pixels)
        first, second = tokens, tokens
        for block in self.blocks:
            first, second, grid = block(first, second, grid)
        return torch.cat([first, second], dim=2)


def _blocks(arch: architecture.ReversibleMViT) -> Iterator[nn.Module]:
    """Yield the blocks of all stages, each stage but the first after its transition."""
    key_stride = 4 if arch.image else 8
    for stage, count in enumerate(arch.blocks):
        for number in range(count):
            begins = stage > 0 and number == 0
            key_stride = max(key_stride // (2 if begins else 1), 1)
            out, heads = arch.width * 2**stage, arch.heads * 2**stage
            width = out // 2 if begins and arch.fusion == "mean" else out
            attention = MultiscaleAttention(
                width,
                out,
                heads=heads,
                pool_q=_pooling(arch, 2) if begins else None,
                pool_kv=_pooling(arch, key_stride) if arch.patch == 4 else None,
                bias=arch.qkv_bias,
            )
            if begins:
                fusion = MeanFusion() if arch.fusion == "mean" else MlpFusion(out // 2)
                yield StageTransition(width, out, attention, fusion=fusion)
            else:
                yield ReversibleBlock(out, attention)


def _pooling(arch: architecture.ReversibleMViT, stride: int) -> Pooling:
    return Pooling((1 if arch.image else 3, 3, 3), (1, stride, stride))


def reversible_mvit(arch: architecture.ReversibleMViT, *, frames: int, activation: Activation) -> ReversibleMViT:
    """The reversible network that a record describes, whose positions are for clips of `frames` frames."""
    return ReversibleMViT(arch, frames=frames)
