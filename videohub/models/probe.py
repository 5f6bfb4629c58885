"""A probe that V-JEPA reads its tokens out with: one learned query, which gathers from all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures.vit import Probe as Architecture
from videohub.models.transformer import Block, Mlp, layer_norm


class Gathering(nn.Module):
    """A query gathers from tokens, weighted by affinity, in several heads; nothing projects what it has."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """Return (B, 1, width) for a query (1, 1, width) and tokens (B, N, width)."""
        q = torch.unflatten(self.q(query), 2, (self.heads, -1)).transpose(1, 2).expand(tokens.shape[0], -1, -1, -1)
        kv = torch.unflatten(self.kv(tokens), 2, (2, self.heads, -1))
        k, v = kv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Probe(nn.Module):
    """Blocks on all tokens, and one that a learned query gathers in; the query itself is not normalised."""

    def __init__(self, width: int, arch: Architecture, *, eps: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(width, heads=arch.heads, eps=eps) for _ in range(arch.blocks)))
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.attention_norm = layer_norm(width, eps)  # of the tokens
        self.attention = Gathering(width, heads=arch.heads)
        self.mlp_norm = layer_norm(width, eps)
        self.mlp = Mlp(width, 4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the query has gathered, (B, width), of tokens (B, N, width)."""
        gathered = self.query + self.attention(self.query, self.attention_norm(self.blocks(tokens)))
        return (gathered + self.mlp(self.mlp_norm(gathered)))[:, 0]
