"""Hiera: plain blocks in four stages, whose tokens attend within units of a mask at first (arXiv:2306.00989).

Tokens are put into an order in which each 2 x 2 that become one lie in four equal parts of the sequence: 64 places of a
unit (8 x 8, by their last, middle and first bits), and for each place all units. So pooling is a maximum over an axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import hiera as architecture
from videohub.models.mvit import overlapping_patches
from videohub.models.transformer import (
    Grid,
    Mlp,
    SeparatePositions,
    TokenHead,
    TokenModel,
    initialise,
    layer_norm,
    other_size,
    patch_grid,
)
from videohub.value_types import Activation

POOLED = 4  # tokens become one: 2 x 2


class UnitAttention(nn.Module):
    """Attention in several heads, within each unit or between all tokens; queries may be pooled."""

    def __init__(self, width: int, out: int, *, heads: int, places: int | None, pools: bool) -> None:
        """Take `places` for how many tokens of a unit there are before pooling; None: all tokens see each other."""
        super().__init__()
        self.heads = heads
        self.places = places
        self.pools = pools
        self.qkv = nn.Linear(width, 3 * out)
        self.projection = nn.Linear(out, out)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, N', out) for tokens (B, N, width), places outermost."""
        count = tokens.shape[1]
        places = count if self.places is None else self.places
        qkv = self.qkv(tokens).reshape(tokens.shape[0], places, count // places, 3, self.heads, -1)
        q, k, v = qkv.permute(3, 0, 2, 4, 1, 5).flatten(1, 2)  # each (B x units, heads, places, D)
        if self.pools:
            q = torch.unflatten(q, 2, (POOLED, -1)).amax(dim=2)
        gathered = F.scaled_dot_product_attention(q, k, v)
        gathered = torch.unflatten(gathered, 0, (tokens.shape[0], count // places))
        return self.projection(gathered.permute(0, 3, 1, 2, 4).flatten(3).flatten(1, 2))


class Block(nn.Module):
    """Attention, then an MLP on each token, both beside a shortcut; the first of a stage widens and pools."""

    def __init__(self, width: int, out: int, attention: UnitAttention) -> None:
        super().__init__()
        self.attention_norm = layer_norm(width)
        self.attention = attention
        self.mlp_norm = layer_norm(out)
        self.mlp = Mlp(out, 4 * out, out)
        self.widen = nn.Linear(width, out) if width != out else None

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.attention_norm(tokens)
        shortcut = tokens
        if self.widen is not None:
            shortcut = torch.unflatten(self.widen(normed), 1, (POOLED, -1)).amax(dim=1)
        tokens = shortcut + self.attention(normed)
        return tokens + self.mlp(self.mlp_norm(tokens))


class Hiera(TokenModel):
    """Stages of plain blocks on tokens of 2 x 4 x 4 pixels."""

    def __init__(self, arch: architecture.Hiera, *, frames: int) -> None:
        super().__init__()
        self.smallest = (2, arch.UNIT, arch.UNIT)
        self.pixels = (frames, arch.crop, arch.crop)
        self.grid = patch_grid(frames, arch.crop, (2, 4, 4))
        positions = SeparatePositions(self.grid, arch.width, class_token=False)
        self.embedding = overlapping_patches(arch.width, image=False, class_token=False, positions=positions)
        self.blocks = nn.Sequential(*_blocks(arch))
        self.head = TokenHead(8 * arch.width, readout="mean_then_norm", class_token=False, num_classes=arch.num_classes)
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        clip = self.checked(clip)
        if tuple(clip.shape[2:]) != self.pixels:  # the original adds positions of the size that it was built for
            raise other_size(clip, self.pixels)
        tokens, grid = self.embedding(clip)
        return self.blocks(by_place(tokens, grid))


def by_place(tokens: Tensor, grid: Grid) -> Tensor:
    """Return tokens (B, N, C), time outermost, in the order of their places in units of 8 x 8, then of the units."""
    time, height, width = grid
    bits = tokens.reshape(tokens.shape[0], time, height // 8, 2, 2, 2, width // 8, 2, 2, 2, tokens.shape[2])
    return bits.permute(0, 5, 9, 4, 8, 3, 7, 1, 2, 6, 10).flatten(1, 9)


def _blocks(arch: architecture.Hiera) -> Iterator[Block]:
    """Yield the blocks of all stages. A stage's first block still attends as the stage before does."""
    for stage, count in enumerate(arch.blocks):
        out, heads = arch.width * 2**stage, arch.heads * 2**stage
        for number in range(count):
            begins = stage > 0 and number == 0
            of = stage - 1 if begins else stage  # whose kind of attention, and whose tokens
            places = 64 // POOLED**of if of < 2 else None
            attention = UnitAttention(out // 2 if begins else out, out, heads=heads, places=places, pools=begins)
            yield Block(out // 2 if begins else out, out, attention)


def hiera(arch: architecture.Hiera, *, frames: int, activation: Activation) -> Hiera:
    """The Hiera that a record describes, for clips of `frames` frames."""
    return Hiera(arch, frames=frames)
