"""SlowFast: a slow pathway for what is there, a fast and thin one for what moves (arXiv:1812.03982)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from videohub.architectures import Count
from videohub.architectures.parts import AverageWindow, Depth, Head, LastStage, NonLocal, NonLocalResidual, block_counts


class SlowFast(NonLocalResidual, frozen=True, kw_only=True, tag="slowfast"):
    """Two pathways; the fast one sees `alpha` frames for each slow one and is `beta_inv` times thinner."""

    NEUTRAL: ClassVar[Mapping[str, Any]] = {"fast_depth": None, "slow_frames": "spread", "lateral_norm": True}

    depth: Depth
    fast_depth: Depth | None = None  # of the fast pathway; null: that of the slow one
    width: Count = 64
    alpha: Count = 4
    beta_inv: Count = 8
    slow_frames: Literal["spread", "strided"] = "spread"  # from the clip's first frame to its last, or alpha apart
    lateral_kernel: Count = 7  # frames
    lateral_norm: bool = True  # a batch norm and ReLU after each lateral convolution
    res4_temporal: tuple[int, int] | None = None  # res4's first blocks that see several frames: slow, fast; null: all
    non_local: NonLocal | None = None
    res5: LastStage = LastStage()
    head: Head = AverageWindow()

    @property
    def temporal_blocks(self) -> tuple[int, int]:
        """How many of res4's blocks have a temporal kernel, in the slow and in the fast pathway."""
        return self.res4_temporal or (block_counts(self.depth)[2], block_counts(self.fast_depth or self.depth)[2])

    @property
    def num_blocks(self) -> int:
        return super().num_blocks + sum(block_counts(self.fast_depth or self.depth))
