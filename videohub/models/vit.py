"""ViT over clips, as MAE and MaskFeat train it (arXiv:2010.11929, arXiv:2205.09113, arXiv:2112.09133)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from videohub.architectures import vit as architecture
from videohub.models.heads import Activation
from videohub.models.transformer import (
    Attention,
    Embedding,
    Mlp,
    TokenHead,
    TokenModel,
    initialise,
    layer_norm,
    patch_grid,
    positions,
)


class Block(nn.Module):
    """Attention between tokens, then an MLP on each, both beside a shortcut."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.attention_norm = layer_norm(width)
        self.attention = Attention(width, heads=heads)
        self.mlp_norm = layer_norm(width)
        self.mlp = Mlp(width, 4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.mlp(self.mlp_norm(tokens))


class ViT(TokenModel):
    """Patches as tokens, and blocks of one width."""

    def __init__(self, arch: architecture.ViT, *, frames: int) -> None:
        super().__init__()
        patch = self.smallest = (1 if arch.image else 2, 16, 16)
        self.embedding = Embedding(
            arch.width,
            kernel=patch,
            stride=patch,
            padding=(0, 0, 0),
            class_token=True,
            positions=positions(
                patch_grid(frames, arch.crop, patch), arch.width, joint=arch.joint_positions, class_token=True
            ),
        )
        self.blocks = nn.Sequential(*(Block(arch.width, heads=arch.heads) for _ in range(arch.depth)))
        self.head = TokenHead(arch.width, readout=arch.readout, class_token=True, num_classes=arch.num_classes)
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        tokens, _ = self.embedding(self.checked(clip))
        return self.blocks(tokens)


def vit(arch: architecture.ViT, *, frames: int, activation: Activation) -> ViT:
    """The ViT that a record describes, whose positions are for clips of `frames` frames."""
    return ViT(arch, frames=frames)
