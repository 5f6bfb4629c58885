"""One-pathway networks: C2D, I3D, Slow, each with or without non-local blocks, and the image ResNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from videohub.models.heads import WINDOW_7, Activation, Head, build_head
from videohub.models.non_local import NonLocalBlocks
from videohub.models.stages import HALVE, Blocks, LastStage, TemporalKernels, initialise, stages
from videohub.models.video_model import Boxes, VideoModel


class ResNet3d(VideoModel):
    """A ResNet over clips; what its blocks see of time is a matter of their temporal kernels."""

    def __init__(
        self,
        blocks: Blocks,
        *,
        width: int,
        temporal_kernels: TemporalKernels,
        temporal_pool: bool,
        non_local: NonLocalBlocks | None,
        res5: LastStage,
        head: Head,
        num_classes: int,
        frames: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        parts = stages(blocks, width=width, temporal_kernels=temporal_kernels, res5=res5, non_local=non_local)
        self.stem, self.res2 = parts["stem"], parts["res2"]
        self.fewest_frames = 2 if temporal_pool else 1
        self.temporal_pool = nn.MaxPool3d((2, 1, 1)) if temporal_pool else nn.Identity()
        self.res3, self.res4, self.res5 = parts["res3"], parts["res4"], parts["res5"]
        self.head = build_head(
            head,
            [32 * width],
            frames=frames // 2 if temporal_pool else frames,
            stride=16 * res5["stride"],
            num_classes=num_classes,
            activation=activation,
        )
        initialise(self)

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


def c2d(
    *,
    blocks: Blocks = "R50",
    width: int = 64,
    temporal_pool: bool = True,
    non_local: NonLocalBlocks | None = None,
    head: Head = WINDOW_7,
    num_classes: int = 400,
    frames: int = 8,
    activation: Activation = "softmax",
) -> ResNet3d:
    """C2D: every convolution sees one frame; frames meet in a max-pool after res2 (if any) and in the head."""
    return ResNet3d(
        blocks,
        width=width,
        temporal_kernels=(1, [1], [1], [1], [1]),
        temporal_pool=temporal_pool,
        non_local=non_local,
        res5=HALVE,
        head=head,
        num_classes=num_classes,
        frames=frames,
        activation=activation,
    )


def i3d(
    *,
    blocks: Blocks = "R50",
    width: int = 64,
    non_local: NonLocalBlocks | None = None,
    head: Head = WINDOW_7,
    num_classes: int = 400,
    frames: int = 8,
    activation: Activation = "softmax",
) -> ResNet3d:
    """I3D: temporal kernels in the stem, in all of res2 and in every other block after it; res5 starts with 1."""
    return ResNet3d(
        blocks,
        width=width,
        temporal_kernels=(5, [3], [3, 1], [3, 1], [1, 3]),
        temporal_pool=True,
        non_local=non_local,
        res5=HALVE,
        head=head,
        num_classes=num_classes,
        frames=frames,
        activation=activation,
    )


def slow(
    *,
    blocks: Blocks = "R50",
    width: int = 64,
    non_local: NonLocalBlocks | None = None,
    res5: LastStage = HALVE,
    head: Head = WINDOW_7,
    num_classes: int = 400,
    frames: int = 4,
    activation: Activation = "softmax",
) -> ResNet3d:
    """Slow: temporal kernels in res4 and res5 alone."""
    return ResNet3d(
        blocks,
        width=width,
        temporal_kernels=(1, [1], [1], [3], [3]),
        temporal_pool=False,
        non_local=non_local,
        res5=res5,
        head=head,
        num_classes=num_classes,
        frames=frames,
        activation=activation,
    )


def resnet2d(
    *,
    blocks: Blocks = "R50",
    width: int = 64,
    head: Head = WINDOW_7,
    num_classes: int = 1000,
    frames: int = 1,
    activation: Activation = "softmax",
) -> ResNet3d:
    """The image ResNet, as a network over clips of one frame (B, 3, 1, H, W)."""
    return c2d(
        blocks=blocks,
        width=width,
        temporal_pool=False,
        head=head,
        num_classes=num_classes,
        frames=frames,
        activation=activation,
    )
