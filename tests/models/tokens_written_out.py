"""Transformers written out over PySlowFast's own keys: an implementation beside ours, by the original's order of steps.

What a layer is, its tensors tell; what they do not tell, such as strides, the caller says as PySlowFast's configs do.
It gives the logits of the golden cases of MViT, ViT and reversible networks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int, int]
Readout = Literal["class_token", "mean", "mean_then_norm", "mean_alone"]


def reversible(file: Mapping[str, np.ndarray], clip: Tensor, *, heads: int, key_stride: int) -> Tensor:
    """Return logits (B, classes) of a reversible network for clips (B, 3, T, H, W) of the training crop.

    Args:
        file: Tensors by the keys of PySlowFast.
        heads: Of the first layer; each transition doubles them.
        key_stride: Of the pools of keys and values in the first layer; each transition halves it.
    """
    net = _Layers(file)
    tokens, grid = net.embedded(clip)
    one, two = tokens, tokens
    for number in range(net.count("rev_backbone.layers.")):
        layer = f"rev_backbone.layers.{number}"
        if f"{layer}.F.attn.pool_q.weight" in net.file:  # it has a pool of queries: a transition
            heads, key_stride = 2 * heads, max(key_stride // 2, 1)
            one, grid = _transition(net, layer, one, two, grid, heads, key_stride)
            two = one
        else:
            gathered, _ = net.attention(f"{layer}.F.attn", net.norm(f"{layer}.F.norm", two), grid, heads, 1, key_stride)
            one = one + gathered
            two = two + net.mlp(f"{layer}.G.mlp", net.norm(f"{layer}.G.norm", one))
    return net.linear("head.projection", net.norm("norm", torch.cat([one, two], dim=2)).mean(dim=1))


def _transition(
    net: _Layers, layer: str, one: Tensor, two: Tensor, grid: Grid, heads: int, key_stride: int
) -> tuple[Tensor, Grid]:
    fused = f"{layer}.pre_q_fuse.fuse_fn"
    if f"{fused}.fc1.weight" in net.file:  # concat_linear: what an MLP makes of both is added to both
        tokens = torch.cat([one, two], dim=2)
        tokens = net.mlp(fused, tokens) + tokens
    else:
        tokens = (one + two) / 2
    kept = net.linear(f"{layer}.res_proj", tokens) if f"{layer}.res_proj.weight" in net.file else tokens
    gathered, made = net.attention(f"{layer}.F.attn", net.norm(f"{layer}.F.norm", tokens), grid, heads, 2, key_stride)
    kept, _ = net.pooled(f"{layer}.F.attn", "q", _split(kept, heads), grid, 2)
    tokens = _joined(kept) + gathered
    return tokens + net.mlp(f"{layer}.G.mlp", net.norm(f"{layer}.G.norm", tokens)), made


def blocks(
    file: Mapping[str, np.ndarray],
    clip: Tensor,
    *,
    heads: int,
    readout: Readout,
    key_stride: int = 1,
    narrows: Collection[int] = (),
    widens: Collection[int] = (),
) -> Tensor:
    """Return logits (B, classes) of MViT or ViT, or features without a classifier, for clips of the training crop.

    Args:
        file: Tensors by the keys of PySlowFast.
        heads: Of the first block; each of `widens` doubles them (HEAD_MUL).
        readout: What becomes of the last tokens.
        key_stride: Of the first block's pools of keys and values, which narrowing halves (POOL_KV_STRIDE_ADAPTIVE).
        narrows: Blocks whose pools of queries have stride 2 (POOL_Q_STRIDE).
    """
    net = _Layers(file)
    tokens, grid = net.embedded(clip)
    for number in range(net.count("blocks.")):
        block, stride = f"blocks.{number}", 2 if number in narrows else 1
        heads, key_stride = heads * (2 if number in widens else 1), max(key_stride // stride, 1)
        normed = net.norm(f"{block}.norm1", tokens)
        gathered, made = net.attention(f"{block}.attn", normed, grid, heads, stride, key_stride)
        widened = net.file.get(f"{block}.proj.weight")
        in_attention = widened is not None and len(widened) == len(net.file[f"{block}.norm2.weight"])
        if in_attention:
            tokens = net.linear(f"{block}.proj", normed)
        tokens = net.narrowed(tokens, grid, stride) + gathered
        normed = net.norm(f"{block}.norm2", tokens)
        if widened is not None and not in_attention:
            tokens = net.linear(f"{block}.proj", normed)
        tokens, grid = tokens + net.mlp(f"{block}.mlp", normed), made
    if readout == "class_token":
        features = net.norm("norm", tokens)[:, 0]
    elif readout == "mean":
        features = net.norm("norm", tokens)[:, net.first :].mean(dim=1)
    else:
        features = tokens[:, net.first :].mean(dim=1)
        features = net.norm("norm", features) if readout == "mean_then_norm" else features
    return net.linear("head.projection", features) if "head.projection.weight" in net.file else features


class _Layers:
    def __init__(self, file: Mapping[str, np.ndarray]) -> None:
        self.file = {key: torch.from_numpy(np.asarray(array)) for key, array in file.items()}
        self.first = int("cls_token" in file)  # of the tokens that have a place

    def count(self, beginning: str) -> int:
        """Return how many layers there are whose keys begin so, each with its number next."""
        return 1 + max(int(key.removeprefix(beginning).split(".")[0]) for key in self.file if key.startswith(beginning))

    def embedded(self, clip: Tensor) -> tuple[Tensor, Grid]:
        kernels = self.file["patch_embed.proj.weight"]
        if kernels.ndim == 4:  # of an image network
            kernels = kernels[:, :, None]
        size = kernels.shape[2:]
        overlapping = size[1] == 7
        stride = (2 if size[0] > 1 else 1, 4 if overlapping else size[1], 4 if overlapping else size[2])
        padding = [length // 2 if overlapping else 0 for length in size]
        maps = F.conv3d(clip, kernels, self.file["patch_embed.proj.bias"], stride, padding)
        time, height, width = maps.shape[2:]
        tokens = maps.flatten(2).transpose(1, 2)
        if self.first:
            tokens = torch.cat([self.file["cls_token"].expand(len(clip), -1, -1), tokens], dim=1)
        if "pos_embed" in self.file:
            tokens = tokens + self.file["pos_embed"]
        elif "pos_embed_spatial" in self.file:
            space, times = self.file["pos_embed_spatial"], self.file["pos_embed_temporal"]
            places = space.repeat(1, time, 1) + times.repeat_interleave(height * width, dim=1)
            tokens = tokens + torch.cat([self.file["pos_embed_class"], places] if self.first else [places], dim=1)
        return tokens, (time, height, width)

    def attention(
        self, name: str, normed: Tensor, grid: Grid, heads: int, query_stride: int, key_stride: int
    ) -> tuple[Tensor, Grid]:
        if f"{name}.qkv.weight" in self.file:
            q, k, v = self.linear(f"{name}.qkv", normed).chunk(3, dim=2)
        else:
            q, k, v = (self.linear(f"{name}.{part}", normed) for part in "qkv")
        q, q_grid = self.pooled(name, "q", _split(q, heads), grid, query_stride)
        k, k_grid = self.pooled(name, "k", _split(k, heads), grid, key_stride)
        v, _ = self.pooled(name, "v", _split(v, heads), grid, key_stride)
        affinities = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
        relative = f"{name}.rel_pos_h" in self.file
        if relative:
            self.add_relations(name, affinities, q, q_grid, k_grid)
        gathered = affinities.softmax(dim=3) @ v
        if relative:  # version 2 adds the pooled queries, but that of the class token
            gathered[:, :, self.first :] += q[:, :, self.first :]
        return self.linear(f"{name}.proj", _joined(gathered)), q_grid

    def add_relations(self, name: str, affinities: Tensor, q: Tensor, q_grid: Grid, k_grid: Grid) -> None:
        """Add to affinities (B, heads, Q, K) the products of queries with the rows of their distances to keys."""
        first = self.first
        placed = q[:, :, first:].reshape(*q.shape[:2], *q_grid, q.shape[3])
        added = torch.zeros(*q.shape[:2], *q_grid, *k_grid)
        if f"{name}.rel_pos_t" in self.file:
            rows = self.rows(f"{name}.rel_pos_t", q_grid[0], k_grid[0])
            added += torch.einsum("bnthwd,tkd->bnthwk", placed, rows)[..., :, None, None]
        rows = self.rows(f"{name}.rel_pos_h", q_grid[1], k_grid[1])
        added += torch.einsum("bnthwd,hkd->bnthwk", placed, rows)[..., None, :, None]
        rows = self.rows(f"{name}.rel_pos_w", q_grid[2], k_grid[2])
        added += torch.einsum("bnthwd,wkd->bnthwk", placed, rows)[..., None, None, :]
        affinities[:, :, first:, first:] += added.reshape(*q.shape[:2], math.prod(q_grid), math.prod(k_grid))

    def rows(self, name: str, queries: int, keys: int) -> Tensor:
        """Return the row of a table for each pair along an axis, (queries, keys, D)."""
        table, length = self.file[name], 2 * max(queries, keys) - 1
        if len(table) != length:
            table = F.interpolate(table.T[None], size=length, mode="linear")[0].T
        stretch_q, stretch_k = max(keys / queries, 1.0), max(queries / keys, 1.0)
        distance = torch.arange(queries)[:, None] * stretch_q - torch.arange(keys)[None, :] * stretch_k
        distance += (keys - 1) * stretch_k
        return table[distance.long()]

    def pooled(self, attention: str, part: str, tokens: Tensor, grid: Grid, stride: int) -> tuple[Tensor, Grid]:
        """Return tokens (B, heads, N, D), pooled head by head where there are kernels; a class token is only normed."""
        kernels = self.file.get(f"{attention}.pool_{part}.weight")
        if kernels is None:
            return tokens, grid
        batch, heads, _, depth = tokens.shape
        maps = tokens[:, :, self.first :].reshape(batch * heads, *grid, depth).permute(0, 4, 1, 2, 3)
        padding = [length // 2 for length in kernels.shape[2:]]
        maps = F.conv3d(maps, kernels, None, (1, stride, stride), padding, groups=depth)
        made = maps.flatten(2).transpose(1, 2).reshape(batch, heads, -1, depth)
        made = torch.cat([tokens[:, :, : self.first], made], dim=2)
        return self.norm(f"{attention}.norm_{part}", made), (maps.shape[2], maps.shape[3], maps.shape[4])

    def narrowed(self, tokens: Tensor, grid: Grid, stride: int) -> Tensor:
        """Return tokens (B, N, C) with the maxima of squares in place of those of a grid."""
        if stride == 1:
            return tokens
        maps = tokens[:, self.first :].transpose(1, 2).reshape(len(tokens), -1, *grid)
        maps = F.max_pool3d(maps, (1, 3, 3), (1, stride, stride), (0, 1, 1))
        return torch.cat([tokens[:, : self.first], maps.flatten(2).transpose(1, 2)], dim=1)

    def mlp(self, name: str, tokens: Tensor) -> Tensor:
        return self.linear(f"{name}.fc2", F.gelu(self.linear(f"{name}.fc1", tokens)))

    def linear(self, name: str, tokens: Tensor) -> Tensor:
        return F.linear(tokens, self.file[f"{name}.weight"], self.file.get(f"{name}.bias"))

    def norm(self, name: str, tokens: Tensor) -> Tensor:
        scale, shift = self.file[f"{name}.weight"], self.file[f"{name}.bias"]
        return F.layer_norm(tokens, tokens.shape[-1:], scale, shift, 1e-6)


def _split(tokens: Tensor, heads: int) -> Tensor:
    batch, count, width = tokens.shape
    return tokens.reshape(batch, count, heads, width // heads).transpose(1, 2)


def _joined(tokens: Tensor) -> Tensor:
    return tokens.transpose(1, 2).flatten(2)
