"""ViT over clips: patches as tokens, and blocks of one width (arXiv:2010.11929), as MAE and MaskFeat train it.

MAE for video: arXiv:2205.09113. MaskFeat: arXiv:2112.09133.
"""

from collections.abc import Iterable
from typing import ClassVar

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import VIT_SIZES, Readout, token_flaws


class ViT(Architecture, frozen=True, kw_only=True, tag="vit"):
    """Patches of 16 x 16 pixels and, in clips, 2 frames; a class token; positions that are learned."""

    classifier: ClassVar[str] = "head.projection"

    depth: Count
    width: Count
    heads: Count
    image: bool = False  # a network for single frames
    crop: Count = 224  # height and width of the inputs that the tables of positions are for
    joint_positions: bool = False  # one table for all positions, instead of one for places and one for times
    readout: Readout = "mean_then_norm"

    @property
    def size(self) -> str:
        return VIT_SIZES.get(self.width, str(self.depth))

    @property
    def num_blocks(self) -> int:
        return self.depth

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        yield from token_flaws(self.width, self.heads, self.crop, smallest_crop=16)
