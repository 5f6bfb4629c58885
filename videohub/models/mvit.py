"""MViT: transformers whose tokens become fewer and wider from stage to stage (arXiv:2104.11227).

Their attention pools queries, keys and values over the map that the tokens lie on. With positions as relations between
queries and keys it is that of version 2 (arXiv:2112.01526).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import mvit as architecture
from videohub.models.transformer import (
    Embedding,
    Grid,
    Mlp,
    TokenHead,
    TokenModel,
    initialise,
    layer_norm,
    patch_grid,
    positions,
)
from videohub.value_types import Activation


class Pooling(NamedTuple):
    """Kernel and stride of a pool along time, height and width."""

    kernel: Grid
    stride: Grid


class MultiscaleAttention(nn.Module):
    """Attention in several heads between pooled tokens, which may become wider; there are as many as pooled queries."""

    def __init__(
        self,
        width: int,
        out: int,
        *,
        heads: int,
        pool_q: Pooling | None,
        pool_kv: Pooling | None,
        bias: bool = True,
        relative: Grid | None = None,
    ) -> None:
        """Take `relative` for version 2: along each axis, how many queries or keys there are, whichever are more.

        Pools are shared by all heads; None: nothing is pooled. An axis of length 0 has no positions.
        """
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * out, bias=bias)
        self.pool_q = Pool(out // heads, pool_q) if pool_q else None
        self.pool_k = Pool(out // heads, pool_kv) if pool_kv else None
        self.pool_v = Pool(out // heads, pool_kv) if pool_kv else None
        self.relative = RelativePositions(out // heads, relative) if relative else None
        self.projection = nn.Linear(out, out)

    def forward(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """Return (B, N', out) and their grid for tokens (B, N, width) of a grid, which a class token may precede."""
        qkv = torch.unflatten(self.qkv(tokens), 2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D)
        q, q_grid = _pooled(self.pool_q, q, grid)
        k, k_grid = _pooled(self.pool_k, k, grid)
        v, _ = _pooled(self.pool_v, v, grid)
        if self.relative is None:
            gathered = F.scaled_dot_product_attention(q, k, v)
        else:
            gathered = F.scaled_dot_product_attention(q, k, v, attn_mask=self.relative(q, q_grid, k_grid))
            first = _placeless(q, q_grid)
            gathered = torch.cat([gathered[:, :, :first], gathered[:, :, first:] + q[:, :, first:]], dim=2)
        return self.projection(gathered.transpose(1, 2).flatten(2)), q_grid

    def pool_as_queries(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Return tokens (B, N', out) for tokens (B, N, out) of a grid, pooled as the queries of each head are."""
        of_heads = torch.unflatten(tokens, 2, (self.heads, -1)).transpose(1, 2)
        pooled, _ = _pooled(self.pool_q, of_heads, grid)
        return pooled.transpose(1, 2).flatten(2)


class Pool(nn.Module):
    """A convolution of each channel by itself, over the map of each head, then a norm. A class token is only normed."""

    def __init__(self, width: int, pooling: Pooling) -> None:
        super().__init__()
        time, height, across = pooling.kernel
        padding = (time // 2, height // 2, across // 2)
        self.conv = nn.Conv3d(width, width, pooling.kernel, pooling.stride, padding=padding, groups=width, bias=False)
        self.norm = layer_norm(width)

    def forward(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """Return pooled tokens (B, heads, N', D) and their grid for tokens (B, heads, N, D) of a grid."""
        pooled, grid = on_map(self.conv, tokens, grid)
        return self.norm(pooled), grid


class RelativePositions(nn.Module):
    """Vectors of distances along each axis: their products with a query are added to its affinities."""

    def __init__(self, width: int, lengths: Grid) -> None:
        super().__init__()
        self.time = _table(lengths[0], width) if lengths[0] else None
        self.height = _table(lengths[1], width)
        self.width = _table(lengths[2], width)

    def forward(self, queries: Tensor, q_grid: Grid, k_grid: Grid) -> Tensor:
        """Return what is added to affinities, (B, heads, N, K), for queries (B, heads, N, D); a class token gets 0."""
        first = _placeless(queries, q_grid)
        placed = torch.unflatten(queries[:, :, first:], 2, q_grid)
        height = torch.einsum("bnthwd,hkd->bnthwk", placed, _vectors(self.height, q_grid[1], k_grid[1]))
        width = torch.einsum("bnthwd,wkd->bnthwk", placed, _vectors(self.width, q_grid[2], k_grid[2]))
        added = height[..., None, :]  # (B, heads, q_t, q_h, q_w, k_t, k_h)
        if self.time is not None:
            time = torch.einsum("bnthwd,tkd->bnthwk", placed, _vectors(self.time, q_grid[0], k_grid[0]))
            added = added + time[..., :, None]
        added = added[..., :, None] + width[..., None, None, :]
        return F.pad(added.flatten(5).flatten(2, 4), (first, 0, first, 0))


class Block(nn.Module):
    """Attention between pooled tokens, then an MLP on each, both beside a shortcut; either may make them wider."""

    def __init__(self, width: int, out: int, attention: MultiscaleAttention, *, widens_in_attention: bool) -> None:
        super().__init__()
        between = out if widens_in_attention else width
        self.widens_in_attention = widens_in_attention
        self.attention_norm = layer_norm(width)
        self.attention = attention
        self.mlp_norm = layer_norm(between)
        self.mlp = Mlp(between, 4 * between, out)
        self.widen = nn.Linear(width, out) if width != out else None
        stride = attention.pool_q.conv.stride if attention.pool_q else (1, 1, 1)
        kernel = tuple(size + 1 if size > 1 else 1 for size in stride)
        self.pool = nn.MaxPool3d(kernel, stride, tuple(size // 2 for size in kernel)) if max(stride) > 1 else None

    def forward(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """Return (B, N', out) and their grid for tokens (B, N, width) of a grid, which a class token may precede."""
        normed = self.attention_norm(tokens)
        gathered, pooled_grid = self.attention(normed, grid)
        shortcut = self.widen(normed) if self.widen and self.widens_in_attention else tokens
        if self.pool:
            shortcut, _ = on_map(self.pool, shortcut, grid)
        tokens = shortcut + gathered
        normed = self.mlp_norm(tokens)
        shortcut = self.widen(normed) if self.widen and not self.widens_in_attention else tokens
        return shortcut + self.mlp(normed), pooled_grid


class MViT(TokenModel):
    """Stages of blocks; the first block of each but the first pools its queries, and so makes tokens fewer."""

    def __init__(self, arch: architecture.MViT, *, frames: int) -> None:
        super().__init__()
        time = 1 if arch.image else 2
        grid = patch_grid(frames, arch.crop, (time, 4, 4), image=arch.image)
        added = None
        if arch.version == 1:
            added = positions(grid, arch.width, joint=arch.joint_positions, class_token=arch.class_token)
        self.embedding = overlapping_patches(
            arch.width, image=arch.image, class_token=arch.class_token, positions=added
        )
        self.blocks = nn.ModuleList(_blocks(arch, grid))
        self.head = TokenHead(
            8 * arch.width, readout=arch.read_out, class_token=arch.class_token, num_classes=arch.num_classes
        )
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        tokens, grid = self.embedding(self.checked(clip))
        for block in self.blocks:
            tokens, grid = block(tokens, grid)
        return tokens


def overlapping_patches(width: int, *, image: bool, class_token: bool, positions: nn.Module | None) -> Embedding:
    """Return an embedding of patches of 7 x 7 pixels, 4 apart, and in clips of 3 frames, 2 apart."""
    return Embedding(
        width,
        kernel=(1 if image else 3, 7, 7),
        stride=(1 if image else 2, 4, 4),
        padding=(0 if image else 1, 3, 3),
        class_token=class_token,
        positions=positions,
        image=image,
    )


def _blocks(arch: architecture.MViT, grid: Grid) -> Iterator[Block]:
    """Yield the blocks of all stages, for tokens that lie on a grid."""
    time, height, across = grid
    key_stride = 4 if arch.image else 8
    for stage, count in enumerate(arch.blocks):
        for number in range(count):
            narrows = stage > 0 and number == 0
            query_stride = 1 if not narrows or (stage == 3 and arch.last_stride == 1) else 2
            key_stride = max(key_stride // query_stride, 1)
            wide, heads = arch.width * 2**stage, arch.heads * 2**stage
            if arch.widens_in_attention:
                width, between, out = wide // 2 if narrows else wide, wide, wide
            else:
                width, between, out = wide, wide, 2 * wide if number == count - 1 and stage < 3 else wide
            most = [size // min(query_stride, key_stride) for size in (height, across)]
            attention = MultiscaleAttention(
                width,
                between,
                heads=heads,
                pool_q=_pooling(arch, query_stride) if arch.version == 2 or query_stride > 1 else None,
                pool_kv=_pooling(arch, key_stride),
                relative=(0 if arch.image else time, most[0], most[1]) if arch.version == 2 else None,
            )
            yield Block(width, out, attention, widens_in_attention=arch.widens_in_attention)
            height, across = height // query_stride, across // query_stride


def _pooling(arch: architecture.MViT, stride: int) -> Pooling | None:
    """Return how queries, or keys and values, are pooled by a stride over space; None where nothing would change."""
    if arch.kernel_by_stride:
        return Pooling((1, stride + 1, stride + 1), (1, stride, stride)) if stride > 1 else None
    return Pooling((1 if arch.image else 3, 3, 3), (1, stride, stride))


def on_map(layer: nn.Module, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
    """Return what a layer over maps (B, C, T, H, W) makes of tokens (..., N, C) of a grid, and the grid of that.

    Tokens before those of the grid, such as a class token, stay as they are.
    """
    first = _placeless(tokens, grid)
    maps = torch.unflatten(tokens[..., first:, :].flatten(0, -3), 1, grid).movedim(-1, 1)
    # as tokens lie, which is also what convolutions of single channels are fast on: 92 ms for 295
    maps = layer(maps.contiguous(memory_format=torch.channels_last_3d))
    made = torch.unflatten(maps.flatten(2).transpose(1, 2), 0, tokens.shape[:-2])
    if first:
        made = torch.cat([tokens[..., :first, :], made], dim=-2)
    return made, (maps.shape[2], maps.shape[3], maps.shape[4])


def distances(queries: int, keys: int) -> Tensor:
    """Return which row of a table of distances each pair along an axis takes, (queries, keys) int64.

    Source: the original, in single precision and truncated: both axes are stretched to the finer of them.
    """
    stretch_q, stretch_k = max(keys / queries, 1.0), max(queries / keys, 1.0)
    at_q = torch.arange(queries, dtype=torch.float32)[:, None] * stretch_q
    at_k = torch.arange(keys, dtype=torch.float32)[None, :] * stretch_k
    return (at_q - at_k + (keys - 1) * stretch_k).to(torch.int64)


def _table(length: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(2 * length - 1, width))


def _vectors(table: Tensor, queries: int, keys: int) -> Tensor:
    """Return a table's vectors for all pairs along an axis, (queries, keys, D), interpolated to their number."""
    rows = 2 * max(queries, keys) - 1
    if len(table) != rows:
        table = F.interpolate(table.T[None], size=rows, mode="linear")[0].T
    return table[distances(queries, keys).to(table.device)]


def _pooled(pool: Pool | None, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
    return (tokens, grid) if pool is None else pool(tokens, grid)


def _placeless(tokens: Tensor, grid: Grid) -> int:
    """Return how many tokens stand before those of a grid: 1 where there is a class token."""
    return tokens.shape[-2] - math.prod(grid)


def mvit(arch: architecture.MViT, *, frames: int, activation: Activation) -> MViT:
    """The MViT that a record describes, whose positions are for clips of `frames` frames."""
    return MViT(arch, frames=frames)
