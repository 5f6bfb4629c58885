"""Video Swin: attention within windows of space and time that shift from block to block (arXiv:2106.13230)."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from videohub.architectures import Count
from videohub.architectures.parts import Blocks, Staged

_WIDTH: Mapping[str, int] = {"T": 96, "S": 96, "B": 128, "L": 192}


class Swin3D(Staged, frozen=True, kw_only=True, tag="swin3d"):
    """Four stages of blocks on tokens of 2x4x4 or 1x4x4 pixels; each halves the picture and doubles the channels."""

    SIZES: ClassVar[Mapping[str, Blocks]] = {
        "T": (2, 2, 6, 2), "S": (2, 2, 18, 2), "B": (2, 2, 18, 2), "L": (2, 2, 18, 2),
    }  # fmt: skip
    NEUTRAL: ClassVar[Mapping[str, Any]] = {"tubelet": 2}
    HEAD_WIDTH: ClassVar[int] = 32  # channels of an attention head, at every size

    depth: Literal["T", "S", "B", "L"] | Blocks
    width: Count | None = None  # of the first stage; null: as its depth has it
    tubelet: Literal[1, 2] = 2  # frames of a token; 1, with windows of 1: Swin of images (arXiv:2103.14030)
    window: tuple[Count, Count, Count] = (8, 7, 7)  # time, height, width, in tokens

    @property
    def channels(self) -> int:
        """How many channels the tokens of the first stage have."""
        return self.width or (_WIDTH[self.depth] if isinstance(self.depth, str) else self.HEAD_WIDTH)

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        if self.channels % self.HEAD_WIDTH:
            yield ("width",), f"is {self.channels}, expected a multiple of {self.HEAD_WIDTH}, the width of a head"
