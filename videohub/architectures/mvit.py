"""MViT: transformers whose tokens become fewer and wider from stage to stage (arXiv:2104.11227, arXiv:2112.01526)."""

from collections.abc import Iterable
from typing import Literal

from videohub.architectures import Architecture, Count
from videohub.architectures.parts import Blocks, Readout, token_flaws

_SIZES = {
    (1, (1, 2, 11, 2), 96): "B",
    (1, (2, 3, 16, 3), 96): "B",  # the 32x3 of PySlowFast's configurations
    (2, (1, 2, 5, 2), 96): "T",
    (2, (1, 2, 11, 2), 96): "S",
    (2, (2, 3, 16, 3), 96): "B",
    (2, (2, 6, 36, 4), 144): "L",
}


class MViT(Architecture, frozen=True, kw_only=True, tag="mvit"):
    """Blocks in four stages; each stage but the first doubles width and heads, and halves the map's height and width.

    Version 1 adds positions to tokens. Version 2 adds to affinities what the distances of queries and keys say, pools
    the queries of every block, and adds them to what they gather.
    """

    version: Literal[1, 2]
    blocks: Blocks
    width: Count = 96
    heads: Count = 1
    image: bool = False  # a network for single frames: nothing sees time, and keys are pooled by 4 at first, not by 8
    crop: Count = 224  # height and width of the inputs that the tables of positions are for
    # A stage's first attention, or the last MLP before it; null: in version 1 the MLP, in version 2 attention.
    widened_in: Literal["attention", "mlp"] | None = None
    kernel_by_stride: bool = False  # pools have kernels of stride + 1 in space alone, and are left out at stride 1
    last_stride: Literal[1, 2] = 2  # 1: the last stage keeps the size of the map
    joint_positions: bool = False  # one table for all positions, instead of one for places and one for times
    class_token: bool = True
    readout: Readout | None = None  # null: the class token; without one the mean

    @property
    def widens_in_attention(self) -> bool:
        """Whether the first attention of a stage widens tokens, and not the MLP of the block before."""
        return (self.version == 2) if self.widened_in is None else self.widened_in == "attention"

    @property
    def read_out(self) -> Readout:
        """What is handed to the classifier."""
        return self.readout or ("class_token" if self.class_token else "mean")

    @property
    def arch(self) -> str:
        return "mvit" if self.version == 1 else "mvitv2"

    @property
    def size(self) -> str:
        return _SIZES.get((self.version, self.blocks, self.width), str(sum(self.blocks)))

    @property
    def num_blocks(self) -> int:
        return sum(self.blocks)

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        yield from token_flaws(self.width, self.heads, self.crop, smallest_crop=32)
        if self.read_out == "class_token" and not self.class_token:
            yield ("readout",), "reads the class token, which this network does not have"
        if self.version == 2 and self.joint_positions:
            yield ("joint_positions",), "is of version 1: version 2 adds no positions to its tokens"
