"""R3D, MC3 and R(2+1)D: three ways to look at time in one residual network (arXiv:1711.11248)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from videohub.architectures import Count
from videohub.architectures.parts import Average, AverageAll, Blocks, Eps, Staged

BasicDepth: TypeAlias = Literal["R18", "R34"] | Blocks  # names are those of basic blocks, of two convolutions each


class R3D(Staged, frozen=True, kw_only=True, tag="r3d"):
    """A ResNet over clips; its variant says what the convolutions of its blocks are.

    `r3d`: 3x3x3, all of them. `mc3`: 3x3x3 in res2, 1x3x3 after it. `r2plus1d`: over space, then over time, with as
    many channels between them as give both as many weights as the 3x3x3 one. In a bottleneck that is the middle one.
    """

    SIZES: ClassVar[Mapping[str, Blocks]] = {"R18": (2, 2, 2, 2), "R34": (3, 4, 6, 3)}
    NEUTRAL: ClassVar[Mapping[str, Any]] = {
        "bottleneck": False, "middle": "block", "stem_middle": 45, "stem_pool": False, "separate_shortcuts": False,
        "eps": 1e-5, "middle_eps": None, "head": AverageAll(),
    }  # fmt: skip

    variant: Literal["r3d", "mc3", "r2plus1d"]
    depth: BasicDepth = "R18"
    width: Count = 64
    bottleneck: bool = False  # blocks of three convolutions, which put out four times their width
    middle: Literal["block", "convolution"] = "block"  # what counts the channels between separate ones: once a block
    stem_middle: Count = 45  # channels between separate convolutions of the stem; by the formula there would be 83
    stem_pool: bool = False  # whether pooling halves the picture a second time, after the stem
    separate_shortcuts: bool = False  # whether a shortcut's convolution is two as well, where the others are
    eps: Eps = 1e-5  # of all batch norms
    middle_eps: Eps | None = None  # of those between separate convolutions; null: as of all others
    head: Average = AverageAll()

    @property
    def arch(self) -> str:
        return self.variant

    @property
    def size(self) -> str:
        if isinstance(self.depth, str):
            return self.depth
        return f"R{(3 if self.bottleneck else 2) * self.num_blocks + 2}"
