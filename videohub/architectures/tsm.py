"""TSM: a ResNet of images that moves some channels from frame to frame (arXiv:1811.08383)."""

from collections.abc import Iterable

from videohub.architectures import Count
from videohub.architectures.parts import Depth, NonLocal, Residual


class TSM(Residual, frozen=True, kw_only=True, tag="tsm"):
    """Before the first convolution of a block, some channels come from the frame after, as many from the one before."""

    depth: Depth
    width: Count = 64
    share: Count = 8  # 1 / share of the channels comes from each of the two frames
    every: Count = 1  # blocks: each, or from a stage's first on each second one
    non_local: NonLocal | None = None

    @property
    def arch(self) -> str:
        return "tsm_nln" if self.non_local else "tsm"

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        return self.non_local.flaws(self.depth) if self.non_local else ()
