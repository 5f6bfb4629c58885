"""TimeSformer: attention along time, then within frames, or across both, or within frames alone (arXiv:2102.05095)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import timesformer as architecture
from videohub.models.transformer import (
    Attention,
    Block,
    Embedding,
    Grid,
    Mlp,
    TokenHead,
    TokenModel,
    initialise,
    layer_norm,
)
from videohub.value_types import Activation


class FramePositions(nn.Module):
    """A vector for each place of a frame, which all frames share, after the class token's; and one for each frame."""

    def __init__(self, grid: Grid, width: int, *, timed: bool = True) -> None:
        """Take `timed` for a vector for each frame."""
        super().__init__()
        self.grid = grid
        self.space = nn.Parameter(torch.zeros(1, 1 + grid[1] * grid[2], width))
        self.time = nn.Parameter(torch.zeros(1, grid[0], width)) if timed else None

    def forward(self, grid: Grid) -> Tensor:
        """Return (1, N, width) for a grid, class token first, then time outermost.

        Source: the original: vectors of another size are those of the nearest place, and of the nearest time.
        """
        class_token, space = self.space[:, :1], self.space[:, 1:]
        time: Tensor | None = self.time
        if grid[1:] != self.grid[1:]:
            lying = torch.unflatten(space, 1, self.grid[1:]).movedim(-1, 1)
            space = F.interpolate(lying, size=grid[1:], mode="nearest").flatten(2).transpose(1, 2)
        if time is None:
            return torch.cat([class_token, space.repeat(1, grid[0], 1)], dim=1)
        if grid[0] != self.grid[0]:
            time = F.interpolate(time.transpose(1, 2), size=grid[0], mode="nearest").transpose(1, 2)
        return torch.cat([class_token, (time[:, :, None] + space[:, None]).flatten(1, 2)], dim=1)


class DividedBlock(nn.Module):
    """Each place looks along time, then each frame looks at itself; then an MLP. All are beside a shortcut.

    The class token takes no part in the first, and is seen by every frame in the second: it goes on as the mean of what
    those make of it.
    """

    def __init__(self, width: int, *, heads: int, eps: float) -> None:
        super().__init__()
        self.time_norm = layer_norm(width, eps)
        self.time_attention = Attention(width, heads=heads)
        self.time_projection = nn.Linear(width, width)  # a second one
        self.attention_norm = layer_norm(width, eps)
        self.attention = Attention(width, heads=heads)
        self.mlp_norm = layer_norm(width, eps)
        self.mlp = Mlp(width, 4 * width, width)

    def forward(self, tokens: Tensor, frames: int) -> Tensor:
        """Return tokens (B, 1 + places x frames, width), class token first, time innermost, for such tokens."""
        class_token, placed = tokens[:, :1], tokens[:, 1:]
        placed = placed + self._along_time(placed, frames)
        of_class, of_places = self._within_frames(class_token, placed, frames)
        tokens = torch.cat([class_token + of_class, placed + of_places], dim=1)
        return tokens + self.mlp(self.mlp_norm(tokens))

    def _along_time(self, placed: Tensor, frames: int) -> Tensor:
        """Return what each place gathers from itself at other times, of the shape of all tokens that have a place."""
        places = torch.unflatten(placed, 1, (-1, frames)).flatten(0, 1)
        return self.time_projection(self.time_attention(self.time_norm(places))).reshape(placed.shape)

    def _within_frames(self, class_token: Tensor, placed: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Return what the class token gathers, in the mean over frames, and what each place does from its frame."""
        by_frame = torch.unflatten(placed, 1, (-1, frames)).transpose(1, 2)  # (B, frames, places, width)
        seen = torch.cat([class_token[:, None].expand(-1, frames, -1, -1), by_frame], dim=2)
        gathered = self.attention(self.attention_norm(seen.flatten(0, 1))).reshape(seen.shape)
        return gathered[:, :, 0].mean(dim=1, keepdim=True), gathered[:, :, 1:].transpose(1, 2).flatten(1, 2)


class TimeSformer(TokenModel):
    """Patches of single frames as tokens, and blocks of one width that read them along time and within frames."""

    smallest = (1, architecture.TimeSformer.PATCH, architecture.TimeSformer.PATCH)
    tiled = True

    def __init__(self, arch: architecture.TimeSformer, *, frames: int) -> None:
        super().__init__()
        self.own_size = (frames, arch.crop, arch.crop)
        across = arch.crop // arch.PATCH
        self.embedding = Embedding(
            arch.width,
            kernel=self.smallest,
            class_token=True,
            positions=FramePositions((frames, across, across), arch.width, timed=arch.attention != "space"),
        )
        self.attention = arch.attention
        block = DividedBlock if self.attention == "divided" else Block
        self.blocks = nn.ModuleList(block(arch.width, heads=arch.heads, eps=arch.norm_eps) for _ in range(arch.depth))
        self.head = TokenHead(
            arch.width, readout="class_token", class_token=True, num_classes=arch.num_classes, eps=arch.norm_eps
        )
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        tokens, (frames, height, width) = self.embedding(self.checked(clip))
        by_frame = torch.unflatten(tokens[:, 1:], 1, (frames, height * width))
        if self.attention == "space":
            tokens = torch.cat([tokens[:, None, :1].expand(-1, frames, -1, -1), by_frame], dim=2).flatten(0, 1)
        else:
            tokens = torch.cat([tokens[:, :1], by_frame.transpose(1, 2).flatten(1, 2)], dim=1)  # time innermost
        for block in self.blocks:
            tokens = block(tokens, frames) if self.attention == "divided" else block(tokens)
        return torch.unflatten(tokens, 0, (-1, frames)).mean(dim=1) if self.attention == "space" else tokens


def timesformer(arch: architecture.TimeSformer, *, frames: int, activation: Activation) -> TimeSformer:
    """The TimeSformer that a record describes, whose positions are for clips of `frames` frames."""
    return TimeSformer(arch, frames=frames)
