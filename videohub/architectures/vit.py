"""ViT over clips: patches as tokens, and blocks of one width (arXiv:2010.11929).

As MAE (arXiv:2205.09113), MaskFeat (arXiv:2112.09133), VideoMAE (arXiv:2203.12602, arXiv:2303.16727), ViViT
(arXiv:2103.15691), V-JEPA (arXiv:2404.08471, arXiv:2506.09985) and InternVideo2 (arXiv:2403.15377) train it.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec

from videohub.architectures import Count, Part
from videohub.architectures.parts import VIT_SIZES, Detecting, Eps, Readout, RoiMax, token_flaws

BlockNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]

# Tables that files hold: one for places and one for times (separate), or one for all positions (joint). Or sines and
# cosines of a token's number (sinusoid), which are computed and in no file. Or nothing is added, and queries and keys
# turn by time, row and column (rotary).
# Pictures of another size number their tokens anew, or have those of `crop` resized by a cubic (sinusoid_resized).
Positions: TypeAlias = Literal["separate", "joint", "sinusoid", "sinusoid_resized", "rotary"]


class Probe(Part, frozen=True, kw_only=True, tag_field="kind", tag="probe"):
    """One learned query gathers from all tokens, once these have gone through blocks of their own (V-JEPA)."""

    blocks: BlockNumber = 3
    heads: Count = 16


class AttentionPool(Part, frozen=True, kw_only=True, tag_field="kind", tag="attention_pool"):
    """The mean of all tokens gathers from them, and what it has gets another width (InternVideo2)."""

    heads: Count = 16
    out: Count = 768  # width of what is made


class ViT(Detecting, frozen=True, kw_only=True, tag="vit"):
    """Patches of some pixels and, in clips, frames; then tokens that all look at each other, in every block."""

    NEUTRAL: ClassVar[Mapping[str, Any]] = {
        "hidden": None,
        "patch": 16,
        "tubelet": 2,
        "block": "plain",
        "class_token": True,
        "positions": "separate",
        "key_bias": True,
        "gelu": "exact",
        "norm_eps": 1e-6,
        "readout_eps": None,
        "levels": (),
        "segments": 1,
    }
    HEAD: ClassVar[str] = "readout"

    depth: Count
    width: Count
    heads: Count
    hidden: Count | None = None  # width between the two layers of an MLP; null: 4 x width
    patch: Count = 16  # height and width, in pixels
    tubelet: Count = 2  # frames of a patch, in clips
    # internvit: norms are of the root mean square alone, queries and keys are normed, too, nothing has a bias before
    # them, and what a block adds is scaled channel by channel
    block: Literal["plain", "internvit"] = "plain"
    image: bool = False  # a network for single frames
    crop: Count = 224  # height and width of the inputs that the tables of positions are for
    class_token: bool = True
    positions: Positions = "separate"
    key_bias: bool = True  # false: queries and values alone have a bias
    gelu: Literal["exact", "tanh"] = "exact"  # tanh: its usual approximation
    readout: Readout | Probe | AttentionPool | RoiMax = "mean_then_norm"  # the last: of all tokens, normed, as a map
    norm_eps: Eps = 1e-6
    readout_eps: Eps | None = None  # of the norm before the classifier, or of all in a probe or pool; null: norm_eps
    levels: tuple[BlockNumber, ...] = ()  # blocks whose tokens are read out side by side; none: the last one's
    segments: Count = 1  # equal parts of a clip that do not see each other, and whose tokens are read out together

    @property
    def size(self) -> str:
        return VIT_SIZES.get(self.width, str(self.depth))

    @property
    def num_blocks(self) -> int:
        return self.depth + (self.readout.blocks if isinstance(self.readout, Probe) else 0)

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        yield from token_flaws(self.width, self.heads, self.crop, smallest_crop=self.patch)
        if self.readout == "class_token" and not self.class_token:
            yield ("readout",), "reads the class token, which this network does not have"
        if self.roi_head:
            yield from self._flaws_of_a_map()
        if self.segments > 1 and self.class_token:
            yield ("class_token",), f"would be there {self.segments} times, one for each segment"
        if any(level >= self.depth for level in self.levels):
            yield ("levels",), f"names block {max(self.levels)}, and the blocks are 0 to {self.depth - 1}"
        if isinstance(self.readout, Probe | AttentionPool) and self.width % self.readout.heads:
            yield ("readout", "heads"), f"is {self.readout.heads}, expected a divisor of the width, {self.width}"
        if self.positions == "rotary" and (channels := self.width // self.heads) % 2:
            yield ("heads",), f"leaves each {channels} channels, expected an even number, to turn in pairs"
        if self.positions == "rotary" and self.class_token:
            yield ("class_token",), "has no place to turn by"
        if self.block == "internvit" and self.positions == "rotary":
            yield ("positions",), "is rotary, and InternViT's blocks turn nothing"
        if self.positions in ("sinusoid", "sinusoid_resized") and self.class_token:
            yield ("class_token",), "has no position among sines and cosines, which number the patches alone"

    def _flaws_of_a_map(self) -> Iterable[tuple[tuple[str, ...], str]]:
        """Yield what keeps the tokens from being one map of a picture."""
        if self.class_token:
            yield ("class_token",), "lies nowhere in the picture, which boxes are cut out of"
        if self.segments > 1:
            yield ("segments",), f"is {self.segments}, and boxes are cut out of one map of all frames"
        if len(self.levels) > 1:
            yield ("levels",), "names several blocks, and boxes are cut out of one map"
