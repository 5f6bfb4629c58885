"""UniFormerV2: CLIP's network for images on each frame, and one token that gathers from all (arXiv:2211.09552)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from videohub.architectures import uniformerv2 as architecture
from videohub.models.transformer import (
    Attention,
    Grid,
    JointPositions,
    Mlp,
    TokenHead,
    TokenModel,
    gathered_by_one,
    initialise,
    layer_norm,
)
from videohub.value_types import Activation

EPS = 1e-5  # of CLIP's norms


class FrameEmbedding(nn.Module):
    """Make tokens of each frame's patches, put a class token before them, add what all frames share, and normalise."""

    def __init__(self, arch: architecture.UniFormerV2) -> None:
        super().__init__()
        side = arch.crop // arch.patch
        time = 3 if arch.local else 1
        kernel, stride = (time, arch.patch, arch.patch), (2 if arch.local else 1, arch.patch, arch.patch)
        self.patches = nn.Conv3d(3, arch.width, kernel, stride, padding=(time // 2, 0, 0), bias=False)
        self.class_token = nn.Parameter(torch.zeros(1, 1, arch.width))
        self.positions = JointPositions((1, side, side), arch.width, class_token=True)
        self.norm = layer_norm(arch.width, eps=EPS)

    def forward(self, clip: Tensor) -> tuple[Tensor, Grid]:
        """Return tokens (B x T, 1 + H x W, width), and the grid that they lie on but for the class tokens."""
        patches = self.patches(clip)
        time, height, width = patches.shape[2:]
        tokens = patches.movedim(2, 1).flatten(0, 1).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return self.norm(tokens + self.positions((1, height, width))), (time, height, width)


class TimeMixing(nn.Module):
    """Mix each place of a frame with itself in the two frames beside, in fewer channels, beside a shortcut."""

    NORM_BEFORE: ClassVar[Mapping[str, str]] = {"squeeze": "norm"}

    def __init__(self, width: int) -> None:
        super().__init__()
        fewer = int(width / 1.5)
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.squeeze = nn.Conv3d(width, fewer, 1)
        self.mix = nn.Conv3d(fewer, fewer, (3, 1, 1), padding=(1, 0, 0), groups=fewer)
        self.widen = nn.Conv3d(fewer, width, 1)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Return tokens of the shape of those given, (B x T, 1 + H x W, width), of which class tokens stay."""
        maps = as_maps(tokens, grid)
        return torch.cat([tokens[:, :1], as_tokens(maps + self.widen(self.mix(self.squeeze(self.norm(maps)))))], dim=1)


class FrameBlock(nn.Module):
    """Attention between the tokens of each frame, then an MLP; before each, frames beside may be mixed in."""

    def __init__(self, width: int, *, heads: int, local: bool) -> None:
        super().__init__()
        self.before_attention = TimeMixing(width) if local else None
        self.attention_norm = layer_norm(width, eps=EPS)
        self.attention = Attention(width, heads=heads)
        self.before_mlp = TimeMixing(width) if local else None
        self.mlp_norm = layer_norm(width, eps=EPS)
        self.mlp = Mlp(width, 4 * width, width, gelu="quick")

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        if self.before_attention is not None:
            tokens = self.before_attention(tokens, grid)
        tokens = tokens + self.attention(self.attention_norm(tokens))
        if self.before_mlp is not None:
            tokens = self.before_mlp(tokens, grid)
        return tokens + self.mlp(self.mlp_norm(tokens))


class Gathering(nn.Module):
    """The video's token gathers from all tokens of all frames, which know where they stand; then an MLP."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv3d(width, width, 3, padding=1, groups=width)
        self.query_norm = layer_norm(width, eps=EPS)
        self.query = nn.Linear(width, width)
        self.token_norm = layer_norm(width, eps=EPS)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)
        self.mlp_norm = layer_norm(width, eps=EPS)
        self.mlp = Mlp(width, 4 * width, width, gelu="quick")

    def forward(self, token: Tensor, tokens: Tensor, grid: Grid) -> Tensor:
        """Return the video's token (B, 1, width) for what it was, and tokens (B x T, 1 + H x W, width) of frames."""
        maps = as_maps(tokens, grid)
        tokens = torch.cat([tokens[:, :1], as_tokens(maps + self.position(maps))], dim=1)
        tokens = self.token_norm(torch.unflatten(tokens, 0, (-1, grid[0])).flatten(1, 2))
        gathered = gathered_by_one(self.query(self.query_norm(token)), self.key(tokens), self.value(tokens), self.heads)
        token = token + self.projection(gathered)
        return token + self.mlp(self.mlp_norm(token))


class UniFormerV2(TokenModel):
    """Blocks on each frame; what the video's token gathers from the last, and the frames' class tokens, are weighed."""

    tiled = True

    def __init__(self, arch: architecture.UniFormerV2) -> None:
        super().__init__()
        self.smallest = (1, arch.patch, arch.patch)
        self.own_size = (1, arch.crop, arch.crop)
        self.embedding = FrameEmbedding(arch)
        self.blocks = nn.ModuleList(
            FrameBlock(arch.width, heads=arch.heads, local=arch.local) for _ in range(arch.depth)
        )
        self.video_token = nn.Parameter(torch.zeros(1, 1, arch.width))
        self.gatherings = nn.ModuleList(Gathering(arch.width, heads=arch.heads) for _ in range(arch.gathers))
        self.balance = nn.Parameter(torch.zeros(arch.width))  # of each channel, before a sigmoid
        self.head = TokenHead(
            arch.width, readout="class_token", class_token=True, num_classes=arch.num_classes, eps=EPS
        )
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the one token that the head reads, (B, 1, width)."""
        tokens, grid = self.embedding(self.checked(clip))
        token = self.video_token.repeat(tokens.shape[0] // grid[0], 1, 1)
        first = len(self.blocks) - len(self.gatherings)
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, grid)
            if number >= first:
                token = self.gatherings[number - first](token, tokens, grid)
        of_frames = torch.unflatten(tokens[:, :1], 0, (-1, grid[0])).mean(dim=1)
        share = self.balance.sigmoid()
        return (1 - share) * token + share * of_frames


def as_maps(tokens: Tensor, grid: Grid) -> Tensor:
    """Return tokens of frames (B x T, 1 + H x W, width) as maps (B, width, T, H, W), without class tokens."""
    return torch.unflatten(torch.unflatten(tokens[:, 1:], 1, grid[1:]), 0, (-1, grid[0])).movedim(-1, 1)


def as_tokens(maps: Tensor) -> Tensor:
    """Return maps (B, width, T, H, W) as tokens of frames, (B x T, H x W, width)."""
    return maps.movedim(1, -1).flatten(0, 1).flatten(1, 2)


def uniformerv2(arch: architecture.UniFormerV2, *, frames: int, activation: Activation) -> UniFormerV2:
    """UniFormerV2 as a record describes it, for clips of any length."""
    return UniFormerV2(arch)
