"""Reversible MViT and ViT written out over PySlowFast's own keys: an implementation beside ours, in double precision.

Of the paper and the original's keys alone: what a layer is, its tensors tell. It equals the golden cases of its family,
none of which joins streams by an MLP.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int, int]


def logits(file: Mapping[str, np.ndarray], clip: Tensor, *, heads: int, key_stride: int) -> Tensor:
    """Return logits (B, classes) for clips (B, 3, T, H, W) of the training crop.

    Args:
        file: Tensors by the keys of PySlowFast.
        heads: Of the first layer; each transition doubles them.
        key_stride: Of the pools of keys and values in the first layer; each transition halves it.
    """
    return _Network({key: torch.from_numpy(array).double() for key, array in file.items()}).logits(
        clip.double(), heads, key_stride
    )


class _Network:
    def __init__(self, file: Mapping[str, Tensor]) -> None:
        self.file = file
        self.layers = 1 + max(int(key.split(".")[2]) for key in file if key.startswith("rev_backbone.layers."))

    def logits(self, clip: Tensor, heads: int, key_stride: int) -> Tensor:
        tokens, grid = self.embedded(clip)
        one, two = tokens, tokens
        for number in range(self.layers):
            layer = f"rev_backbone.layers.{number}"
            if f"{layer}.F.attn.pool_q.weight" in self.file:  # it has a pool of queries: a transition
                heads, key_stride = 2 * heads, max(key_stride // 2, 1)
                one, grid = self.transition(layer, one, two, grid, heads, key_stride)
                two = one
            else:
                one = one + self.attention(f"{layer}.F", two, grid, heads, key_stride)[0]
                two = two + self.mlp(f"{layer}.G.mlp", self.norm(f"{layer}.G.norm", one))
        both = self.norm("norm", torch.cat([one, two], dim=2))
        return self.linear("head.projection", both.mean(dim=1))

    def embedded(self, clip: Tensor) -> tuple[Tensor, Grid]:
        kernels = self.file["patch_embed.proj.weight"]
        if kernels.ndim == 4:  # of an image network
            kernels = kernels[:, :, None]
        size = kernels.shape[2:]
        overlapping = size[1] == 7
        stride = (2 if size[0] > 1 else 1, 4 if overlapping else size[1], 4 if overlapping else size[2])
        padding = [length // 2 if overlapping else 0 for length in size]
        maps = F.conv3d(clip, kernels, self.file["patch_embed.proj.bias"], stride, padding)
        grid = tuple(maps.shape[2:])
        if "pos_embed" in self.file:
            places = self.file["pos_embed"]
        else:  # a row for each place, and one for each time
            space, time = self.file["pos_embed_spatial"], self.file["pos_embed_temporal"]
            places = (time[:, :, None] + space[:, None]).flatten(1, 2)
        return maps.flatten(2).transpose(1, 2) + places, grid

    def transition(
        self, layer: str, one: Tensor, two: Tensor, grid: Grid, heads: int, key_stride: int
    ) -> tuple[Tensor, Grid]:
        fused = f"{layer}.pre_q_fuse.fuse_fn"
        if f"{fused}.fc1.weight" in self.file:  # concat_linear: what an MLP makes of both is added to both
            tokens = torch.cat([one, two], dim=2)
            tokens = self.mlp(fused, tokens) + tokens
        else:
            tokens = (one + two) / 2
        kept = self.linear(f"{layer}.res_proj", tokens) if f"{layer}.res_proj.weight" in self.file else tokens
        gathered, pooled_grid = self.attention(f"{layer}.F", tokens, grid, heads, key_stride)
        kept, _ = self.pooled(f"{layer}.F.attn", "q", self.split(kept, heads), grid, 2)
        tokens = self.joined(kept) + gathered
        return tokens + self.mlp(f"{layer}.G.mlp", self.norm(f"{layer}.G.norm", tokens)), pooled_grid

    def attention(self, part: str, tokens: Tensor, grid: Grid, heads: int, key_stride: int) -> tuple[Tensor, Grid]:
        normed = self.norm(f"{part}.norm", tokens)
        if f"{part}.attn.qkv.weight" in self.file:
            q, k, v = self.linear(f"{part}.attn.qkv", normed).chunk(3, dim=2)
        else:
            q, k, v = (self.linear(f"{part}.attn.{name}", normed) for name in "qkv")
        q, q_grid = self.pooled(f"{part}.attn", "q", self.split(q, heads), grid, 2)
        k, _ = self.pooled(f"{part}.attn", "k", self.split(k, heads), grid, key_stride)
        v, _ = self.pooled(f"{part}.attn", "v", self.split(v, heads), grid, key_stride)
        affinities = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[3])
        gathered = torch.einsum("bhqk,bhkd->bhqd", affinities.softmax(dim=3), v)
        return self.linear(f"{part}.attn.proj", self.joined(gathered)), q_grid

    def pooled(self, attention: str, name: str, tokens: Tensor, grid: Grid, stride: int) -> tuple[Tensor, Grid]:
        """Return tokens (B, heads, N, D), pooled head by head where there are kernels."""
        kernels = self.file.get(f"{attention}.pool_{name}.weight")
        if kernels is None:
            return tokens, grid
        batch, heads, _, depth = tokens.shape
        maps = tokens.reshape(batch * heads, *grid, depth).permute(0, 4, 1, 2, 3)
        padding = [length // 2 for length in kernels.shape[2:]]
        maps = F.conv3d(maps, kernels, None, (1, stride, stride), padding, groups=depth)
        pooled = maps.flatten(2).transpose(1, 2).reshape(batch, heads, -1, depth)
        return self.norm(f"{attention}.norm_{name}", pooled), tuple(maps.shape[2:])

    def mlp(self, name: str, tokens: Tensor) -> Tensor:
        return self.linear(f"{name}.fc2", F.gelu(self.linear(f"{name}.fc1", tokens)))

    def linear(self, name: str, tokens: Tensor) -> Tensor:
        return F.linear(tokens, self.file[f"{name}.weight"], self.file.get(f"{name}.bias"))

    def norm(self, name: str, tokens: Tensor) -> Tensor:
        return F.layer_norm(tokens, tokens.shape[-1:], self.file[f"{name}.weight"], self.file[f"{name}.bias"], 1e-6)

    @staticmethod
    def split(tokens: Tensor, heads: int) -> Tensor:
        batch, count, width = tokens.shape
        return tokens.reshape(batch, count, heads, width // heads).transpose(1, 2)

    @staticmethod
    def joined(tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2).flatten(2)
