"""What a data set is made of: samples, each with the files its views are made from and the classes that are right.

A file is one on disk, or a member of a tar, which may be far away; those are brought into memory before they are
decoded, several requests ahead.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar, cast

import msgspec

from videohub import storage
from videohub.errors import DataError, DownloadError, FileChangedError, VideoError
from videohub.escaping import encodable
from videohub.metrics.ava_files import AvaTruth
from videohub.protocols import Protocol
from videohub.storage.ranges import Range, RangeReader, read_ahead

STREAMED = 64 << 20  # bytes from which on a member is read piece by piece
_GONE = 32  # videos in a row that cannot be had, twice as many as are asked for at once

_Key = TypeVar("_Key")


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


# --- what a sample is read from --------------------------------------------------------------------------------------


class OneFile(msgspec.Struct, frozen=True):
    """What lies in a single file."""

    path: Path  # where it lies, or what stands for that
    member: ShardMember | None = None  # of a tar: what is read in place of the path

    @property
    def file(self) -> StoredFile:
        """What is read."""
        return self.member or self.path


class VideoFile(OneFile, frozen=True, tag=True):
    """One video file."""


class ImageFile(OneFile, frozen=True, tag=True):
    """One still image."""


class FrameList(msgspec.Struct, frozen=True, tag=True):
    """The frames of a video as image files, in order of time.

    The names stand in one string: AVA's lists name 1.7 million files, and as many Python strings would take 200 MB.
    """

    folder: Path
    names: str  # below `folder`, one a line

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.names.count("\n") + 1


def source_of(file: StoredFile, protocol: Protocol) -> VideoFile | ImageFile:
    """Return a file as what a protocol takes views from: an image where it looks at images, else a video."""
    kind = ImageFile if protocol.scored == "image" else VideoFile
    return kind(Path(file.name), file) if isinstance(file, ShardMember) else kind(file)


class KeyFrame(msgspec.Struct, frozen=True, tag=True):
    """A moment of a video and the people in it: the clip around one of its frames, and boxes."""

    frames: FrameList | VideoFile
    centre: int  # index of the key frame in the list, or among the frames of the video in order of time
    boxes: tuple[tuple[float, float, float, float], ...]  # x1, y1, x2, y2 as fractions of the frame


Source: TypeAlias = VideoFile | ImageFile | FrameList | KeyFrame


def path_of(source: Source) -> StoredFile:
    """Return what stands for a source in messages: its file, or the folder of its frames."""
    within = source.frames if isinstance(source, KeyFrame) else source
    return within.folder if isinstance(within, FrameList) else within.file


# --- a file on disk, or a member of a tar ----------------------------------------------------------------------------


class ShardMember(msgspec.Struct, frozen=True):
    """A file within a tar, as bytes of that: whoever reads it needs nothing else of the tar."""

    shard: str  # where the tar lies, as `videohub.storage` takes it
    name: str  # in the tar
    start: int  # offset of its content
    size: int  # bytes
    version: str  # of the tar whose index this is
    content: bytes | None = None  # once it was fetched
    failure: str | None = None  # why there is nothing to be read

    def __str__(self) -> str:
        """Return what it is called in messages."""
        return f"{storage.shown(self.shard)}/{self.name}"

    @property
    def is_fetched_whole(self) -> bool:
        """Whether its content is to be brought here before it is read, and is not here yet."""
        return self.content is None and self.failure is None and self.size < STREAMED

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open it as `Path.open` does: what was fetched, else a reader that asks for pieces. Raises: VideoError.

        Reading it raises FileChangedError, or VideoError if it cannot be had.
        """
        if self.failure is not None:
            raise VideoError(f"{self}: {self.failure}")
        if self.content is not None:
            return io.BytesIO(self.content)
        return cast(BinaryIO, RangeReader(self._read, self.size))

    def fetched(self) -> ShardMember:
        """Return it with its content, brought by one request; a large one as it is, to be read by pieces.

        Where it cannot be had, that is its `failure`: nobody tries again. Raises: FileChangedError.
        """
        if not self.is_fetched_whole:
            return self
        try:
            return msgspec.structs.replace(self, content=self._read(0, self.size))
        except VideoError as error:
            return msgspec.structs.replace(self, failure=str(error).removeprefix(f"{self}: "))

    def _read(self, start: int, stop: int) -> bytes:
        """Return a part of it. Raises: FileChangedError; VideoError if it cannot be had, after all attempts."""
        try:
            return storage.read_range(self.shard, self.start + start, self.start + stop, version=self.version)
        except FileChangedError:
            raise
        except (DataError, DownloadError) as error:
            raise VideoError(f"{self}: {error}") from error


StoredFile: TypeAlias = Path | ShardMember


# --- members of tars, brought into memory: one, or many ahead of those who decode them --------------------------------


def fetched(source: Source) -> Source:
    """Return a source with its content in memory, if it is a member of a tar; see `ShardMember.fetched`."""
    if not isinstance(source, OneFile) or source.member is None:
        return source
    return msgspec.structs.replace(source, member=source.member.fetched())


def fetched_ahead(sources: Iterable[tuple[_Key, Source]]) -> Generator[tuple[_Key, Source], None, None]:
    """Yield sources in their order, those in tars that lie far away with their content, several requests ahead.

    A process that decodes has one video at a time, and with 50 ms for each answer would wait longer than it decodes.
    So threads of the process that hands out the videos ask for them, 16 at once, and the bytes go along with the task.
    At most 256 MiB wait there. What lies on a disk, or is too large, is read by whoever decodes it.

    Where a member cannot be had after all attempts, that is its `failure`. Raises: FileChangedError; DownloadError if
    that is so of many in a row: then it is the server or the connection that failed, and no video is to be blamed.
    """
    in_a_row = 0
    with closing(read_ahead(((key, source), _range(source)) for key, source in sources)) as ahead:
        for (key, source), outcome in ahead:
            if outcome is None:
                yield key, source
                continue
            assert isinstance(source, OneFile), "others have no range"
            assert source.member is not None
            if isinstance(outcome, bytes):
                in_a_row, member = 0, msgspec.structs.replace(source.member, content=outcome)
            elif isinstance(outcome, FileChangedError):
                raise outcome
            else:
                member = msgspec.structs.replace(source.member, failure=str(outcome))
            if isinstance(outcome, DownloadError) and (in_a_row := in_a_row + 1) == _GONE:
                raise DownloadError(
                    f"{_GONE} videos in a row cannot be had, the last for this reason:\n  {outcome}\n"
                    "  What was scored is kept. Once the server answers, the same command goes on, and with "
                    "--retry-failed it asks again for the videos before this one."
                )
            yield key, msgspec.structs.replace(source, member=member)


def _range(source: Source) -> Range | None:
    """Return which bytes of which tar a source is, if they are to be brought here ahead."""
    member = source.member if isinstance(source, OneFile) else None
    if member is None or not member.is_fetched_whole or not storage.is_remote(member.shard):
        return None
    return Range(member.shard, member.start, member.start + member.size, member.version)
