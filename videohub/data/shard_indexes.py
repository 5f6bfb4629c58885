"""The indexes of many tars: read at once, once for each version of a file, and kept in the cache for the next time.

Where no labels are wanted, the index that NVIDIA DALI's `wds2idx` writes beside a tar is taken for its headers' word,
if they agree.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from tqdm import tqdm

from videohub import resources, storage
from videohub.data.tar_index import BLOCK, REST, Member, TarIndex, plain_name, read_headers
from videohub.errors import DataError, DownloadError, FileMissingError, OfflineError
from videohub.files import atomic_write, read_file
from videohub.log import log

_FORMAT = "videohub tar index 2"
_AT_ONCE = 16  # tars; the headers of one can only be asked for one after the other
_LOOKED_AT = 8  # headers of a tar with an index beside it, the first and the last among them
_HEAD = re.compile(r"v1\.[2-9] [0-9]+")
_TOLD = 20  # tars that cannot be used, in a message


class _Kept(msgspec.Struct, frozen=True):
    format: str
    index: TarIndex


def read_indexes(locations: Sequence[str], *, labels: bool = True) -> list[TarIndex]:
    """Return the index of each tar, in their order.

    An index that is kept in the cache counts if the file there has the same size and version; where no `labels` are
    wanted, also one that DALI's tool has written beside the tar, if it agrees.
    Raises: DataError that names all tars that are missing, cut short or otherwise unusable, and why; DownloadError
        that does, if some may be had another time; UsageError, OfflineError.
    """
    with (
        ThreadPoolExecutor(min(_AT_ONCE, len(locations)), thread_name_prefix="videohub-indexing") as threads,
        tqdm(total=len(locations), desc="reading shards", unit="shard", leave=False, disable=None) as bar,
    ):
        outcomes: list[TarIndex | DataError | DownloadError] = []
        for each in threads.map(functools.partial(_index_or_error, labels=labels), locations):
            outcomes.append(each)
            bar.update()
    errors = [each for each in outcomes if not isinstance(each, TarIndex)]
    if errors:
        kind = DownloadError if any(isinstance(each, DownloadError) for each in errors) else DataError
        raise kind(_in_words(errors, len(locations)))
    return [each for each in outcomes if isinstance(each, TarIndex)]


def kept_place(location: str, suffix: str) -> Path:
    """Return where what was found out about a tar, or a pattern of them, is kept; the name does not tell of what."""
    name = storage.shown(location) if storage.is_remote(location) else os.path.abspath(location)
    return resources.cache_home() / "shards" / f"{hashlib.sha256(os.fsencode(name)).hexdigest()}{suffix}"


def _in_words(errors: Sequence[DataError | DownloadError], total: int) -> str:
    if total == 1:
        return str(errors[0])
    more = f"\n  … and {len(errors) - _TOLD} more" if len(errors) > _TOLD else ""
    lines = "".join(f"\n  {error}" for error in errors[:_TOLD])
    absent = sum(isinstance(error, FileMissingError) for error in errors)
    counts = f", {absent} of them missing" if absent else ""
    return f"{len(errors)} of {total} shards cannot be used{counts}; expected all of them, whole:{lines}{more}"


def _index_or_error(location: str, *, labels: bool) -> TarIndex | DataError | DownloadError:
    try:
        return _index(location, labels=labels)
    except OfflineError:
        raise
    except (DataError, DownloadError) as error:
        return error


def _index(location: str, *, labels: bool) -> TarIndex:
    status = storage.stat(location)
    place = kept_place(location, ".msgpack")
    if status.tells_changes and (kept := _kept(place)) and (kept.size, kept.version) == (status.size, status.version):
        return kept
    if not labels and (beside := _read_beside(location, status)):
        return beside  # and not kept: it has no labels
    index = read_headers(location, status)
    if not status.tells_changes:
        return index
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(place) as part:
            part.write_bytes(msgspec.msgpack.encode(_Kept(_FORMAT, index)))
    except OSError as error:
        log.info("the index of %s is not kept: %s", storage.shown(location), error.strerror)
    return index


def _kept(place: Path) -> TarIndex | None:
    """Return the index that is kept at a place; None where there is none that can be understood."""
    try:
        kept = msgspec.msgpack.decode(read_file(place), type=_Kept)
        return kept.index if kept.format == _FORMAT else None
    except (OSError, msgspec.MsgspecError, ValueError):
        return None


# --- the index that wds2idx writes -----------------------------------------------------------------------------------


def _read_beside(location: str, status: storage.Stat) -> TarIndex | None:
    """Return the index that lies beside a tar as `NAME.idx`; None where there is none, or it does not agree.

    A line for each sample, `mp4 1536 2097152 a.mp4 cls 2099200 1 a.cls`: suffix, offset, size and name of each member.
    It is believed if its members follow each other without a gap from the first byte of the tar to the mark of its
    end, and if the headers of some of them say the same; so nothing between them can be left out.
    Raises: OfflineError; FileChangedError if the tar is another one by now.
    """
    if not location.endswith(".tar"):  # with a query behind it, say, that may be a signature of this name alone
        return None
    try:
        text = storage.read_all(f"{location.removesuffix('.tar')}.idx").decode()
    except OfflineError:
        raise
    except (DataError, DownloadError, UnicodeDecodeError):
        return None
    members = _members(text)
    why = "it cannot be understood" if members is None else _contradiction(members, location, status)
    if members is None or why is not None:
        log.warning("%s: the index beside it is left aside: %s; the headers are read", storage.shown(location), why)
        return None
    return TarIndex(status.size, status.version, members)


def _members(text: str) -> list[Member] | None:
    """Return what an index lists, in the order of the tar; None if it is in another form."""
    head, *lines = text.splitlines() or [""]
    if not _HEAD.fullmatch(head):
        return None
    members = []
    for line in lines:
        fields = line.split(" ")
        if len(fields) % 4:  # a name with a space in it
            return None
        for start, size, name in zip(fields[1::4], fields[2::4], fields[3::4], strict=True):
            if not (re.fullmatch("[0-9]{1,18}", start) and re.fullmatch("[0-9]{1,18}", size)):
                return None
            members.append(Member(plain_name(name), int(start), int(size)))
    return sorted(members, key=lambda member: member.start) or None


def _contradiction(members: list[Member], location: str, status: storage.Stat) -> str | None:
    """Return in what an index differs from its tar, as far as some of its bytes tell."""
    at = 0
    for member in members:
        if member.start != at + BLOCK:
            return f"{member.name} begins at byte {member.start}, expected {at + BLOCK} behind the member before it"
        at = member.start + -(-member.size // BLOCK) * BLOCK
    if len({member.name for member in members}) < len(members):
        return "it names a member twice"
    if not at + BLOCK <= status.size <= at + REST:
        return f"its members end at byte {at} of {status.size}"
    if any(storage.read_range(location, at, status.size, version=status.version)):
        return f"its members end at byte {at}, and the tar does not"
    for member in members[:: max(1, len(members) // (_LOOKED_AT - 1))] + members[-1:]:
        block = storage.read_range(location, member.start - BLOCK, member.start, version=status.version)
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            return f"{member.name}: its header is damaged ({error})"
        if (plain_name(info.name), info.size, info.isreg()) != (member.name, member.size, True):
            return f"{member.name} of {member.size} bytes: its header says {info.name} of {info.size}"
    return None
