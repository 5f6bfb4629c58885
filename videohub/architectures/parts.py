"""What the structs of several families share: heads, depths of residual networks, non-local blocks."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, get_args

import msgspec

from videohub.architectures import Architecture, Count, Part, Task

Eps: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1)]  # that a norm adds to a variance
Blocks: TypeAlias = tuple[Count, Count, Count, Count]  # of each stage

# --- heads -----------------------------------------------------------------------------------------------------------


class AverageWindow(Part, frozen=True, tag_field="kind", tag="average_window"):
    """Average over all frames and a window that slides over space by one, as a fully convolutional test does.

    An input larger than the training crop has several positions. Their average is that of probabilities where the
    published test activates at each position, and of logits where it activates after it.
    """

    window: Count = 7  # training crop / 32
    mean_of: Literal["probabilities", "logits"] = "probabilities"


class AverageAll(Part, frozen=True, tag_field="kind", tag="average_all"):
    """Average over all frames and the whole map: one position."""


class RoiMax(Part, frozen=True, tag_field="kind", tag="roi_max"):
    """One map of all frames, RoIAlign to `resolution` squared, maximum over each box; `aligned` shifts by half a pixel.

    With `context` the whole picture's features, reduced to as many places in the same way, stand behind each box's.
    """

    NEUTRAL: ClassVar[Mapping[str, Any]] = {"over_time": "mean", "context": False, "mlp": False, "background": False}

    resolution: Count = 7
    aligned: bool = False
    over_time: Literal["mean", "max"] = "mean"  # what makes one map of those of all frames
    context: bool = False
    mlp: bool = False  # a layer as wide as what it is given, and ReLU, before the classifier
    background: bool = False  # the first output is for no action, and output k for action id k; false: for id k + 1

    @property
    def without_background(self) -> "RoiMax":
        """Return the same head with a classifier all of whose outputs are actions."""
        return msgspec.structs.replace(self, background=False)


Average: TypeAlias = AverageWindow | AverageAll
Head: TypeAlias = Average | RoiMax


class Detecting(Architecture, frozen=True, kw_only=True):
    """A network that may look at boxes: what follows from its head."""

    HEAD: ClassVar[str] = "head"  # the field that may be a `RoiMax`

    @property
    def roi_head(self) -> RoiMax | None:
        """The head that looks at boxes, None if the network classifies."""
        head = getattr(self, self.HEAD)
        return head if isinstance(head, RoiMax) else None

    @property
    def task(self) -> Task:
        return "detection" if self.roi_head else super().task

    @property
    def background_outputs(self) -> int:
        return int(self.roi_head is not None and self.roi_head.background)

    def with_classes(self, num_classes: int | None) -> Architecture:
        if num_classes == self.num_classes or self.roi_head is None:
            return super().with_classes(num_classes)
        changes = {"num_classes": num_classes, self.HEAD: self.roi_head.without_background}
        return msgspec.structs.replace(self, **changes)


# --- residual networks -----------------------------------------------------------------------------------------------

Stage: TypeAlias = Literal["res2", "res3", "res4", "res5"]
Depth: TypeAlias = Literal["R18", "R50", "R101", "R152"] | Blocks

# Depths count bottleneck blocks; R18 has bottlenecks too, as the original has no other block for video.
_BLOCKS: Mapping[str, Blocks] = {"R18": (2, 2, 2, 2), "R50": (3, 4, 6, 3), "R101": (3, 4, 23, 3), "R152": (3, 8, 36, 3)}


def block_counts(depth: Depth) -> Blocks:
    """Return the number of blocks in res2 to res5 of a named depth, or the four numbers given."""
    return _BLOCKS[depth] if isinstance(depth, str) else depth


def depth_name(depth: Depth) -> str:
    """Return what a depth is called: stem, three convolutions a block and the classifier make R50."""
    return depth if isinstance(depth, str) else f"R{3 * sum(depth) + 2}"


class NonLocal(Part, frozen=True):
    """Non-local blocks of the (slow) pathway, and how they relate positions."""

    NEUTRAL: ClassVar[Mapping[str, Any]] = {"windows": {}, "pooled": "input", "scaled": True, "out_bias": True}

    after: dict[Stage, list[int]]  # stage -> the blocks after which one stands
    affinity: Literal["softmax", "gaussian", "dot_product"]  # gaussian: softmax of the input's own products
    pool: tuple[Count, Count, Count]  # time, height, width: pooling of keys and values
    pooled: Literal["input", "keys"] = "input"  # before their convolutions, or after
    scaled: bool = True  # of softmax: whether products are divided by the root of their width
    out_bias: bool = True  # of the last convolution, which a norm follows
    windows: dict[Stage, Count] = msgspec.field(default_factory=dict)  # stage -> frames that relate to each other alone

    def flaws(self, depth: Depth) -> Iterable[tuple[tuple[str, ...], str]]:
        """Yield the stages that have no such blocks in a network of a depth; see `Architecture.flaws`."""
        counts = dict(zip(get_args(Stage), block_counts(depth), strict=True))
        for stage, blocks in self.after.items():
            for block in blocks:
                if not 0 <= block < counts[stage]:
                    what = f"names block {block}, and the blocks of {stage} are 0 to {counts[stage] - 1}"
                    yield ("non_local", "after", stage), what
        for stage in self.windows:
            if not self.after.get(stage):
                yield ("non_local", "windows", stage), f"has frames to relate, and {stage} has no such block"


class Stem(Part, frozen=True):
    """What the first layers do to time, and whether their pooling looks beyond the edges of the picture."""

    NEUTRAL: ClassVar[Mapping[str, Any]] = {"pool_stride": None}

    stride: Literal[1, 2] = 1  # frames, of the convolution
    pool_frames: Literal[1, 2] = 1  # that the pooling looks at
    pool_stride: Literal[1, 2] | None = None  # frames that it goes on by; null: that it looks at
    pool_padding: Literal[0, 1] = 1  # pixels

    @property
    def pool_step(self) -> int:
        """Frames that the pooling goes on by."""
        return self.pool_stride or self.pool_frames


class LastStage(Part, frozen=True):
    """How res5 treats space: classification halves it (2, 1), detection keeps it and dilates (1, 2)."""

    stride: Literal[1, 2] = 2
    dilation: Literal[1, 2] = 1


class Residual(Architecture, frozen=True, kw_only=True):
    """A network of bottleneck blocks in four stages: what follows from its depth."""

    if TYPE_CHECKING:  # each family says where it stands among its fields
        depth: Depth

    @property
    def size(self) -> str:
        return depth_name(self.depth)

    @property
    def num_blocks(self) -> int:
        return sum(block_counts(self.depth))


class NonLocalResidual(Detecting, Residual, frozen=True, kw_only=True):
    """One that may have non-local blocks, and detect: what follows from those and from its head."""

    if TYPE_CHECKING:
        non_local: NonLocal | None
        head: Head

    def flaws(self) -> Iterable[tuple[tuple[str, ...], str]]:
        return self.non_local.flaws(self.depth) if self.non_local else ()


# --- networks of four stages, of named sizes -------------------------------------------------------------------------


class Staged(Architecture, frozen=True, kw_only=True):
    """A network of blocks in four stages, whose depth is the name of a size or four numbers: what follows from it."""

    SIZES: ClassVar[Mapping[str, Blocks]]  # blocks of each stage, by the size's name

    if TYPE_CHECKING:  # each family says where it stands among its fields, and which names it has
        depth: str | Blocks

    @property
    def blocks(self) -> Blocks:
        """How many blocks each stage has."""
        return self.SIZES[self.depth] if isinstance(self.depth, str) else self.depth

    @property
    def size(self) -> str:
        return self.depth if isinstance(self.depth, str) else "-".join(map(str, self.depth))

    @property
    def num_blocks(self) -> int:
        return sum(self.blocks)


# --- transformers ----------------------------------------------------------------------------------------------------

# What the classifier is given. The mean is that of all tokens but the class token. `mean_then_norm` normalises it, and
# not the tokens; `mean_alone` has no norm, as networks that only predict what was masked.
Readout: TypeAlias = Literal["class_token", "mean", "mean_then_norm", "mean_alone"]

VIT_SIZES: Mapping[int, str] = {192: "T", 384: "S", 768: "B", 1024: "L", 1280: "H", 1408: "g"}  # by width


def token_flaws(width: int, heads: int, crop: int, *, smallest_crop: int) -> Iterable[tuple[tuple[str, ...], str]]:
    """Yield what keeps tokens from being split into heads, or a crop into patches; see `Architecture.flaws`."""
    if width % heads:
        yield ("heads",), f"is {heads}, expected a divisor of the width, {width}"
    if crop < smallest_crop:
        yield ("crop",), f"is {crop} pixels, expected at least {smallest_crop}: a patch for each stage"


def rounded_width(width: float, divisor: int) -> int:
    """Return the nearest multiple of a divisor, at least one and never less than 0.9 of the width.

    Source: the original's rule for widths, which halves round up in.
    """
    nearest = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * width else nearest
