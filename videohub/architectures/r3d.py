"""R3D, MC3 and R(2+1)D of basic blocks: three ways to look at time in one residual network (arXiv:1711.11248)."""

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import Blocks

BasicDepth: TypeAlias = Literal["R18"] | Blocks  # of basic blocks, which have two convolutions each

_BLOCKS: Mapping[str, Blocks] = {"R18": (2, 2, 2, 2)}


class R3D(Architecture, frozen=True, kw_only=True, tag="r3d"):
    """A ResNet of basic blocks over clips; its variant says what their convolutions are.

    `r3d`: 3x3x3, all of them. `mc3`: 3x3x3 in res2, 1x3x3 after it. `r2plus1d`: over space, then over time, with as
    many channels between them as give both as many weights as the 3x3x3 one.
    """

    classifier: ClassVar[str] = "head.projection"

    variant: Literal["r3d", "mc3", "r2plus1d"]
    depth: BasicDepth = "R18"
    width: Count = 64

    @property
    def arch(self) -> str:
        return self.variant

    @property
    def blocks(self) -> Blocks:
        """How many blocks res2 to res5 have."""
        return _BLOCKS[self.depth] if isinstance(self.depth, str) else self.depth

    @property
    def size(self) -> str:
        return self.depth if isinstance(self.depth, str) else f"R{2 * self.num_blocks + 2}"

    @property
    def num_blocks(self) -> int:
        return sum(self.blocks)
