"""The non-local block: every position of a clip looks at every other (arXiv:1711.07971)."""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
from torch import Tensor, nn


class NonLocalBlocks(TypedDict):
    """Which blocks of a pathway are followed by a non-local block, and how these relate positions."""

    after: dict[str, list[int]]  # stage -> block numbers
    affinity: Literal["softmax", "dot_product"]
    pool: tuple[int, int, int]  # kernel and stride of the pooling of keys and values: time, height, width


class NonLocal(nn.Module):
    """Add to each position what it gathers from all (pooled) positions, weighted by their affinity.

    `softmax` scales by 1/sqrt(inner width) and normalises; `dot_product` divides by the number of keys instead.
    """

    def __init__(self, width: int, *, affinity: Literal["softmax", "dot_product"], pool: tuple[int, int, int]) -> None:
        super().__init__()
        inner = width // 2
        self.affinity = affinity
        self.theta = nn.Conv3d(width, inner, 1)
        self.phi = nn.Conv3d(width, inner, 1)
        self.g = nn.Conv3d(width, inner, 1)
        self.out = nn.Conv3d(inner, width, 1)
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.pool = nn.MaxPool3d(tuple(pool), tuple(pool)) if max(pool) > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (B, C, T, H, W)."""
        pooled = self.pool(x)
        queries, keys, values = self.theta(x), self.phi(pooled).flatten(2), self.g(pooled).flatten(2)
        affinity = queries.flatten(2).transpose(1, 2) @ keys  # (B, positions, pooled positions)
        if self.affinity == "softmax":
            affinity = torch.softmax(affinity * keys.shape[1] ** -0.5, dim=2)
        else:
            affinity = affinity / keys.shape[2]
        gathered = (values @ affinity.transpose(1, 2)).reshape(queries.shape)
        return x + self.norm(self.out(gathered))
