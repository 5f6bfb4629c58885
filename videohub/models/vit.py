"""ViT over clips, as MAE, MaskFeat, VideoMAE and ViViT train it; architectures/vit.py names the papers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from videohub.architectures import vit as architecture
from videohub.models.heads import Activation
from videohub.models.transformer import (
    Attention,
    Embedding,
    Mlp,
    SinusoidPositions,
    TokenHead,
    TokenModel,
    initialise,
    layer_norm,
    patch_grid,
    positions,
)


class Block(nn.Module):
    """Attention between tokens, then an MLP on each, both beside a shortcut."""

    def __init__(self, arch: architecture.ViT) -> None:
        super().__init__()
        width = arch.width
        self.attention_norm = layer_norm(width)
        self.attention = Attention(width, heads=arch.heads, key_bias=arch.key_bias)
        self.mlp_norm = layer_norm(width)
        self.mlp = Mlp(width, arch.hidden or 4 * width, width, gelu=arch.gelu)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.mlp(self.mlp_norm(tokens))


class ViT(TokenModel):
    """Patches as tokens, and blocks of one width."""

    def __init__(self, arch: architecture.ViT, *, frames: int) -> None:
        super().__init__()
        patch = self.smallest = (1 if arch.image else 2, arch.patch, arch.patch)
        grid = patch_grid(frames, arch.crop, patch)
        self.embedding = Embedding(
            arch.width,
            kernel=patch,
            stride=patch,
            padding=(0, 0, 0),
            class_token=arch.class_token,
            positions=SinusoidPositions(grid, arch.width)
            if arch.sinusoids
            else positions(grid, arch.width, joint=arch.joint_positions, class_token=arch.class_token),
        )
        self.blocks = nn.Sequential(*(Block(arch) for _ in range(arch.depth)))
        self.head = TokenHead(
            arch.width, readout=arch.readout, class_token=arch.class_token, num_classes=arch.num_classes
        )
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        tokens, _ = self.embedding(self.checked(clip))
        return self.blocks(tokens)


def vit(arch: architecture.ViT, *, frames: int, activation: Activation) -> ViT:
    """The ViT that a record describes, whose positions are for clips of `frames` frames."""
    return ViT(arch, frames=frames)
