"""The index of shards that WebDataset's `widsindex` writes: which tars there are, how large, of how many samples.

A JSON object with a `shardlist` of `url` (from the index's own folder on), `nsamples` and, mostly, `filesize`. It says
nothing of members, so the tars' headers are read all the same; what it says of the tars is held against them.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from videohub import storage
from videohub.data.tar_index import TarIndex
from videohub.errors import DataError
from videohub.storage.ranges import SMALL

_TOLD = 10  # shards in a message
_SERVER = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)


class ListedShard(msgspec.Struct, frozen=True):
    """A tar as an index states it; `url` is where it lies once `listed` has returned it."""

    url: str
    nsamples: int | None = None
    filesize: int | None = None  # bytes


class _Index(msgspec.Struct, frozen=True):
    shardlist: list[ListedShard]


def is_named(text: str) -> bool:
    """Tell whether a text is the path or URL of such an index; a file is looked into, a URL is believed."""
    if not storage.shown(text).lower().endswith(".json"):
        return False
    if storage.is_remote(text):
        return True
    try:
        return os.path.getsize(text) <= SMALL and _decoded(Path(text).read_bytes()) is not None
    except (OSError, ValueError):
        return False


def listed(location: str) -> list[ListedShard]:
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


def check(location: str, shards: Sequence[ListedShard], indexes: Sequence[TarIndex]) -> None:
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
        told = "\n  ".join(wrong[:_TOLD])
        raise DataError(f"{storage.shown(location)}: {len(wrong)} of {len(shards)} shards are not as it states; get "
                        f"them again, or write the index anew:\n  {told}{more}")  # fmt: skip


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
