"""TSM: a ResNet of images that moves some channels from frame to frame (arXiv:1811.08383)."""

from __future__ import annotations

from videohub.architectures import tsm as architecture
from videohub.architectures.parts import LastStage, block_counts
from videohub.models.convolutions import ResidualNetwork, TemporalShift, initialise, stages
from videohub.models.video_model import ClassificationHead
from videohub.value_types import Activation


class TSM(ResidualNetwork):
    """A ResNet whose convolutions see single frames, and whose blocks shift channels in time first.

    They put out (B, 32 width, T, H / 32, W / 32), rounded up.

    Source: the authors' classifier sees each frame, and their mean is that of its logits; it is linear, and so it is
        given the mean of the frames' features.
    """

    def __init__(self, arch: architecture.TSM, *, activation: Activation) -> None:
        super().__init__()
        parts = stages(
            block_counts(arch.depth),
            width=arch.width,
            temporal_kernels=(1, [1], [1], [1], [1]),
            res5=LastStage(),
            non_local=arch.non_local,
        )
        self.stem = parts["stem"]
        self.res2, self.res3, self.res4, self.res5 = (parts[f"res{number}"] for number in range(2, 6))
        for stage in (self.res2, self.res3, self.res4, self.res5):
            for block in list(stage.children())[:: arch.every]:
                block.shift = TemporalShift(arch.share)
        self.head = ClassificationHead([32 * arch.width], num_classes=arch.num_classes, activation=activation)
        initialise(self)


def tsm(arch: architecture.TSM, *, frames: int, activation: Activation) -> TSM:
    """The network that a record describes; it takes clips of any length."""
    return TSM(arch, activation=activation)
