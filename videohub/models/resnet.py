"""One-pathway networks: C2D, I3D, Slow, each with or without non-local blocks, and the image ResNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from videohub.architectures.parts import block_counts
from videohub.architectures.resnet import ResNet
from videohub.models.heads import Activation, build_head
from videohub.models.stages import TemporalKernels, initialise, stages
from videohub.models.video_model import Boxes, VideoModel

# I3D's res5 starts with 1.
_TEMPORAL_KERNELS: Mapping[str, TemporalKernels] = {
    "c2d": (1, [1], [1], [1], [1]),
    "i3d": (5, [3], [3, 1], [3, 1], [1, 3]),
    "slow": (1, [1], [1], [3], [3]),
    "image": (1, [1], [1], [1], [1]),
}


class ResNet3d(VideoModel):
    """A ResNet over clips; what its blocks see of time is a matter of their temporal kernels."""

    def __init__(self, arch: ResNet, *, frames: int, activation: Activation) -> None:
        super().__init__()
        parts = stages(
            block_counts(arch.depth),
            width=arch.width,
            temporal_kernels=_TEMPORAL_KERNELS[arch.variant],
            res5=arch.res5,
            non_local=arch.non_local,
        )
        self.stem, self.res2 = parts["stem"], parts["res2"]
        self.fewest_frames = 2 if arch.pools_frames else 1
        self.temporal_pool = nn.MaxPool3d((2, 1, 1)) if arch.pools_frames else nn.Identity()
        self.res3, self.res4, self.res5 = parts["res3"], parts["res4"], parts["res5"]
        self.head = build_head(
            arch.head,
            [32 * arch.width],
            frames=frames // 2 if arch.pools_frames else frames,
            stride=16 * arch.res5.stride,
            num_classes=arch.num_classes,
            activation=activation,
        )
        initialise(self)

    @property
    def num_features(self) -> int:
        return self.head.projection.in_features

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits: (B, classes) for a clip (B, 3, T, H, W); (K, classes) with boxes where it detects."""
        return self.head([self.feature_map(clip)], boxes)

    def features(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return pooled features before the projection, (B, D), or (K, D) per box where it detects."""
        return self.head.features([self.feature_map(clip)], boxes)

    def feature_map(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the output of res5, (B, 32 width, T', H', W')."""
        if not isinstance(clip, Tensor):
            raise ValueError(f"clip: found a {type(clip).__name__}, expected one tensor (B, 3, T, H, W)")
        self.check_clip(clip)
        if clip.shape[2] < self.fewest_frames:
            raise ValueError(f"clip: found {clip.shape[2]} frames, expected at least {self.fewest_frames}")
        x = self.temporal_pool(self.res2(self.stem(clip)))
        return self.res5(self.res4(self.res3(x)))


def resnet(arch: ResNet, *, frames: int, activation: Activation) -> ResNet3d:
    """The one-pathway network that a record describes, for clips of `frames` frames."""
    return ResNet3d(arch, frames=frames, activation=activation)
