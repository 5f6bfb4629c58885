"""What a run is: the identity that scores must share to be joined, the truth they are judged by, and who made them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from videohub.protocols import Protocol, ScoreRule, ViewGrid

_DIGEST = re.compile("[0-9a-f]{64}")
_LONGEST_SHOWN = 80

Voucher: TypeAlias = Literal["registry", "first use", "registry path"]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e10)]  # a number, and less than centuries
Box: TypeAlias = tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of the frame


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a run's files: nothing in it is unknown to this version."""


class Head(msgspec.Struct):
    """What a run.json, a report or a verification of any version holds."""

    schema_version: int


class Scoring(msgspec.Struct, frozen=True):
    """The part of a protocol that says how many views a sample has, how their scores become one, and what of them."""

    views: ViewGrid
    scores: ScoreRule
    metric: str

    @property
    def clips(self) -> int:
        """Clips of each sample."""
        return self.views.clips

    @property
    def crops(self) -> int:
        """Crops of each clip."""
        return len(self.views.crops)

    def clip_by_clip(self, views: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the rows of a sample's views with all crops of a clip together, whatever the protocol's order."""
        if self.views.order == "clip_major":
            return views
        return views.reshape(self.crops, self.clips, -1).swapaxes(0, 1).reshape(views.shape)


class LabelMap(_Value, frozen=True):
    """Which of a network's outputs were scored, where a file of their numbers says it."""

    sha256: str  # of these numbers
    classes: int  # how many they are
    outputs: int  # of how many


class Identity(_Value, frozen=True, omit_defaults=True, rename={"upstream_name": "zoo_name"}):  # as 0.1.0 wrote it
    """What must agree for scores to be joined. Where and when they were made is not part of it: see `MadeBy`."""

    record: str
    upstream_name: str
    dataset: str
    split: str
    num_classes: int
    labels: str | tuple[str, ...] | None  # a known set, names of one's own, or none
    weights_sha256: str  # of the tensors that were used, whatever file they came in
    protocol: dict[str, Any]  # as JSON values, with the clips and crops that were used
    clip: dict[str, int]
    data_sha256: str  # of the whole data set, before a sample was drawn
    listed: int  # samples of the whole data set
    sample: int | None  # how many were drawn; null: all
    seed: int
    until_decided: float | None  # level at which the run stops early; null: it does not
    precision: str
    decoder: str
    weights_identity: Literal["tensors"] | None = None  # null: weights_sha256 is what a file's header said (0.1.0)
    label_map: LabelMap | None = None  # null: all outputs were scored
    shards_sha256: str | None = None  # of what the tars hold that samples were read from; null: from files

    @property
    def scoring(self) -> Scoring:
        """Views, scores and metric of the protocol. Raises: msgspec.ValidationError if it has none."""
        return msgspec.convert(self.protocol, Scoring)

    @property
    def tested(self) -> Protocol:
        """All of the protocol. Raises: msgspec.ValidationError if this version does not know its steps."""
        return msgspec.convert(self.protocol, Protocol)


class Truth(_Value, frozen=True):
    """What a run's samples are called and which classes are right, in the order of the evaluation.

    `ava` is what boxes are judged by, as JSON values; read it by `msgspec.convert(ava, AvaTruth, str_keys=True)`.
    """

    names: list[str]
    classes: list[list[int]]
    boxes: list[list[Box]] | None = None  # that each sample is scored at, in the order of its scores; AVA alone
    ava: dict[str, Any] | None = None

    @property
    def by_box(self) -> bool:
        """Whether a sample has a row of scores for each of its boxes, instead of one for each view."""
        return self.boxes is not None or self.ava is not None


class WeightsFile(_Value, frozen=True):
    """The file that a process read its weights from: what was found out about it, and what it says of itself.

    `vouched_by` is who knows it as the published file: "registry" states its digest; "first use": its address, or what
    stood for that, held it when it was first seen here; "registry path": the registry names the file itself by a path
    and states no digest; null: nobody, it was given by hand.
    """

    name: str
    sha256: str  # taken of the whole file when it was read
    vouched_by: Voucher | None
    first_seen: str = ""  # for "first use": when, and in what unless that was the address itself
    claimed_source: str | None = None  # what its own header says that it was made from; not checked
    claimed_sha256: str | None = None
    taken: str = ""  # under which key of it the weights lay, where it held others, too


class ShardFile(_Value, frozen=True):
    """A tar that samples were read from."""

    location: str  # without what may be a credential
    size: int  # bytes
    version: str  # another one after any change


class MadeBy(_Value, frozen=True):
    """One process that made scores: what it ran on and with. `seconds` is known when its file is read."""

    software: dict[str, str]
    decoder: dict[str, str]  # of its libraries, the versions
    device: str
    precision: dict[str, str]  # what the name of the precision does not say
    shard: str  # "2/16": the second of sixteen
    batch: int | None  # views at once; null: it varied
    started: str  # ISO 8601
    weights: WeightsFile | None = None  # null: an earlier version did not note it
    seconds: Seconds = 0.0  # from its start to its last entry


@dataclass(frozen=True)
class Terms:
    """What the entries of a run have to agree with."""

    run: str  # digest of what the run is
    names: Sequence[str]  # of its samples
    classes: int
    rows: int | None  # of scores a sample: its views; None: one a box, which varies

    def contradiction(self, index: int, name: str, shape: tuple[int, ...] | None) -> str | None:
        """Return what is wrong with an entry of this sample and shape of scores (None: a failure), if anything is."""
        if not 0 <= index < len(self.names):
            return f"found sample {index}, expected 0 to {len(self.names) - 1}"
        if name != self.names[index]:
            return f"found {name!r:.80} as sample {index}, expected {self.names[index]!r:.80}"
        if shape is None or shape == (self.rows, self.classes):
            return None
        if self.rows is None and len(shape) == 2 and shape[0] > 0 and shape[1] == self.classes:
            return None
        return f"found scores {shape} for {name!r:.80}, expected ({self.rows or 'boxes'}, {self.classes})"


def difference(a: Identity, b: Identity, where: tuple[str, str] = ("asked for", "in it")) -> list[str]:
    """Return a sentence for each field in which two identities differ, such as `seed: 0 asked for, 1 in it`."""
    left, right = dict(_fields(msgspec.to_builtins(a))), dict(_fields(msgspec.to_builtins(b)))
    return [
        f"{field}: {_shown(left.get(field))} {where[0]}, {_shown(right.get(field))} {where[1]}"
        for field in dict.fromkeys((*left, *right))
        if left.get(field) != right.get(field)
    ]


def truth_difference(a: Truth, b: Truth, where: tuple[str, str] = ("asked for", "in it")) -> list[str]:
    """Return where two truths that are not the same differ first."""
    if len(a.names) != len(b.names):
        return [f"samples: {len(a.names)} {where[0]}, {len(b.names)} {where[1]}"]
    for index, pair in enumerate(zip(zip(a.names, a.classes, strict=True), zip(b.names, b.classes, strict=True),
                                     strict=True)):  # fmt: skip
        if pair[0] != pair[1]:
            left, right = (f"{name!r:.80} of classes {classes!s:.80}" for name, classes in pair)
            return [f"sample {index}: {left} {where[0]}, {right} {where[1]}"]
    if a.boxes != b.boxes:
        return ["boxes: the samples are the same, the boxes to score are not"]
    if a.ava != b.ava:
        return ["ava: the samples are the same, the boxes that are right are not"]
    return ["data.json: says the same in other letters, as another version of videohub writes it"]


def plain(value: object) -> dict[str, Any]:
    """Return a struct as JSON values, as a run keeps them."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return values


def canonical(value: object) -> bytes:
    """Return a value as JSON that is the same for equal values, whatever library wrote or read them."""
    plain = msgspec.to_builtins(value, str_keys=True)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def digest_of(content: bytes) -> str:
    """Return the sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _fields(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value below `value` under its dotted name, as JSON: a tuple is a list there."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _fields(inner, f"{name}.{key}" if name else key)
    else:
        yield name, json.dumps(value, ensure_ascii=False)


def _shown(text: str | None) -> str:
    if text is None:
        return "nothing"
    if _DIGEST.fullmatch(text.strip('"')):
        return f"{text[1:13]}…"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
