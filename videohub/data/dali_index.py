"""Indexes that NVIDIA DALI's `wds2idx` writes beside tars: taken for their headers' word where they agree with the tar.

A line for each sample, `mp4 1536 2097152 a.mp4 cls 2099200 1 a.cls`: suffix, offset, size and name of each member. It
is believed if its members follow each other without a gap from the first byte of the tar to the mark of its end, and
if the headers of some of them say the same; so nothing between them can be left out.
"""

from __future__ import annotations

import re
import tarfile

from videohub import storage
from videohub.data.tar_index import Member, TarIndex, plain_name
from videohub.errors import DataError, DownloadError, OfflineError
from videohub.log import log

_LOOKED_AT = 8  # headers, the first and the last among them
_BLOCK, _REST = 512, 1 << 20
_HEAD = re.compile(r"v1\.[2-9] [0-9]+")


def read_beside(location: str, found: storage.Stat) -> TarIndex | None:
    """Return the index that lies beside a tar as `NAME.idx`; None where there is none, or it does not agree.

    Raises: OfflineError; FileChangedError if the tar is another one by now.
    """
    shown = storage.shown(location)
    if not location.endswith(".tar"):  # with a query behind it, say, that may be a signature of this name alone
        return None
    try:
        text = storage.read_all(f"{location.removesuffix('.tar')}.idx").decode()
    except OfflineError:
        raise
    except (DataError, DownloadError, UnicodeDecodeError):
        return None
    members = _members(text)
    why = "it cannot be understood" if members is None else _contradiction(members, location, found)
    if members is None or why is not None:
        log.warning("%s: the index beside it is left aside: %s; the headers are read", shown, why)
        return None
    return TarIndex(found.size, found.version, members)


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


def _contradiction(members: list[Member], location: str, found: storage.Stat) -> str | None:
    """Return in what an index differs from its tar, as far as some of its bytes tell."""
    at = 0
    for member in members:
        if member.start != at + _BLOCK:
            return f"{member.name} begins at byte {member.start}, expected {at + _BLOCK} behind the member before it"
        at = member.start + -(-member.size // _BLOCK) * _BLOCK
    if len({member.name for member in members}) < len(members):
        return "it names a member twice"
    if not at + _BLOCK <= found.size <= at + _REST:
        return f"its members end at byte {at} of {found.size}"
    if any(storage.read_range(location, at, found.size, version=found.version)):
        return f"its members end at byte {at}, and the tar does not"
    for member in members[:: max(1, len(members) // (_LOOKED_AT - 1))] + members[-1:]:
        block = storage.read_range(location, member.start - _BLOCK, member.start, version=found.version)
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            return f"{member.name}: its header is damaged ({error})"
        if (plain_name(info.name), info.size, info.isreg()) != (member.name, member.size, True):
            return f"{member.name} of {member.size} bytes: its header says {info.name} of {info.size}"
    return None
