"""Tars that hold videos or images: which of them a text stands for, and what their members are.

A text is a tar, a pattern of several, or the index that WebDataset's `widsindex` writes: a JSON object with a
`shardlist` of `url` (from the index's own folder on), `nsamples` and, mostly, `filesize`. That says nothing of members,
so the tars' headers are read all the same; what it says of the tars is held against them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from videohub import storage
from videohub.data.samples import ImageFile, Shard, ShardMember, VideoFile, source_of
from videohub.data.sets.folders import is_leftover, suffixes_of
from videohub.data.sets.lists import left_out
from videohub.data.shard_indexes import read_indexes
from videohub.data.tar_index import Member, TarIndex
from videohub.errors import DataError, UsageError
from videohub.escaping import encodable
from videohub.protocols import Protocol
from videohub.storage.ranges import SMALL

_TARS = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.zstd", ".tar.lz4")
_IN_TAR = re.compile(r"(?P<tar>.+?\.tar(?:\?[^/]*)?)/(?P<name>.+)", re.IGNORECASE | re.DOTALL)
_SERVER = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)
_TOLD = 10  # shards in a message
_LOCATIONS: dict[str, str] = {}  # of tars whose videos were named, by how they are shown


def are_named(data: str | os.PathLike[str]) -> bool:
    """Tell whether a text stands for tars, not for a folder or a list: a URL, a path that ends as theirs, an index."""
    text = os.fspath(data)
    return storage.is_remote(text) or is_tar(text) or is_index(text)


def is_tar(text: str) -> bool:
    """Tell whether a path or URL ends as that of a tar does, and is no folder."""
    return storage.shown(text).lower().endswith(_TARS) and not os.path.isdir(text)


def names_of_videos(text: str, protocol: Protocol) -> tuple[list[str], tuple[str, ...]]:
    """Return what all videos in the tars that a text stands for are called, `TAR/MEMBER`, and what was left out.

    The names are without what may be a credential, which `member_called` of this process knows.
    Raises: as `read`; UsageError if there are none.
    """
    _members_of.cache_clear()  # another version may lie there by now
    shards = opened(text, protocol)
    members = [(shard, member.name) for shard in shards for member in shard.members()]
    names = [f"{shard.shown}/{name}" for shard, name in members if shard.is_wanted(name)]
    _LOCATIONS.update((shard.shown, shard.location) for shard in shards)
    if not names:
        raise UsageError(f"{storage.shown(text)}: no member ends in {', '.join(suffixes_of(protocol))}")
    return names, left_out("members of other endings", [name for shard, name in members if not shard.is_wanted(name)])


def member_called(text: str) -> ShardMember | None:
    """Return the member of a tar that `TAR/MEMBER` names; None where a text names none, but a file or nothing.

    Raises: UsageError if the tar has no such member; and what reading its index raises.
    """
    match = _IN_TAR.fullmatch(text)
    if match is None:
        return None
    location = _LOCATIONS.get(match["tar"], match["tar"])
    if not (storage.is_remote(text) or os.path.isfile(location)):
        return None
    version = None if storage.is_remote(text) else storage.stat(location).version  # may be another file by now
    member = _members_of(location, version).get(match["name"])
    if member is None:
        raise UsageError(f"{storage.shown(match['tar'])}: no member is called {match['name']!r}")
    return member


@functools.lru_cache(256)  # whoever names one names others
def _members_of(location: str, _version: str | None) -> dict[str, ShardMember]:
    (index,) = read_indexes([location])
    return {each.name: _shard_member(location, index, each) for each in index.members}


def _shard_member(location: str, index: TarIndex, member: Member) -> ShardMember:
    return ShardMember(location, member.name, member.start, member.size, index.version)


@dataclass(frozen=True)
class OpenShard:
    """A tar and its index."""

    location: str
    index: TarIndex
    protocol: Protocol  # which wants videos or images

    @cached_property
    def shown(self) -> str:
        return storage.shown(self.location)

    def stamp(self) -> Shard:
        """Return what a run keeps of the shard."""
        places = [(each.name, each.start, each.size) for each in self.index.members]
        digest = hashlib.sha256(msgspec.msgpack.encode(places)).hexdigest()
        return Shard(self.shown, self.index.size, self.index.version, digest)

    def members(self) -> Iterator[Member]:
        """Yield the members that no system has left there for itself, such as `._a.mp4`."""
        return (each for each in self.index.members if not any(map(is_leftover, each.name.split("/"))))

    def source(self, member: Member) -> VideoFile | ImageFile:
        return source_of(_shard_member(self.location, self.index, member), self.protocol)

    def is_wanted(self, name: str) -> bool:
        return name.lower().endswith(suffixes_of(self.protocol))


def opened(data: str, protocol: Protocol, *, labels: bool = True) -> list[OpenShard]:
    """Return the tars that a pattern stands for, with what each holds of the files that a protocol wants.

    Raises: as `read`.
    """
    stated = listed_shards(data) if is_index(data) else None
    locations = storage.expand(data) if stated is None else [each.url for each in stated]
    if not locations:
        raise UsageError(f"{storage.shown(data)}: no such file")
    if odd := next((each for each in locations if encodable(each) != each), None):
        raise UsageError(f"{encodable(odd)}: the name of this file is no UTF-8; give it another one")
    indexes = read_indexes(locations, labels=labels)
    if stated is not None:
        _check_stated(data, stated, indexes)
    return [OpenShard(each, index, protocol) for each, index in zip(locations, indexes, strict=True)]


# --- the index that widsindex writes ---------------------------------------------------------------------------------


class ListedShard(msgspec.Struct, frozen=True):
    """A tar as an index states it; `url` is where it lies once `listed_shards` has returned it."""

    url: str
    nsamples: int | None = None
    filesize: int | None = None  # bytes


class _Index(msgspec.Struct, frozen=True):
    shardlist: list[ListedShard]


def is_index(text: str) -> bool:
    """Tell whether a text is the path or URL of such an index; a file is looked into, a URL is believed."""
    if not storage.shown(text).lower().endswith(".json"):
        return False
    if storage.is_remote(text):
        return True
    try:
        return os.path.getsize(text) <= SMALL and _decoded(Path(text).read_bytes()) is not None
    except (OSError, ValueError):
        return False


def listed_shards(location: str) -> list[ListedShard]:
    """Return the tars that an index names, in its order, each once.

    An index that lies behind a URL may name tars of its own server alone: no stranger's file sends requests, and
    whatever the user's credentials open, elsewhere.
    Raises: DataError if it is no such index, names none, one twice or one elsewhere; and as `storage.read_all`.
    """
    shown = storage.shown(location)
    index = _decoded(storage.read_all(location))
    if index is None or not index.shardlist:
        raise DataError(f"{shown}: found no list of shards, expected the JSON that widsindex writes, with a "
                        "`shardlist` of `url` and `nsamples`; a list of videos is what --list takes")  # fmt: skip
    shards = [msgspec.structs.replace(each, url=_resolved(each.url, location)) for each in index.shardlist]
    if len({each.url for each in shards}) < len(shards):
        raise DataError(f"{shown}: names a shard twice")
    return shards


def _check_stated(location: str, shards: Sequence[ListedShard], indexes: Sequence[TarIndex]) -> None:
    """Hold what an index states against its tars. Raises: DataError that names those that differ."""
    wrong: list[str] = []
    for shard, index in zip(shards, indexes, strict=True):
        keys = {key_of(member.name) for member in index.members}
        if shard.filesize not in (None, index.size):
            wrong.append(f"{storage.shown(shard.url)}: states {shard.filesize} bytes, found {index.size}")
        elif shard.nsamples not in (None, len(keys), len(index.members)):  # some writers count files
            wrong.append(f"{storage.shown(shard.url)}: states {shard.nsamples} samples, found {len(keys)}")
    if wrong:
        more = f"\n  … and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        lines = "\n  ".join(wrong[:_TOLD])
        raise DataError(f"{storage.shown(location)}: {len(wrong)} of {len(shards)} shards are not as it states; get "
                        f"them again, or write the index anew:\n  {lines}{more}")  # fmt: skip


def key_of(name: str) -> str:
    """Return the key of a member by WebDataset's rule: its name up to the first dot behind its folder's."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _decoded(content: bytes) -> _Index | None:
    try:
        return msgspec.json.decode(content, type=_Index)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _resolved(url: str, location: str) -> str:
    """Return where a shard lies. Raises: DataError if an index far away names one that is not beside it or below."""
    if not storage.is_remote(location):
        return url if storage.is_remote(url) else os.path.join(os.path.dirname(location), url)
    home = _server(location)
    if storage.is_remote(url) and _server(url) == home:
        return url
    path = posixpath.normpath(url)
    if "://" in url or path.startswith(("/", "..")):
        raise DataError(f"{storage.shown(location)}: names the shard {storage.shown(url)}, expected one below the "
                        "index's own folder or on its server; give the shards' own URLs to --data")  # fmt: skip
    head, query, signature = location.partition("?")
    return f"{head.rpartition('/')[0]}/{path}{query}{signature}"


def _server(url: str) -> str:
    """Return scheme and host of a URL, or the bucket."""
    match = _SERVER.match(storage.shown(url))
    return match[0].lower() if match else ""
