"""The bytes of members of tars, brought into memory: of one, or of many ahead of those who decode them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from typing import TypeVar

import msgspec

from videohub import storage
from videohub.data.samples import ImageFile, Source, VideoFile
from videohub.data.stored_file import ShardMember
from videohub.errors import DownloadError, FileChangedError, VideohubError
from videohub.storage.ranges import Range, read_ahead

_GONE = 32  # videos in a row that cannot be had, twice as many as are asked for at once

_Key = TypeVar("_Key")


def fetched(source: Source) -> Source:
    """Return a source with its content in memory, if it is a member of a tar; see `ShardMember.fetched`."""
    member = _member(source)
    return source if member is None else _with(source, member.fetched())


def fetched_ahead(sources: Iterable[tuple[_Key, Source]]) -> Generator[tuple[_Key, Source], None, None]:
    """Yield sources in their order, those in tars that lie far away with their content, several requests ahead.

    A process that decodes has one video at a time, and with 50 ms for each answer would wait longer than it decodes.
    So threads of the process that hands out the videos ask for them, 16 at once, and the bytes go along with the task.
    At most 256 MiB wait there. What lies on a disk, or is too large, is read by whoever decodes it.

    Where a member cannot be had after all attempts, that is its `failure`. Raises: FileChangedError; DownloadError if
    that is so of many in a row: then it is the server or the connection that failed, and no video is to be blamed.
    """
    items = (((key, source), _range(source)) for key, source in sources)
    in_a_row = 0
    with closing(read_ahead(items)) as ahead:
        for (key, source), outcome in ahead:
            if isinstance(outcome, bytes):
                in_a_row = 0
            if isinstance(outcome, DownloadError) and (in_a_row := in_a_row + 1) == _GONE:
                raise DownloadError(
                    f"{_GONE} videos in a row cannot be had, the last for this reason:\n  {outcome}\n"
                    "  What was scored is kept. Once the server answers, the same command goes on, and with "
                    "--retry-failed it asks again for the videos before this one."
                )
            yield key, _with_outcome(source, outcome)


def _with_outcome(source: Source, outcome: bytes | VideohubError | None) -> Source:
    member = _member(source)
    if member is None or outcome is None:
        return source
    if isinstance(outcome, FileChangedError):
        raise outcome
    if isinstance(outcome, VideohubError):
        return _with(source, msgspec.structs.replace(member, failure=str(outcome)))
    return _with(source, msgspec.structs.replace(member, content=outcome))


def _range(source: Source) -> Range | None:
    member = _member(source)
    if member is None or not member.is_fetched_whole or not storage.is_remote(member.shard):
        return None
    return Range(member.shard, member.start, member.start + member.size, member.version)


def _member(source: Source) -> ShardMember | None:
    return source.member if isinstance(source, VideoFile | ImageFile) else None


def _with(source: Source, member: ShardMember) -> Source:
    assert isinstance(source, VideoFile | ImageFile), "others are in no tar"
    return msgspec.structs.replace(source, member=member)
