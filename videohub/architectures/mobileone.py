"""MobileOne (arXiv:2206.04040), which sees single frames, and TSM on it (arXiv:1811.08383)."""

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from videohub.architectures import Count
from videohub.architectures.parts import Blocks, Staged

FromZero: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class MobileOne(Staged, frozen=True, kw_only=True, tag="mobileone"):
    """Pairs of a convolution that looks at each channel and one that looks at each place, in four stages."""

    SIZES: ClassVar[Mapping[str, Blocks]] = {"S4": (2, 8, 10, 1)}

    depth: Literal["S4"] | Blocks = "S4"  # pairs of each stage
    widths: Blocks = (192, 448, 896, 2048)
    weighing: tuple[FromZero, FromZero, FromZero, FromZero] = (0, 0, 5, 1)  # of each stage's last pairs: weigh channels
    share: Count | None = None  # before each convolution, 1 / share of the channels comes from each of the two frames
    segment: Count | None = None  # frames that shift among each other; null: all of a clip

    @property
    def arch(self) -> str:
        return "tsm" if self.share else "mobileone"

    @property
    def size(self) -> str:
        return f"MobileOne-{super().size}"

    @property
    def num_blocks(self) -> int:
        return 2 * super().num_blocks

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        for number, (weigh, pairs) in enumerate(zip(self.weighing, self.blocks, strict=True), start=1):
            if weigh > pairs:
                yield ("weighing",), f"has {weigh} pairs in stage {number}, which has {pairs}"
        if self.segment and not self.share:
            yield ("segment",), "has frames to shift, and nothing shifts without a share"
