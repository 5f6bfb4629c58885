"""One-pathway networks: C2D, I3D, Slow, each with or without non-local blocks, and the image ResNet."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from videohub.architectures.parts import block_counts
from videohub.architectures.resnet import ResNet
from videohub.models.convolutions import ResidualNetwork, TemporalKernels, initialise, stages
from videohub.models.video_model import build_head
from videohub.value_types import Activation

# I3D's res5 starts with 1.
_TEMPORAL_KERNELS: Mapping[str, TemporalKernels] = {
    "c2d": (1, [1], [1], [1], [1]),
    "i3d": (5, [3], [3, 1], [3, 1], [1, 3]),
    "i3d_heavy": (5, [3], [3], [3], [3]),
    "slow": (1, [1], [1], [3], [3]),
    "image": (1, [1], [1], [1], [1]),
}


class ResNet3d(ResidualNetwork):
    """A ResNet over clips; what its blocks see of time is a matter of their temporal kernels."""

    def __init__(self, arch: ResNet, *, frames: int, activation: Activation) -> None:
        super().__init__()
        parts = stages(
            block_counts(arch.depth),
            width=arch.width,
            inner_width=arch.inner_width,
            groups=arch.groups,
            temporal_kernels=_TEMPORAL_KERNELS[arch.variant],
            res5=arch.res5,
            non_local=arch.non_local,
            stem=arch.stem,
        )
        self.stem, self.res2 = parts["stem"], parts["res2"]
        out_of_stem = 2 if arch.pools_frames else 1  # the convolution rounds up, pooling rounds down
        into_pool = arch.stem.pool_step * (out_of_stem - 1) + arch.stem.pool_frames
        self.smallest = (arch.stem.stride * (into_pool - 1) + 1, 1, 1)
        self.temporal_pool = nn.MaxPool3d((2, 1, 1)) if arch.pools_frames else nn.Identity()
        self.res3, self.res4, self.res5 = parts["res3"], parts["res4"], parts["res5"]
        self.head = build_head(
            arch.head,
            [32 * arch.width],
            frames=frames // arch.frames_to_one,
            stride=16 * arch.res5.stride,
            num_classes=arch.num_classes,
            activation=activation,
        )
        initialise(self)

    def feature_map(self, clip: Tensor) -> Tensor:
        """Return the output of res5, (B, 32 width, T', H', W')."""
        x = self.temporal_pool(self.res2(self.stem(clip)))
        return self.res5(self.res4(self.res3(x)))


def resnet(arch: ResNet, *, frames: int, activation: Activation) -> ResNet3d:
    """The one-pathway network that a record describes, for clips of `frames` frames."""
    return ResNet3d(arch, frames=frames, activation=activation)
