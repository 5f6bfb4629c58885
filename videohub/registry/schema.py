"""What a record is: frozen, strictly typed values in the order in which the data travels.

The types are written out at once (no `from __future__ import annotations`): msgspec would compile each one's text at
the start of every process.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from videohub.digest import Sha256

Count: TypeAlias = Annotated[int, msgspec.Meta(gt=0)]
Percent: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=100)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
Labels: TypeAlias = str | tuple[Name, ...] | None  # a label set that is known, names of one's own, or none
Stage: TypeAlias = Literal["res2", "res3", "res4", "res5"]


ShortName: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]*$", max_length=40)]


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a record: immutable, and nothing in it is unknown to the schema."""


# --- model: a factory of `videohub.models` and its arguments ---------------------------------------------------------


class NonLocal(_Value, frozen=True):
    """Non-local blocks of the (slow) pathway, and how they relate positions."""

    after: dict[Stage, list[int]]  # stage -> the blocks after which one stands
    affinity: Literal["softmax", "dot_product"]
    pool: tuple[Count, Count, Count]  # time, height, width: pooling of keys and values


class LastStage(_Value, frozen=True):
    """How res5 treats space: classification halves it (2, 1), detection keeps it and dilates (1, 2)."""

    stride: Literal[1, 2]
    dilation: Literal[1, 2]


class AverageWindow(_Value, frozen=True, tag_field="kind", tag="average_window"):
    """Average over all frames and a window that slides over space by one; activation at each position."""

    window: Count  # training crop / 32


class AverageAll(_Value, frozen=True, tag_field="kind", tag="average_all"):
    """Average over all frames and the whole map: one position."""


class RoiMax(_Value, frozen=True, tag_field="kind", tag="roi_max"):
    """Average over time, RoIAlign to `resolution` squared, maximum over each box."""

    resolution: Count
    aligned: bool


Head: TypeAlias = AverageWindow | AverageAll | RoiMax
Blocks: TypeAlias = Literal["R18", "R50", "R101", "R152"] | tuple[Count, Count, Count, Count]


class C2D(_Value, frozen=True, tag_field="factory", tag="c2d"):
    """ResNet whose convolutions see one frame each."""

    blocks: Blocks
    width: Count
    temporal_pool: bool  # max-pool pairs of frames after res2
    non_local: NonLocal | None
    head: Head
    num_classes: Count


class I3D(_Value, frozen=True, tag_field="factory", tag="i3d"):
    """Inflated ResNet: temporal kernels in every other block, frames pooled in pairs after res2."""

    blocks: Blocks
    width: Count
    non_local: NonLocal | None
    head: Head
    num_classes: Count


class Slow(_Value, frozen=True, tag_field="factory", tag="slow"):
    """SlowFast's slow pathway alone: temporal kernels in res4 and res5 only."""

    blocks: Blocks
    width: Count
    non_local: NonLocal | None
    res5: LastStage
    head: Head
    num_classes: Count


class ResNet2D(_Value, frozen=True, tag_field="factory", tag="resnet2d"):
    """The image network, as a video network of one frame."""

    blocks: Blocks
    width: Count
    head: Head
    num_classes: Count


class SlowFast(_Value, frozen=True, tag_field="factory", tag="slowfast"):
    """Two pathways; `res4_temporal` says how many res4 blocks of (slow, fast) have a temporal kernel."""

    blocks: Blocks
    width: Count
    alpha: Count
    beta_inv: Count
    lateral_kernel: Count
    res4_temporal: tuple[int, int]
    non_local: NonLocal | None
    res5: LastStage
    head: Head
    num_classes: Count


Model: TypeAlias = C2D | I3D | Slow | ResNet2D | SlowFast


# --- how it was tested -----------------------------------------------------------------------------------------------


class Clip(_Value, frozen=True):
    """What the network is given: frames, and the distance between them at the protocol's frame rate."""

    frames: Count
    sampling_rate: Count


class Detection(_Value, frozen=True):
    """The files of an AVA evaluation: whose boxes, above which score, judged by which lists."""

    version: str
    boxes: str
    score_threshold: float
    label_map: str
    exclusions: str
    ground_truth: str


class Protocol(_Value, frozen=True):
    """How the published number was measured. Pixels: RGB, (value / 255 - mean) / std, then resized, then cropped."""

    name: str
    dataset: str
    split: str
    clips: Count
    crops: Literal[1, 3]
    short_side: Count
    crop: Count | None  # null: the whole frame
    sampling: Literal["proportional", "offset", "segments", "spread", "keyframe", "image"]
    target_fps: float | None  # null: the source's frames as they are
    decoder: Literal["pts_window", "frame_list", "image"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    activation: Literal["softmax", "sigmoid"]
    ensemble: Literal["sum", "max"]
    metric: str  # one of `metrics.names()`
    detection: Detection | None


class Publisher(_Value, frozen=True, omit_defaults=True):
    """Who made checkpoints public; stated at the head of the file that holds their records."""

    name: ShortName  # `publisher/NAME` begins so
    title: Name
    url: str | None = None  # of the repository or the documentation that lists the checkpoints
    commit: str | None = None  # at which its tables were read
    license: str | None = None  # as it states it for all of its files
    citation: str | None = None  # how it asks to be cited


class Checkpoint(_Value, frozen=True, omit_defaults=True):
    """The published file. `sha256` and `size` stay null until someone has measured them.

    `alternates` are other places of the same bytes: https, or hf://org/repo/file@revision.
    """

    url: str | None
    sha256: Sha256 | None
    size: Count | None
    container: Literal["caffe2", "torch", "torch_legacy", "safetensors", "npz"] | None
    layout: str  # how its keys are spelt: converters/FAMILY/LAYOUT.yaml
    license: str
    alternates: list[str] = []


FIELDS = {"top1": "top-1", "top5": "top-5", "map": "mAP"}  # of `Published`, and what people call them


class Published(_Value, frozen=True, omit_defaults=True):
    """What the source states, as accuracy or mAP in per cent; `as_printed` where it prints something else.

    `tolerance` are the points, up and down, that the source allows its own files; most sources state none. `others` are
    the numbers of a metric that has no field here, by what it calls them.
    """

    source: str
    top1: Percent | None = None
    top5: Percent | None = None
    map: Percent | None = None
    others: dict[str, Percent] = {}
    as_printed: dict[str, Percent] | None = None
    tolerance: Percent = 0.0

    def numbers(self) -> dict[str, float]:
        """Return the numbers that are given, by the names people use for them."""
        named = {name: getattr(self, field) for field, name in FIELDS.items()}
        return {name: value for name, value in named.items() if value is not None} | self.others

    def __str__(self) -> str:
        return " / ".join(f"{name} {value}" for name, value in self.numbers().items())


class Record(_Value, frozen=True, omit_defaults=True):
    """Everything about one published checkpoint."""

    name: str
    upstream_name: str
    arch: Literal["c2d", "i3d", "i3d_nln", "slow", "slowfast", "resnet"]
    depth: str
    frames: Count | None  # as the table prints them: the slow pathway's
    rate: Count | None
    paper: str
    model: Model
    clip: Clip
    protocol: Protocol
    checkpoint: Checkpoint
    pretrain: str | None
    training: str
    labels: Labels
    published: Published | None
    config: str | None
    status: Literal["available", "unreleased", "broken"]
    notes: list[str]
    superseded_by: list[str] = []
    aliases: tuple[Name, ...] = ()  # other ids that lead here
    publisher: ShortName | None = None  # which the head of the file states

    @property
    def family(self) -> str:
        """The family of networks, whose tables read its files."""
        return "slowfast" if isinstance(self.model, SlowFast) else "resnet"
