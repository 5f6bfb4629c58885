"""A probe that V-JEPA reads its tokens out with: one learned query, which gathers from all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videohub.architectures.vit import Probe as Architecture
from videohub.models.heads import classifier
from videohub.models.transformer import Block, Head, Mlp, gathered_by_one, layer_norm


class Gathering(nn.Module):
    """A query gathers from tokens, weighted by affinity, in several heads; nothing projects what it has."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """Return (B, 1, width) for a query (1, 1, width) and tokens (B, N, width)."""
        k, v = self.kv(tokens).chunk(2, dim=2)
        return gathered_by_one(self.q(query).expand(tokens.shape[0], -1, -1), k, v, self.heads)


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
        query = self.query + self.attention(self.query, self.attention_norm(self.blocks(tokens)))
        return (query + self.mlp(self.mlp_norm(query)))[:, 0]


class ProbeHead(Head):
    """Normalise all tokens, and read one vector out of them with a probe."""

    def __init__(
        self, width: int, arch: Architecture, *, num_classes: int | None, eps: float, probe_eps: float
    ) -> None:
        """Take `eps` for the norm of the tokens, and `probe_eps` for those of the probe."""
        super().__init__()
        self.norm = layer_norm(width, eps)
        self.pooling = Probe(width, arch, eps=probe_eps)
        self.projection = classifier(width, num_classes)

    def features(self, tokens: Tensor) -> Tensor:
        return self.pooling(self.norm(tokens))
