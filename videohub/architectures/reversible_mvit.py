"""Reversible MViT and ViT: two streams of tokens, each computed from the other (Mangalam et al., CVPR 2022)."""

from collections.abc import Iterable
from typing import Literal

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import VIT_SIZES, token_flaws


class ReversibleMViT(Architecture, frozen=True, kw_only=True, tag="reversible_mvit"):
    """Blocks of two streams, from which a block's inputs follow; stages begin where both become one.

    Each stage but the first doubles width and heads, and halves the map's height and width. There is no class token.
    """

    blocks: tuple[Count, ...]  # of each stage; one stage: nothing becomes fewer or wider
    width: Count = 96
    heads: Count = 1
    image: bool = False  # a network for single frames
    crop: Count = 224  # height and width of the inputs that the tables of positions are for
    patch: Literal[4, 16] = 4  # 4: kernels of 7 that overlap, and pooled keys; 16: side by side, and nothing is pooled
    qkv_bias: bool = True
    fusion: Literal["mean", "mlp"] = "mean"  # how both streams become one before a stage
    joint_positions: bool = False  # one table for all positions, instead of one for places and one for times

    @property
    def arch(self) -> str:
        return "rev_mvit" if self.patch == 4 else "rev_vit"

    @property
    def size(self) -> str:
        return "B" if self.blocks == (1, 2, 11, 2) else VIT_SIZES.get(self.width, str(sum(self.blocks)))

    @property
    def num_blocks(self) -> int:
        return sum(self.blocks)

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        yield from token_flaws(self.width, self.heads, self.crop, smallest_crop=self.patch * 2 ** len(self.blocks[1:]))
        if not self.blocks:
            yield ("blocks",), "is empty, expected the number of blocks of each stage"
        if self.patch == 16 and len(self.blocks) > 1:
            yield ("blocks",), f"names {len(self.blocks)} stages, expected one where nothing is pooled (patch: 16)"
