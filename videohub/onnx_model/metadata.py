"""What an exported file says of itself: whose network it is, what its outputs are called, and what its clips are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from videohub import metrics
from videohub.data.labels import names_of
from videohub.errors import FormatError, UnsafeFileError, UsageError
from videohub.escaping import brief
from videohub.protocols import Crop, Divide, Normalise, Resize, ResizeShortSide, ReverseChannels
from videohub.registry.schema import Record
from videohub.value_types import Activation, Count, Sha256
from videohub.version import __version__
from videohub.weights import to_portable_json

Levels: TypeAlias = Divide | Normalise | ReverseChannels  # steps that leave pixels where they are

PREFIX = "videohub."  # of our keys, beside those of other programs
_LONGEST = 4 << 20  # letters of a value; ten thousand long names of classes take a quarter of it
LARGEST_CLIP = 1 << 28  # values; a published one has 12 million
_LARGEST_SIDE = 8192  # pixels that frames may be resized to
_MOST_VIEWS = 10_000


class ClipShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The clips that a file takes, (batch, 3, frames, height, width), and where their frames lie in a video."""

    batch: Count | None  # null: any number
    frames: Count
    height: Count
    width: Count
    sampling_rate: Count  # distance between frames at `fps`
    fps: float | None  # null: the video's own frames

    def of(self, batch: int) -> tuple[int, int, int, int, int]:
        """Return the shape of so many clips."""
        return batch, 3, self.frames, self.height, self.width

    def __str__(self) -> str:
        return " x ".join(map(str, (self.batch or "any number", *self.of(1)[1:])))


class ExportMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stands in an exported file beside its graph; each field is a JSON value of its own there."""

    videohub: str  # the version that wrote it
    record: Record  # with the frames and the crop of this file, and its classes
    labels: tuple[str, ...] | None  # a name for each output; null: the outputs are features
    clip: ClipShape
    normalisation: tuple[Levels, ...]  # what is done to levels from 0 to 255, in this order
    protocol: dict[str, str]  # how the record's number was measured, in words
    activation: Activation
    weights_sha256: Sha256  # of the tensors under our names, as runs have it


def metadata_of(record: Record, clip: ClipShape, weights_sha256: str) -> ExportMetadata:
    """Return what an exported file of a record's network says. Raises: UsageError, as `names_of`."""
    record = as_exported(record, clip)
    protocol = record.protocol
    return ExportMetadata(
        videohub=__version__,
        record=msgspec.json.decode(to_portable_json(record), type=Record),
        labels=None if record.model.num_classes is None else names_of(record),
        clip=clip,
        normalisation=tuple(step for step in protocol.pixels if isinstance(step, Levels)),
        protocol=protocol.in_words(),
        activation=protocol.scores.activation,
        weights_sha256=weights_sha256,
    )


def as_exported(record: Record, clip: ClipShape) -> Record:
    """Return a record whose test makes the clips that a file takes: as long, and its crops as large if they are square.

    A protocol that shows whole frames stays as it is.
    """
    crops = [
        msgspec.structs.replace(step, size=clip.height)
        if isinstance(step, Crop) and clip.height == clip.width
        else step
        for step in record.protocol.pixels
    ]
    protocol = msgspec.structs.replace(record.protocol, pixels=tuple(crops))
    frames = msgspec.structs.replace(record.clip, frames=clip.frames)
    return msgspec.structs.replace(record, protocol=protocol, clip=frames)


def written(metadata: ExportMetadata) -> dict[str, str]:
    """Return metadata as texts under our keys, each of which is JSON."""
    return {PREFIX + name: msgspec.json.encode(getattr(metadata, name)).decode() for name in metadata.__struct_fields__}


def read(texts: Mapping[str, str], source: str) -> ExportMetadata:
    """Return the metadata of a file that may be a stranger's; keys of other programs are left aside.

    Raises: FormatError that names the key which is missing, unknown, unreadable or contradicted by the record;
        UnsafeFileError if a size is larger than any that is meant.
    """
    ours = {key.removeprefix(PREFIX): text for key, text in texts.items() if key.startswith(PREFIX)}
    fields = {field.name: field for field in msgspec.structs.fields(ExportMetadata)}
    if not ours:
        raise FormatError(f"{source}: nothing in it says whose network it is; expected a file of `videohub export`")
    if odd := fields.keys() ^ ours.keys():
        key = min(odd)
        what = "is unknown" if key in ours else "is missing"
        raise FormatError(
            f"{source}: the key {brief(PREFIX + key)} of its metadata {what}; expected what videohub {__version__} "
            "writes.\n  Export it again with this version."
        )
    values = {}
    for name, field in fields.items():
        if len(ours[name]) > _LONGEST:
            raise UnsafeFileError(f"{source}: {PREFIX}{name} has {len(ours[name])} letters.\n  Do not use this file.")
        try:
            values[name] = msgspec.json.decode(ours[name], type=field.type)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise FormatError(f"{source}: {PREFIX}{name} of its metadata is unreadable: {error!s:.300}") from error
    metadata = ExportMetadata(**values)
    _check(metadata, source)
    return metadata


def _check(metadata: ExportMetadata, source: str) -> None:
    """Refuse a record that no registry would take, sizes that nobody means, and values that contradict the record."""
    record, clip = metadata.record, metadata.clip
    if record.protocol.metric not in metrics.names():
        raise FormatError(f"{source}: its record has the metric {brief(record.protocol.metric)}, which nobody knows")
    metric = metrics.of(record.protocol.metric)
    for where, what, _ in (*record.protocol.flaws(), *record.flaws(metric.numbers, metric.refused)):
        raise FormatError(f"{source}: its record is broken: {'.'.join(map(str, where))} {brief(what)}")
    sides = [0]
    for step in record.protocol.pixels:
        if isinstance(step, ResizeShortSide):
            sides.append(step.pixels)
        elif isinstance(step, Resize):
            sides += [step.height, step.width]
    if 3 * clip.frames * clip.height * clip.width * (clip.batch or 1) > LARGEST_CLIP or max(sides) > _LARGEST_SIDE:
        raise UnsafeFileError(
            f"{source}: its clips are {clip}, of frames resized to {max(sides)} pixels.\n  Do not use this file."
        )
    if record.protocol.num_views > _MOST_VIEWS:
        raise UnsafeFileError(f"{source}: it asks for {record.protocol.num_views} views.\n  Do not use this file.")
    if (clip.sampling_rate, clip.fps) != (record.clip.sampling_rate, record.protocol.fps):
        raise FormatError(f"{source}: {PREFIX}clip of its metadata is not what its record says")
    try:
        expected = metadata_of(record, clip, metadata.weights_sha256)
    except UsageError as error:  # of its labels
        raise FormatError(f"{source}: its record is broken: {error}") from error
    for name in metadata.__struct_fields__:
        if name != "videohub" and getattr(metadata, name) != getattr(expected, name):
            raise FormatError(f"{source}: {PREFIX}{name} of its metadata is not what its record says")
