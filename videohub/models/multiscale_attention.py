"""Attention whose queries, keys and values are pooled over the map that their tokens lie on (arXiv:2104.11227).

With positions as relations between queries and keys it is that of version 2 (arXiv:2112.01526).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.models.transformer import Grid, layer_norm


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
        q, k, v = torch.unflatten(self.qkv(tokens), 2, (3, self.heads, -1)).permute(
            2, 0, 3, 1, 4
        )  # each (B, heads, N, D)
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
