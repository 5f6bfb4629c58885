"""ViT over clips: patches as tokens, and blocks of one width (arXiv:2010.11929).

As MAE (arXiv:2205.09113), MaskFeat (arXiv:2112.09133), VideoMAE (arXiv:2203.12602, arXiv:2303.16727) and ViViT
(arXiv:2103.15691) train it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import VIT_SIZES, Eps, Readout, token_flaws

# Tables that files hold: one for places and one for times (separate), or one for all positions (joint). Or sines and
# cosines of a token's number (sinusoid), which are computed and in no file.
Positions: TypeAlias = Literal["separate", "joint", "sinusoid"]


class ViT(Architecture, frozen=True, kw_only=True, tag="vit"):
    """Patches of some pixels and, in clips, 2 frames; then tokens that all look at each other, in every block."""

    NEUTRAL: ClassVar[Mapping[str, Any]] = {
        "hidden": None,
        "patch": 16,
        "class_token": True,
        "positions": "separate",
        "key_bias": True,
        "gelu": "exact",
        "norm_eps": 1e-6,
        "readout_eps": None,
    }
    classifier: ClassVar[str] = "head.projection"

    depth: Count
    width: Count
    heads: Count
    hidden: Count | None = None  # width between the two layers of an MLP; null: 4 x width
    patch: Count = 16  # height and width, in pixels
    image: bool = False  # a network for single frames
    crop: Count = 224  # height and width of the inputs that the tables of positions are for
    class_token: bool = True
    positions: Positions = "separate"
    key_bias: bool = True  # false: queries and values alone have a bias
    gelu: Literal["exact", "tanh"] = "exact"  # tanh: its usual approximation
    readout: Readout = "mean_then_norm"
    norm_eps: Eps = 1e-6
    readout_eps: Eps | None = None  # of the norm before the classifier; null: norm_eps

    @property
    def size(self) -> str:
        return VIT_SIZES.get(self.width, str(self.depth))

    @property
    def num_blocks(self) -> int:
        return self.depth

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        yield from token_flaws(self.width, self.heads, self.crop, smallest_crop=self.patch)
        if self.readout == "class_token" and not self.class_token:
            yield ("readout",), "reads the class token, which this network does not have"
        if self.positions == "sinusoid" and self.class_token:
            yield ("class_token",), "has no position among sines and cosines, which number the patches alone"
