"""Hiera: plain blocks in four stages, whose tokens attend within units of a mask at first (arXiv:2306.00989)."""

from collections.abc import Iterable
from typing import ClassVar

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import Blocks, token_flaws

_SIZES = {((2, 3, 16, 3), 96): "B", ((2, 3, 16, 3), 112): "B+", ((2, 6, 36, 4), 144): "L", ((2, 6, 36, 4), 256): "H"}


class Hiera(Architecture, frozen=True, kw_only=True, tag="hiera"):
    """Each stage but the first doubles width and heads, and keeps the largest of each 2 x 2 tokens."""

    UNIT: ClassVar[int] = 32  # pixels: height and width of what a mask hides at once, 8 x 8 tokens

    blocks: Blocks
    width: Count  # of the first stage
    heads: Count
    crop: Count = 224  # height and width of the only inputs that it takes

    @property
    def size(self) -> str:
        return _SIZES.get((self.blocks, self.width), str(sum(self.blocks)))

    @property
    def num_blocks(self) -> int:
        return sum(self.blocks)

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        yield from token_flaws(self.width, self.heads, self.crop, smallest_crop=self.UNIT)
        if self.crop % self.UNIT:
            yield ("crop",), f"is {self.crop} pixels, expected a multiple of {self.UNIT}"
