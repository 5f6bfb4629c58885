"""Video Swin: attention within windows of space and time that shift from block to block (arXiv:2106.13230)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videohub.architectures import swin3d as architecture
from videohub.models.video_model import ClassificationHead, OnePathway
from videohub.value_types import Activation

Size: TypeAlias = Sequence[int]  # time, height, width, in tokens

_APART = -100.0  # added to the affinity of tokens that only the shift has made neighbours


class WindowAttention(nn.Module):
    """Attention of the tokens of a window to each other, with a learnt bias for each distance.

    A map that no windows fill is padded with zeros, and what stands there takes part. Along an axis that is no longer
    than a window, the window shrinks to it and does not shift.
    """

    def __init__(self, width: int, heads: int, window: Size, *, shifts: bool) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shifts = shifts
        self.qkv = nn.Linear(width, 3 * width)
        self.bias_table = nn.Parameter(torch.empty(math.prod(2 * length - 1 for length in window), heads))
        self.projection = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (B, T, H, W, C)."""
        sizes = x.shape[1:4]
        window = tuple(min(size, length) for size, length in zip(sizes, self.window, strict=True))
        shift = tuple(
            length // 2 if self.shifts and size > length else 0 for size, length in zip(sizes, self.window, strict=True)
        )
        x = padded(x, window)
        whole = x.shape[1:4]
        if any(shift):
            x = torch.roll(x, [-step for step in shift], dims=(1, 2, 3))
        windows = to_windows(self.qkv(x), window)  # (B, windows, tokens, 3 C)
        bias = self.bias(windows.shape[2])[None]
        if any(shift):
            bias = bias + shift_mask(whole, window, shift, like=bias)[:, None]
        x = from_windows(self.attend(windows, bias), whole, window)
        if any(shift):
            x = torch.roll(x, shift, dims=(1, 2, 3))
        time, height, width = sizes
        return self.projection(x[:, :time, :height, :width])

    def attend(self, windows: Tensor, bias: Tensor) -> Tensor:
        """Return what the tokens gather in their windows, (B, windows, tokens, C).

        Args:
            windows: Queries, keys and values, (B, windows, tokens, 3 C).
            bias: Of affinities, (windows or 1, heads, tokens, tokens).
        """
        batch, count, tokens, _ = windows.shape
        parts = windows.reshape(batch, count, tokens, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5)
        # one bias for all windows: they are a batch; one for each: they are as many heads
        shape = (batch * count, self.heads) if len(bias) == 1 else (batch, count * self.heads)
        queries, keys, values = (part.reshape(*shape, tokens, -1) for part in parts)
        gathered = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias.reshape(1, -1, tokens, tokens))
        return gathered.reshape(batch, count, self.heads, tokens, -1).transpose(2, 3).flatten(3)

    def bias(self, tokens: int) -> Tensor:
        """Return the bias of each pair of the first `tokens` positions of a whole window, (heads, tokens, tokens).

        Source: the original takes those also where the window has shrunk, although in a window of other sides they
            stand in other places.
        """
        _, height, width = self.window
        order = torch.arange(tokens, device=self.bias_table.device)
        row = order.new_zeros(tokens, tokens)
        axes = (order // (height * width), order // width % height, order % width)
        for axis, length in zip(axes, self.window, strict=True):
            row = row * (2 * length - 1) + axis[:, None] - axis + length - 1
        return self.bias_table[row].permute(2, 0, 1)


class Block(nn.Module):
    """Attention within windows, then a perceptron, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, window: Size, *, shifts: bool) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width, eps=1e-5)
        self.attention = WindowAttention(width, heads, window, shifts=shifts)
        self.norm_perceptron = nn.LayerNorm(width, eps=1e-5)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_attention(x))
        return x + self.perceptron(self.norm_perceptron(x))


class PatchEmbedding(nn.Module):
    """Make a token of each 4x4 pixels of one frame or of two; a clip that they do not fill is padded with zeros."""

    def __init__(self, width: int, tubelet: int) -> None:
        super().__init__()
        self.patch = (tubelet, 4, 4)
        self.conv = nn.Conv3d(3, width, self.patch, self.patch)
        self.norm = nn.LayerNorm(width, eps=1e-5)

    def forward(self, clip: Tensor) -> Tensor:
        """Return tokens (B, T / 1 or 2, H / 4, W / 4, C) of a clip (B, 3, T, H, W)."""
        filled = padded(clip.movedim(1, -1), self.patch).movedim(-1, 1)
        return self.norm(self.conv(filled).movedim(1, -1))


class PatchMerging(nn.Module):
    """Make one token, of twice the channels, of each 2x2 in space."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width, eps=1e-5)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens (B, T, H / 2, W / 2, 2 C) of (B, T, H, W, C); those of a square are joined column by column."""
        x = padded(x, (1, 2, 2))
        return self.reduction(self.norm(torch.cat([x[:, :, j::2, i::2] for i in (0, 1) for j in (0, 1)], dim=-1)))


class Stage(nn.Module):
    """Blocks, of which every other one shifts its windows; before them, but in the first stage, patches are merged."""

    def __init__(self, count: int, width: int, window: Size, *, merges: bool) -> None:
        super().__init__()
        heads = width // architecture.Swin3D.HEAD_WIDTH
        self.merging = PatchMerging(width // 2) if merges else nn.Identity()
        self.blocks = nn.Sequential(*(Block(width, heads, window, shifts=i % 2 == 1) for i in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.merging(x))


class Swin3D(OnePathway):
    """A patch embedding and four stages, each of which but the first halves the picture and doubles the channels."""

    def __init__(self, arch: architecture.Swin3D, *, activation: Activation) -> None:
        super().__init__()
        width = arch.channels
        one, two, three, four = arch.blocks
        self.embedding = PatchEmbedding(width, arch.tubelet)
        self.stage1 = Stage(one, width, arch.window, merges=False)
        self.stage2 = Stage(two, 2 * width, arch.window, merges=True)
        self.stage3 = Stage(three, 4 * width, arch.window, merges=True)
        self.stage4 = Stage(four, 8 * width, arch.window, merges=True)
        self.norm = nn.LayerNorm(8 * width, eps=1e-5)
        self.head = ClassificationHead([8 * width], num_classes=arch.num_classes, activation=activation)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, WindowAttention):
                nn.init.trunc_normal_(module.bias_table, std=0.02)

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return normalised tokens, (B, 8 width, T / 1 or 2, H / 32, W / 32), rounded up."""
        x = self.stage2(self.stage1(self.embedding(clip)))
        return self.norm(self.stage4(self.stage3(x))).movedim(-1, 1)


# --- windows ---------------------------------------------------------------------------------------------------------


def padded(x: Tensor, multiple: Size) -> Tensor:
    """Return (B, T, H, W, C) with zeros at the ends of time, height and width, up to multiples."""
    time, height, width = (-size % unit for size, unit in zip(x.shape[1:4], multiple, strict=True))
    return F.pad(x, (0, 0, 0, width, 0, height, 0, time)) if time or height or width else x


def to_windows(x: Tensor, window: Size) -> Tensor:
    """Return (B, windows, tokens, C) of (B, T, H, W, C), whose sides are multiples of the window's."""
    for axis, length in zip((1, 3, 5), window, strict=True):
        x = torch.unflatten(x, axis, (-1, length))
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(1, 3)


def from_windows(windows: Tensor, sizes: Size, window: Size) -> Tensor:
    """Return the (B, T, H, W, C) of these sizes that `to_windows` took apart."""
    counts = [size // length for size, length in zip(sizes, window, strict=True)]
    x = torch.unflatten(torch.unflatten(windows, 2, window), 1, counts)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)


def shift_mask(sizes: Size, window: Size, shift: Size, *, like: Tensor) -> Tensor:
    """Return what keeps tokens apart that stand together only since the map was rolled, (windows, tokens, tokens).

    The last window along an axis holds the end of the map, and behind it what the roll brought there from its start.
    """
    side = torch.zeros(1, *sizes, 1, device=like.device)
    for axis, (size, step) in enumerate(zip(sizes, shift, strict=True), start=1):
        rolled = torch.arange(size, device=like.device) >= size - step
        side = 2 * side + rolled.reshape([-1 if i == axis else 1 for i in range(5)])
    sides = to_windows(side, window)[0]  # (windows, tokens, 1)
    return (sides != sides.transpose(1, 2)).to(like.dtype) * _APART


def swin3d(arch: architecture.Swin3D, *, frames: int, activation: Activation) -> Swin3D:
    """Video Swin as a record describes it, for clips of any length."""
    return Swin3D(arch, activation=activation)
