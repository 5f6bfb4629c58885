"""SlowFast: a slow pathway for what is there, a fast and thin one for what moves (arXiv:1812.03982)."""

from typing import ClassVar

from videohub.architectures import Count
from videohub.architectures.parts import AverageWindow, Depth, Head, LastStage, NonLocal, NonLocalResidual, block_counts


class SlowFast(NonLocalResidual, frozen=True, kw_only=True, tag="slowfast"):
    """Two pathways of one depth; the fast one sees `alpha` frames for each slow one and is `beta_inv` times thinner."""

    classifier: ClassVar[str] = "head.projection"

    depth: Depth
    width: Count = 64
    alpha: Count = 4
    beta_inv: Count = 8
    lateral_kernel: Count = 7  # frames
    res4_temporal: tuple[int, int] | None = None  # res4's first blocks that see several frames: slow, fast; null: all
    non_local: NonLocal | None = None
    res5: LastStage = LastStage()
    head: Head = AverageWindow()

    @property
    def temporal_blocks(self) -> tuple[int, int]:
        """How many of res4's blocks have a temporal kernel, in the slow and in the fast pathway."""
        return self.res4_temporal or (block_counts(self.depth)[2],) * 2

    @property
    def num_blocks(self) -> int:
        return 2 * super().num_blocks
