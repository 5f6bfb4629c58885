"""What a data set is made of: samples, each with the files its views are made from and the classes that are right."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeAlias

import msgspec

from videohub.data.stored_file import ShardMember, StoredFile
from videohub.escaping import encodable
from videohub.metrics.ava_files import AvaTruth


class VideoFile(msgspec.Struct, frozen=True, tag=True):
    """One video file."""

    path: Path  # where it lies, or what stands for that
    member: ShardMember | None = None  # of a tar: what is read in place of the path

    @property
    def file(self) -> StoredFile:
        """What is read."""
        return self.member or self.path


class ImageFile(msgspec.Struct, frozen=True, tag=True):
    """One still image."""

    path: Path
    member: ShardMember | None = None  # as for a video

    @property
    def file(self) -> StoredFile:
        """What is read."""
        return self.member or self.path


class FrameList(msgspec.Struct, frozen=True, tag=True):
    """The frames of a video as image files, in order of time; read it by `paths()`.

    The names stand in one string: AVA's lists name 1.7 million files, and as many Python strings would take 200 MB.
    """

    folder: Path
    names: str  # below `folder`, one a line

    def paths(self) -> list[Path]:
        """Return the files in order."""
        return [self.folder / name for name in self.names.split("\n")]

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.names.count("\n") + 1


class KeyFrame(msgspec.Struct, frozen=True, tag=True):
    """A moment of a video and the people in it: the clip around one of its frames, and boxes."""

    frames: FrameList | VideoFile
    centre: int  # index of the key frame in the list, or among the frames of the video in order of time
    boxes: tuple[tuple[float, float, float, float], ...]  # x1, y1, x2, y2 as fractions of the frame


Source: TypeAlias = VideoFile | ImageFile | FrameList | KeyFrame


class Sample(msgspec.Struct, frozen=True):
    """One thing that is scored once: a video, an image, or a key frame."""

    name: str  # its identity within the data set, as the lists write it; where that is no text, with escapes
    source: Source
    truth: tuple[int, ...]  # classes that are right: one; several or none (Charades); empty where boxes decide (AVA)

    def __post_init__(self) -> None:
        """Make a text of a name whose bytes are none: digests, runs and reports take no others; `source` keeps them."""
        if (text := encodable(self.name)) != self.name:
            msgspec.structs.force_setattr(self, "name", text)


class Shard(msgspec.Struct, frozen=True):
    """A tar that samples lie in, as it was when its index was read."""

    location: str  # without what may be a credential
    size: int  # bytes
    version: str  # another one after any change
    index: str  # sha256 over names, places and sizes of its members


class DataSet(msgspec.Struct, frozen=True):
    """The samples of a data set in the order of its lists, and what a reader thought worth telling."""

    samples: list[Sample]
    ava: AvaTruth | None = None
    notes: tuple[str, ...] = ()
    shards: tuple[Shard, ...] = ()  # that they lie in, if they do

    def digest(self) -> str:
        """Return a sha256 over what is asked and what is right: names, classes, boxes; not where the files lie."""
        sums = hashlib.sha256()
        for sample in self.samples:
            boxes = sample.source.boxes if isinstance(sample.source, KeyFrame) else ()
            sums.update(msgspec.json.encode((sample.name, sample.truth, boxes)))
        sums.update(msgspec.json.encode(self.ava))
        return sums.hexdigest()

    def shards_digest(self) -> str | None:
        """Return a sha256 over what the tars hold, by their names and not where they lie; None where there are none."""
        if not self.shards:
            return None
        names = [(shard.location.rpartition("/")[2], shard.size, shard.index) for shard in self.shards]
        return hashlib.sha256(msgspec.json.encode(names)).hexdigest()
