"""ViT over clips, in every form that architectures/vit.py names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from videohub.architectures import vit as architecture
from videohub.architectures.parts import RoiMax
from videohub.models import internvit
from videohub.models.heads import Activation
from videohub.models.probe import ProbeHead
from videohub.models.transformer import (
    Block,
    Embedding,
    Grid,
    Head,
    JointPositions,
    ResizedSinusoidPositions,
    SinusoidPositions,
    TokenDetectionHead,
    TokenHead,
    TokenModel,
    initialise,
    patch_grid,
    positions,
    rotary_turns,
)
from videohub.models.video_model import Boxes


class ViT(TokenModel):
    """Patches as tokens, and blocks of one width."""

    def __init__(self, arch: architecture.ViT, *, frames: int) -> None:
        super().__init__()
        patch = self.smallest = (1 if arch.image else arch.tubelet, arch.patch, arch.patch)
        if frames % arch.segments:
            raise ValueError(f"frames: found {frames}, expected a multiple of the segments, {arch.segments}")
        self.segment = frames // arch.segments if arch.segments > 1 else None
        grid = patch_grid(frames // arch.segments, arch.crop, patch, image=arch.image)
        self.embedding = Embedding(
            arch.width,
            kernel=patch,
            stride=patch,
            padding=(0, 0, 0),
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
        found = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, turns)
            if number in self.levels:
                found.append(tokens)
        tokens = found[0] if len(found) == 1 else torch.cat(found, dim=1)
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
        return internvit.Block(arch.width, heads=arch.heads, hidden=arch.hidden, gelu=arch.gelu, eps=arch.norm_eps)
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
        return internvit.PooledHead(
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
    if arch.positions == "joint_first":
        return JointPositions(grid, arch.width, class_token=arch.class_token, first=True)
    return positions(grid, arch.width, joint=arch.positions == "joint", class_token=arch.class_token)


def vit(arch: architecture.ViT, *, frames: int, activation: Activation) -> ViT:
    """The ViT that a record describes, whose positions are for clips of `frames` frames."""
    return (ViTDetector if arch.roi_head else ViT)(arch, frames=frames)
