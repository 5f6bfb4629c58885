"""MViT: transformers whose tokens become fewer and wider from stage to stage (arXiv:2104.11227, arXiv:2112.01526)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from videohub.architectures import mvit as architecture
from videohub.models.heads import Activation
from videohub.models.multiscale_attention import MultiscaleAttention, Pooling, on_map
from videohub.models.transformer import (
    Embedding,
    Grid,
    Mlp,
    TokenHead,
    TokenModel,
    initialise,
    layer_norm,
    patch_grid,
    positions,
)


class Block(nn.Module):
    """Attention between pooled tokens, then an MLP on each, both beside a shortcut; either may make them wider."""

    def __init__(self, width: int, out: int, attention: MultiscaleAttention, *, widens_in_attention: bool) -> None:
        super().__init__()
        between = out if widens_in_attention else width
        self.widens_in_attention = widens_in_attention
        self.attention_norm = layer_norm(width)
        self.attention = attention
        self.mlp_norm = layer_norm(between)
        self.mlp = Mlp(between, 4 * between, out)
        self.widen = nn.Linear(width, out) if width != out else None
        stride = attention.pool_q.conv.stride if attention.pool_q else (1, 1, 1)
        kernel = tuple(size + 1 if size > 1 else 1 for size in stride)
        self.pool = nn.MaxPool3d(kernel, stride, tuple(size // 2 for size in kernel)) if max(stride) > 1 else None

    def forward(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """Return (B, N', out) and their grid for tokens (B, N, width) of a grid, which a class token may precede."""
        normed = self.attention_norm(tokens)
        gathered, pooled_grid = self.attention(normed, grid)
        shortcut = self.widen(normed) if self.widen and self.widens_in_attention else tokens
        if self.pool:
            shortcut, _ = on_map(self.pool, shortcut, grid)
        tokens = shortcut + gathered
        normed = self.mlp_norm(tokens)
        shortcut = self.widen(normed) if self.widen and not self.widens_in_attention else tokens
        return shortcut + self.mlp(normed), pooled_grid


class MViT(TokenModel):
    """Stages of blocks; the first block of each but the first pools its queries, and so makes tokens fewer."""

    def __init__(self, arch: architecture.MViT, *, frames: int) -> None:
        super().__init__()
        time = 1 if arch.image else 2
        grid = patch_grid(frames, arch.crop, (time, 4, 4), image=arch.image)
        added = None
        if arch.version == 1:
            added = positions(grid, arch.width, joint=arch.joint_positions, class_token=arch.class_token)
        self.embedding = overlapping_patches(
            arch.width, image=arch.image, class_token=arch.class_token, positions=added
        )
        self.blocks = nn.ModuleList(_blocks(arch, grid))
        self.head = TokenHead(
            8 * arch.width, readout=arch.read_out, class_token=arch.class_token, num_classes=arch.num_classes
        )
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        tokens, grid = self.embedding(self.checked(clip))
        for block in self.blocks:
            tokens, grid = block(tokens, grid)
        return tokens


def overlapping_patches(width: int, *, image: bool, class_token: bool, positions: nn.Module | None) -> Embedding:
    """Return an embedding of patches of 7 x 7 pixels, 4 apart, and in clips of 3 frames, 2 apart."""
    return Embedding(
        width,
        kernel=(1 if image else 3, 7, 7),
        stride=(1 if image else 2, 4, 4),
        padding=(0 if image else 1, 3, 3),
        class_token=class_token,
        positions=positions,
        image=image,
    )


def _blocks(arch: architecture.MViT, grid: Grid) -> Iterator[Block]:
    """Yield the blocks of all stages, for tokens that lie on a grid."""
    time, height, across = grid
    key_stride = 4 if arch.image else 8
    for stage, count in enumerate(arch.blocks):
        for number in range(count):
            narrows = stage > 0 and number == 0
            query_stride = 1 if not narrows or (stage == 3 and arch.last_stride == 1) else 2
            key_stride = max(key_stride // query_stride, 1)
            wide, heads = arch.width * 2**stage, arch.heads * 2**stage
            if arch.widens_in_attention:
                width, between, out = wide // 2 if narrows else wide, wide, wide
            else:
                width, between, out = wide, wide, 2 * wide if number == count - 1 and stage < 3 else wide
            most = [size // min(query_stride, key_stride) for size in (height, across)]
            attention = MultiscaleAttention(
                width,
                between,
                heads=heads,
                pool_q=_pooling(arch, query_stride) if arch.version == 2 or query_stride > 1 else None,
                pool_kv=_pooling(arch, key_stride),
                relative=(0 if arch.image else time, most[0], most[1]) if arch.version == 2 else None,
            )
            yield Block(width, out, attention, widens_in_attention=arch.widens_in_attention)
            height, across = height // query_stride, across // query_stride


def _pooling(arch: architecture.MViT, stride: int) -> Pooling | None:
    """Return how queries, or keys and values, are pooled by a stride over space; None where nothing would change."""
    if arch.kernel_by_stride:
        return Pooling((1, stride + 1, stride + 1), (1, stride, stride)) if stride > 1 else None
    return Pooling((1 if arch.image else 3, 3, 3), (1, stride, stride))


def mvit(arch: architecture.MViT, *, frames: int, activation: Activation) -> MViT:
    """The MViT that a record describes, whose positions are for clips of `frames` frames."""
    return MViT(arch, frames=frames)
