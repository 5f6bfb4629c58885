"""One pathway: C2D, I3D (arXiv:1711.07971) and Slow (arXiv:1812.03982), with non-local blocks or not, and the image
network."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from videohub.architectures import Count
from videohub.architectures.parts import AverageWindow, Depth, Head, LastStage, NonLocal, NonLocalResidual, Stem


class ResNet(NonLocalResidual, frozen=True, kw_only=True, tag="resnet"):
    """A ResNet over clips; its variant says which convolutions see several frames.

    `c2d`: none; frames meet in the pooling after res2 and in the head. `i3d`: the stem, all of res2 and every other
    block after it. `i3d_heavy`: the stem and every block. `slow`: res4 and res5. `image`: none, in clips of one frame.
    """

    NEUTRAL: ClassVar[Mapping[str, Any]] = {
        "groups": 1, "group_width": None, "stem": Stem(stride=1, pool_frames=1, pool_padding=1),
    }  # fmt: skip

    variant: Literal["c2d", "i3d", "i3d_heavy", "slow", "image"]
    depth: Depth
    width: Count = 64
    groups: Literal[1, 32] = 1  # of a block's middle convolution; 32: ResNeXt (arXiv:1611.05431)
    group_width: Count | None = None  # channels of each group in res2; null: all groups together have the width
    stem: Stem = Stem()
    temporal_pool: bool | None = None  # pairs of frames become one after res2; null: in c2d and i3d
    non_local: NonLocal | None = None
    res5: LastStage = LastStage()
    head: Head = AverageWindow()

    @property
    def inner_width(self) -> int:
        """How many channels blocks of res2 have within."""
        return self.width if self.group_width is None else self.groups * self.group_width

    @property
    def pools_frames(self) -> bool:
        """Whether pairs of frames become one after res2."""
        return self.variant in ("c2d", "i3d", "i3d_heavy") if self.temporal_pool is None else self.temporal_pool

    @property
    def frames_to_one(self) -> int:
        """How many frames of a clip become one on the way to the head."""
        return self.stem.stride * self.stem.pool_step * (2 if self.pools_frames else 1)

    @property
    def arch(self) -> str:
        image = "resnet" if self.groups == 1 else "resnext"
        name = {"image": image, "i3d_heavy": "i3d"}.get(self.variant, self.variant)
        return f"{name}_nln" if self.non_local else name
