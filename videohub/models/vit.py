"""ViT over clips, as MAE, MaskFeat, VideoMAE and ViViT train it; architectures/vit.py names the papers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from videohub.architectures import vit as architecture
from videohub.models.heads import Activation
from videohub.models.transformer import (
    Block,
    Embedding,
    Grid,
    SinusoidPositions,
    TokenHead,
    TokenModel,
    initialise,
    patch_grid,
    positions,
)


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
            positions=_positions(arch, grid),
            image=arch.image,
        )
        self.blocks = nn.Sequential(
            *(
                Block(
                    arch.width,
                    heads=arch.heads,
                    hidden=arch.hidden,
                    key_bias=arch.key_bias,
                    gelu=arch.gelu,
                    eps=arch.norm_eps,
                )
                for _ in range(arch.depth)
            )
        )
        self.head = TokenHead(
            arch.width,
            readout=arch.readout,
            class_token=arch.class_token,
            num_classes=arch.num_classes,
            eps=arch.readout_eps or arch.norm_eps,
        )
        initialise(self)

    def tokens(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        tokens, _ = self.embedding(self.checked(clip))
        return self.blocks(tokens)


def _positions(arch: architecture.ViT, grid: Grid) -> nn.Module:
    """Return what is added to the tokens of a grid for where they lie."""
    if arch.positions == "sinusoid":
        return SinusoidPositions(grid, arch.width)
    return positions(grid, arch.width, joint=arch.positions == "joint", class_token=arch.class_token)


def vit(arch: architecture.ViT, *, frames: int, activation: Activation) -> ViT:
    """The ViT that a record describes, whose positions are for clips of `frames` frames."""
    return ViT(arch, frames=frames)
