"""What InternViT has in place of a ViT's blocks and head, as InternVideo2 takes it over (arXiv:2312.14238)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.models.heads import classifier
from videohub.models.transformer import Head, Mlp, gathered, gathered_by_one, layer_norm

SCALE = 1e-5  # that training begins with, so that blocks hardly add anything


class RootMeanSquareNorm(nn.RMSNorm):
    """torch's, in the precision of what it is given."""

    def forward(self, tokens: Tensor) -> Tensor:
        return F.rms_norm(tokens, self.normalized_shape, self.weight.to(tokens.dtype), self.eps)


class NormedAttention(nn.Module):
    """Each token gathers from all of them; queries and keys are normed, over all heads at once, and have no bias."""

    def __init__(self, width: int, *, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = RootMeanSquareNorm(width, eps=eps)
        self.key_norm = RootMeanSquareNorm(width, eps=eps)
        self.projection = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, N, width) for tokens (B, N, width)."""
        q, k, v = self.qkv(tokens).chunk(3, dim=2)
        return self.projection(gathered(self.query_norm(q), self.key_norm(k), v, self.heads))


class Block(nn.Module):
    """Attention between all tokens, then an MLP on each, both scaled channel by channel beside a shortcut."""

    def __init__(
        self, width: int, *, heads: int, hidden: int | None, gelu: Literal["exact", "tanh"], eps: float
    ) -> None:
        """Take `hidden` for the width between the MLP's layers; None: 4 x width."""
        super().__init__()
        self.attention_norm = RootMeanSquareNorm(width, eps=eps)
        self.attention = NormedAttention(width, heads=heads, eps=eps)
        self.attention_scale = nn.Parameter(torch.full((width,), SCALE))
        self.mlp_norm = RootMeanSquareNorm(width, eps=eps)
        self.mlp = Mlp(width, hidden or 4 * width, width, gelu=gelu)
        self.mlp_scale = nn.Parameter(torch.full((width,), SCALE))

    def forward(self, tokens: Tensor, turns: None = None) -> Tensor:
        tokens = tokens + self.attention_scale * self.attention(self.attention_norm(tokens))
        return tokens + self.mlp_scale * self.mlp(self.mlp_norm(tokens))


class Pooling(nn.Module):
    """The mean of all tokens gathers from them, the class token among them; what it has gets another width."""

    def __init__(self, width: int, *, heads: int, out: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm, self.key_norm, self.value_norm = (layer_norm(width, eps) for _ in range(3))
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.projection = nn.Linear(width, out)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, out) for tokens (B, N, width)."""
        query = self.query(self.query_norm(tokens.mean(dim=1, keepdim=True)))
        key, value = self.key(self.key_norm(tokens)), self.value(self.value_norm(tokens))
        return self.projection(gathered_by_one(query, key, value, self.heads))[:, 0]


class PooledHead(Head):
    """Make one vector of all tokens by attention, and normalise it."""

    def __init__(self, width: int, *, heads: int, out: int, num_classes: int | None, eps: float) -> None:
        """Take `eps` for all norms here."""
        super().__init__()
        self.pooling = Pooling(width, heads=heads, out=out, eps=eps)
        self.norm = layer_norm(out, eps)
        self.projection = classifier(out, num_classes)

    def features(self, tokens: Tensor) -> Tensor:
        return self.norm(self.pooling(tokens))
