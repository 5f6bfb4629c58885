"""ViT over clips, in every form that architectures/vit.py names: plain, with the probe that V-JEPA reads its tokens out
with, and with what InternViT has in place of blocks and head (arXiv:2312.14238), as InternVideo2 takes it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import vit as architecture
from videohub.architectures.parts import RoiMax
from videohub.models.transformer import (
    Block,
    Embedding,
    Grid,
    Head,
    Mlp,
    ResizedSinusoidPositions,
    SinusoidPositions,
    TokenDetectionHead,
    TokenHead,
    TokenModel,
    gathered,
    gathered_by_one,
    initialise,
    layer_norm,
    patch_grid,
    positions,
    rotary_turns,
)
from videohub.models.video_model import Boxes, classifier
from videohub.value_types import Activation

_SCALE = 1e-5  # of InternViT's blocks when training begins, so that they hardly add anything


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


class InternViTBlock(nn.Module):
    """Attention between all tokens, then an MLP on each, both scaled channel by channel beside a shortcut."""

    def __init__(
        self, width: int, *, heads: int, hidden: int | None, gelu: Literal["exact", "tanh"], eps: float
    ) -> None:
        """Take `hidden` for the width between the MLP's layers; None: 4 x width."""
        super().__init__()
        self.attention_norm = RootMeanSquareNorm(width, eps=eps)
        self.attention = NormedAttention(width, heads=heads, eps=eps)
        self.attention_scale = nn.Parameter(torch.full((width,), _SCALE))
        self.mlp_norm = RootMeanSquareNorm(width, eps=eps)
        self.mlp = Mlp(width, hidden or 4 * width, width, gelu=gelu)
        self.mlp_scale = nn.Parameter(torch.full((width,), _SCALE))

    def forward(self, tokens: Tensor, turns: None = None) -> Tensor:
        tokens = tokens + self.attention_scale * self.attention(self.attention_norm(tokens))
        return tokens + self.mlp_scale * self.mlp(self.mlp_norm(tokens))


class PooledAttention(nn.Module):
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
        self.pooling = PooledAttention(width, heads=heads, out=out, eps=eps)
        self.norm = layer_norm(out, eps)
        self.projection = classifier(out, num_classes)

    def features(self, tokens: Tensor) -> Tensor:
        return self.norm(self.pooling(tokens))


class ProbeAttention(nn.Module):
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

    def __init__(self, width: int, arch: architecture.Probe, *, eps: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(width, heads=arch.heads, eps=eps) for _ in range(arch.blocks)))
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.attention_norm = layer_norm(width, eps)  # of the tokens
        self.attention = ProbeAttention(width, heads=arch.heads)
        self.mlp_norm = layer_norm(width, eps)
        self.mlp = Mlp(width, 4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the query has gathered, (B, width), of tokens (B, N, width)."""
        query = self.query + self.attention(self.query, self.attention_norm(self.blocks(tokens)))
        return (query + self.mlp(self.mlp_norm(query)))[:, 0]


class ProbeHead(Head):
    """Normalise all tokens, and read one vector out of them with a probe."""

    def __init__(
        self, width: int, arch: architecture.Probe, *, num_classes: int | None, eps: float, probe_eps: float
    ) -> None:
        """Take `eps` for the norm of the tokens, and `probe_eps` for those of the probe."""
        super().__init__()
        self.norm = layer_norm(width, eps)
        self.pooling = Probe(width, arch, eps=probe_eps)
        self.projection = classifier(width, num_classes)

    def features(self, tokens: Tensor) -> Tensor:
        return self.pooling(self.norm(tokens))


class ViT(TokenModel):
    """Patches as tokens, and blocks of one width."""

    tiled = True

    def __init__(self, arch: architecture.ViT, *, frames: int) -> None:
        super().__init__()
        patch = self.smallest = (1 if arch.image else arch.tubelet, arch.patch, arch.patch)
        self.own_size = (frames // arch.segments, arch.crop, arch.crop)
        if frames % arch.segments:
            raise ValueError(f"frames: found {frames}, expected a multiple of the segments, {arch.segments}")
        self.segment = frames // arch.segments if arch.segments > 1 else None
        grid = patch_grid(frames // arch.segments, arch.crop, patch, image=arch.image)
        self.embedding = Embedding(
            arch.width,
            kernel=patch,
            class_token=arch.class_token,
            positions=_positions(arch, grid),
            image=arch.image,
        )
        self.head_width = arch.width // arch.heads if arch.positions == "rotary" else None
        self.blocks = nn.ModuleList(_block(arch) for _ in range(arch.depth))
        self.levels = arch.levels or (arch.depth - 1,)
        self.head = self.made_head(arch)
        initialise(self)

    def made_head(self, arch: architecture.ViT) -> Any:
        """Return what reads out the tokens."""
        return _head(arch)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        return self._on_grid(clip)[0]

    def _on_grid(self, clip: Tensor | Sequence[Tensor]) -> tuple[Tensor, Grid]:
        """Return the tokens, and the grid that those of one segment and level lie on."""
        segments, of_clip = self._segments(self.checked(clip))
        tokens, grid = self.embedding(segments)
        turns = None if self.head_width is None else rotary_turns(grid, self.head_width, device=tokens.device)
        outputs = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, turns)
            if number in self.levels:
                outputs.append(tokens)
        tokens = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
        return tokens if of_clip == 1 else torch.unflatten(tokens, 0, (-1, of_clip)).flatten(1, 2), grid

    def _segments(self, clip: Tensor) -> tuple[Tensor, int]:
        """Return the segments of clips one after the other, (B x segments, 3, t, H, W), and how many a clip has.

        A clip that is not longer than a segment is one.
        Raises: ValueError for a clip of another number of frames.
        """
        frames = clip.shape[2]
        if self.segment is None or frames <= self.segment:
            return clip, 1
        if frames % self.segment:
            raise ValueError(
                f"clip: found {frames} frames, expected at most {self.segment} or a multiple of that: "
                "segments lie one after the other"
            )
        of_clip = frames // self.segment
        return torch.unflatten(clip, 2, (of_clip, self.segment)).transpose(1, 2).flatten(0, 1), of_clip


class ViTDetector(ViT):
    """One whose tokens are a map that boxes are cut out of."""

    tiled = False  # in frames of any size, of which the original leaves the rest out
    head: TokenDetectionHead  # type: ignore[assignment]  # it takes the map, and boxes

    def made_head(self, arch: architecture.ViT) -> TokenDetectionHead:
        how, eps = arch.roi_head, arch.readout_eps or arch.norm_eps
        assert how is not None, "else it classifies"
        return TokenDetectionHead(arch.width, how, stride=arch.patch, num_classes=arch.num_classes, eps=eps)

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits (K, classes) for the boxes of a clip (B, 3, T, H, W)."""
        return self.head([self.feature_map(clip)], boxes)

    def features(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return the features of each box before the projection, (K, D)."""
        return self.head.features([self.feature_map(clip)], boxes)

    def feature_map(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the normed tokens of a clip as a map, (B, width, T', H', W')."""
        return self.head.map_of(*self._on_grid(clip))


def _block(arch: architecture.ViT) -> nn.Module:
    if arch.block == "internvit":
        return InternViTBlock(arch.width, heads=arch.heads, hidden=arch.hidden, gelu=arch.gelu, eps=arch.norm_eps)
    return Block(
        arch.width,
        heads=arch.heads,
        hidden=arch.hidden,
        key_bias=arch.key_bias,
        gelu=arch.gelu,
        eps=arch.norm_eps,
    )


def _head(arch: architecture.ViT) -> Head:
    """Return what reads the tokens of a whole clip out."""
    eps = arch.readout_eps or arch.norm_eps
    assert not isinstance(arch.readout, RoiMax), "else it detects"
    if isinstance(arch.readout, architecture.Probe):
        return ProbeHead(arch.width, arch.readout, num_classes=arch.num_classes, eps=arch.norm_eps, probe_eps=eps)
    if isinstance(arch.readout, architecture.AttentionPool):
        return PooledHead(
            arch.width,
            heads=arch.readout.heads,
            out=arch.readout.out,
            num_classes=arch.num_classes,
            eps=eps,
        )
    return TokenHead(
        arch.width, readout=arch.readout, class_token=arch.class_token, num_classes=arch.num_classes, eps=eps
    )


def _positions(arch: architecture.ViT, grid: Grid) -> nn.Module | None:
    """Return what is added to the tokens of a grid for where they lie, None if nothing is."""
    if arch.positions == "rotary":
        return None
    if arch.positions == "sinusoid":
        return SinusoidPositions(grid, arch.width)
    if arch.positions == "sinusoid_resized":
        return ResizedSinusoidPositions(grid, arch.width)
    return positions(grid, arch.width, joint=arch.positions == "joint", class_token=arch.class_token)


def vit(arch: architecture.ViT, *, frames: int, activation: Activation) -> ViT:
    """The ViT that a record describes, whose positions are for clips of `frames` frames."""
    return (ViTDetector if arch.roi_head else ViT)(arch, frames=frames)
