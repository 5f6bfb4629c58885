"""UniFormerV2: CLIP's network for images on each frame, and one token that gathers from all (arXiv:2211.09552)."""

from collections.abc import Iterable

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import VIT_SIZES, token_flaws


class UniFormerV2(Architecture, frozen=True, kw_only=True, tag="uniformerv2"):
    """Blocks of one width on the patches and the class token of each frame; the last of them feed the video's token."""

    depth: Count = 12
    width: Count = 768
    heads: Count = 12
    patch: Count = 16  # height and width, in pixels
    crop: Count = 224  # height and width of the inputs that the table of places is for
    gathers: Count = 4  # of how many blocks, the last ones, the video's token gathers what they make
    local: bool = False  # blocks also look at neighbouring frames, of which the patches join two

    @property
    def size(self) -> str:
        return f"{VIT_SIZES.get(self.width, str(self.depth))}/{self.patch}"

    @property
    def num_blocks(self) -> int:
        return self.depth + self.gathers

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        yield from token_flaws(self.width, self.heads, self.crop, smallest_crop=self.patch)
        if self.gathers > self.depth:
            yield ("gathers",), f"is {self.gathers}, expected at most the depth, {self.depth}"
