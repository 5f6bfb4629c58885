"""X3D: a small image network that is expanded, one axis after the other, into one for video (arXiv:2004.04730)."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

import msgspec

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import Average, AverageWindow, rounded_width

Factor: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=100)]

_BLOCKS = (1, 2, 5, 3)  # of res2 to res5, before depth is expanded


class X3D(Architecture, frozen=True, kw_only=True, tag="x3d"):
    """Residual stages whose middle convolutions are depthwise, expanded by factors; XS, S and M differ in their clips.

    Frames, their rate and the size of crops are axes as well; they are those of the clips that the network is given.
    """

    size: Literal["XS", "S", "M", "L", "XL"]  # as tables print it; it decides nothing
    width_factor: Factor = 2.0
    depth_factor: Factor = 2.2
    bottleneck_factor: Factor = 2.25  # inner width of a block / its width
    stem_width: Count = 12  # before it is expanded
    head_width: Count = 2048
    first_shortcut_norm: bool = True  # a batch norm where res2's shortcut changes the stride alone
    head: Average = AverageWindow()

    @property
    def widths(self) -> tuple[int, int, int, int, int]:
        """Channels of the stem and of res2 to res5: 24, 24, 48, 96, 192 by default.

        Source: the original doubles the stem's width from stage to stage in multiples of 8, and expands each.
        """
        res2 = self.stem_width
        res3 = rounded_width(2 * res2, 8)
        res4 = rounded_width(2 * res3, 8)
        res5 = rounded_width(2 * res4, 8)
        two, three, four, five = (rounded_width(width * self.width_factor, 1) for width in (res2, res3, res4, res5))
        return two, two, three, four, five

    @property
    def block_counts(self) -> tuple[int, int, int, int]:
        """Blocks of res2 to res5: 3, 5, 11, 7 by default."""
        two, three, four, five = (math.ceil(self.depth_factor * count) for count in _BLOCKS)
        return two, three, four, five

    def inner_width(self, width: int) -> int:
        """Return how many channels the depthwise convolution of a block of `width` channels has."""
        return int(self.bottleneck_factor * width)

    @staticmethod
    def squeezed_width(inner: int) -> int:
        """Return how many numbers squeeze-and-excitation looks at for `inner` channels: a sixteenth of them."""
        return rounded_width(inner / 16, 8)

    @property
    def num_blocks(self) -> int:
        return sum(self.block_counts)

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        if min(self.inner_width(width) for width in self.widths) < 1:
            yield ("bottleneck_factor",), f"leaves no channel of {min(self.widths)}"
