"""UniFormer: convolutions among neighbours in two stages, attention among all tokens in two more (arXiv:2201.04676)."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

from videohub.architectures import Count
from videohub.architectures.parts import Blocks, Eps, Staged


class UniFormer(Staged, frozen=True, kw_only=True, tag="uniformer"):
    """Tokens of 2x4x4 pixels, which each later stage halves along height and width."""

    SIZES: ClassVar[Mapping[str, Blocks]] = {"S": (3, 4, 8, 3), "B": (5, 8, 20, 7)}

    depth: Literal["S", "B"] | Blocks
    widths: tuple[Count, Count, Count, Count] = (64, 128, 320, 512)  # channels of each stage
    head_width: Count = 64  # channels of an attention head
    norm_eps: Eps = 1e-6  # of the norms in the blocks of the last two

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        for width in self.widths[2:]:
            if width % self.head_width:
                yield ("widths",), f"has {width}, expected a multiple of {self.head_width}, the width of a head"
