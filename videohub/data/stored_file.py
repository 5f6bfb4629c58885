"""A file as the readers are given it: one on disk, or a member of a tar, which may be far away."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import msgspec

from videohub import storage
from videohub.errors import DataError, DownloadError, FileChangedError, VideoError
from videohub.storage.ranges import RangeReader

STREAMED = 64 << 20  # bytes from which on a member is read piece by piece


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
