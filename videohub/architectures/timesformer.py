"""TimeSformer: attention along time, then within frames, or across both, or within frames alone (arXiv:2102.05095)."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import VIT_SIZES, Eps, token_flaws


class TimeSformer(Architecture, frozen=True, kw_only=True, tag="timesformer"):
    """Patches of 16 x 16 pixels of each frame, a class token, and blocks of one width."""

    NEUTRAL: ClassVar[Mapping[str, Any]] = {"norm_eps": 1e-6}
    PATCH: ClassVar[int] = 16  # pixels

    depth: Count = 12
    width: Count = 768
    heads: Count = 12
    crop: Count = 224  # height and width of the inputs that the table of places is for
    # joint: all tokens look at each other; space: those of each frame, and frames are averaged before the last norm
    attention: Literal["divided", "joint", "space"] = "divided"
    norm_eps: Eps = 1e-6

    @property
    def size(self) -> str:
        return VIT_SIZES.get(self.width, str(self.depth))

    @property
    def num_blocks(self) -> int:
        return self.depth

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        return token_flaws(self.width, self.heads, self.crop, smallest_crop=self.PATCH)
