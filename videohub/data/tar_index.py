"""What lies where in a tar: its headers, read once, strictly, and by ranges where the file is far away.

A header is 512 bytes in front of each member, and says how far the next one is. A request takes as long as about a
megabyte does to come (50 ms, at 20 MB a second), so small members are read along in blocks of 4 MiB, and large ones
are skipped with a request for each header: of 20,000 videos of 2 MB, 20,000 requests of 64 KiB in place of 40 GB.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from videohub import storage
from videohub.errors import DataError, FileChangedError
from videohub.escaping import encodable

NOTED = (".cls", ".json")  # members whose content is kept beside the index: labels, in WebDataset's convention
_MOST_NOTED = 16 << 10  # bytes of such a member
BLOCK = 512  # bytes of a header; contents fill whole ones
_WORTH = 1 << 20  # bytes that come in the time of a request
_READ = 64 << 10  # bytes at once beside large members
_READ_SMALL = 4 << 20  # beside small ones
_READ_HERE = 4 << 10  # on a disk
_LARGEST_NAME = 1 << 20  # bytes of a long name, or of a header in pax's form
REST = 1 << 20  # bytes behind the end mark; tar fills up to 10 KiB, and to what its -b says
_PACKED = {
    b"\x1f\x8b": ("gzip", "gunzip < {} > plain.tar"),
    b"BZh": ("bzip2", "bunzip2 < {} > plain.tar"),
    b"\xfd7zXZ\0": ("xz", "unxz < {} > plain.tar"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd < {} > plain.tar"),
    b"\x04\x22\x4d\x18": ("lz4", "unlz4 < {} > plain.tar"),
    b"PK\x03\x04": ("zip", "unzip {}`, then `tar -cf"),
}


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A file in a tar: its name there, and which bytes of the tar are its content."""

    name: str  # where it is no text, with escapes
    start: int
    size: int
    content: bytes | None = None  # of one whose name ends as NOTED says


class TarIndex(msgspec.Struct, frozen=True):
    """The files of a tar in their order."""

    size: int  # of the tar, in bytes
    version: str  # of the tar: another one after any change
    members: list[Member]
    others: list[str] = []  # names of members that are no files: links, devices; folders are not told


def read_headers(location: str, status: storage.Stat) -> TarIndex:
    """Read all headers of a tar; another version of it than its `status` is an error.

    Raises: DataError if it is no tar, a packed one, cut short, damaged or continued behind its end, or names a member
        that would lie elsewhere (`..`, `/…`) or twice; what storage raises.
    """
    members: dict[str, Member] = {}
    others: list[str] = []
    shown = storage.shown(location)
    with _fetching(location, status) as fetch:
        blocks = _Blocks(fetch, status.size, storage.is_remote(location))
        for name, kind, start, size in _Headers(shown, status.size, blocks):
            if kind == "folder":
                continue
            if kind != "file":
                others.append(f"{name} ({kind})")
                continue
            if name in members:
                raise DataError(f"{shown}: {name!r} stands in it twice; each video must count once")
            small_label = name.endswith(NOTED) and size <= _MOST_NOTED
            members[name] = Member(name, start, size, blocks.read(start, size) if small_label else None)
    if not members:
        raise DataError(f"{shown}: holds no files")
    return TarIndex(status.size, status.version, [*members.values()], others)


def plain_name(name: str) -> str:
    """Return the name of a member as a file's would be when it is unpacked, without `./` and `//`, and as a text."""
    return encodable("/".join(part for part in name.split("/") if part not in ("", ".")))


class _Header(NamedTuple):
    name: str
    kind: str  # "file", "folder", or what else it is
    start: int  # of its content
    size: int


class _Headers:
    """The headers of a tar, one after the other."""

    def __init__(self, shown: str, size: int, blocks: _Blocks) -> None:
        self._shown, self._size, self._blocks = shown, size, blocks
        self._at = self._count = 0  # the next byte, and members so far

    def __iter__(self) -> Iterator[_Header]:
        """Yield the header of each member. Raises: DataError."""
        self._check_begin()
        extended: dict[str, str] = {}  # by the headers in front of a header, in its place
        while any(block := self._take(BLOCK)):
            at = self._at - BLOCK
            try:
                info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise DataError(f"{self._shown}: damaged at byte {at}: {error}; {self._found()}") from error
            if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE,
                             tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE):  # fmt: skip
                extended.update(self._said(info, at))
                continue
            yield self._member(info, extended)
            extended = {}
        self._check_end(bool(extended))

    def _member(self, info: tarfile.TarInfo, extended: dict[str, str]) -> _Header:
        name, kind = extended.get("path", info.name), _kind(info, extended)
        try:
            size = int(extended["size"]) if "size" in extended else info.size
        except ValueError:
            size = -1
        if size < 0:
            raise DataError(f"{self._shown}: damaged at byte {self._at - BLOCK}: {name!r} has no size")
        if kind in ("a sparse file", "of many tars"):
            raise DataError(f"{self._shown}: {name!r} is {kind}, which is not read; pack it anew with `tar -cf`")
        if info.type in _WITHOUT_CONTENT:
            size = 0  # what a link says is the size of another
        leads_out = "\0" in name or name.startswith("/") or ".." in name.split("/")
        if leads_out or not (plain_name(name) or kind == "folder"):
            raise DataError(f"{self._shown}: a member is called {name!r}, which leads out of it; pack it anew")
        start = self._at
        self._at += -(-size // BLOCK) * BLOCK
        if start + size > self._size:
            raise DataError(
                f"{self._shown}: cut short: {name!r} ends at byte {start + size}, the file at {self._size}; bring it "
                "here again"
            )
        self._count += 1
        self._blocks.skipped(size)
        return _Header(plain_name(name), kind, start, size)

    def _said(self, info: tarfile.TarInfo, at: int) -> dict[str, str]:
        """Return what a header that stands in front of another says in its place."""
        if not 0 <= info.size <= _LARGEST_NAME:
            raise DataError(f"{self._shown}: damaged at byte {at}: a header of {info.size} bytes")
        content = self._take(-(-info.size // BLOCK) * BLOCK)[: info.size]
        if info.type == tarfile.GNUTYPE_LONGNAME:
            return {"path": content.rstrip(b"\0").decode("utf-8", "surrogateescape")}
        if info.type == tarfile.GNUTYPE_LONGLINK:
            return {}
        extended = _pax(content)
        if extended is None:
            raise DataError(f"{self._shown}: damaged at byte {at}: its header in pax's form cannot be understood")
        if info.type == tarfile.XGLTYPE:  # for all that follow: comments, of git's archives; never a name or a size
            if "path" in extended or "size" in extended:
                raise DataError(f"{self._shown}: gives all members one name or size at byte {at}; pack it anew")
            return {}
        return extended

    def _take(self, count: int) -> bytes:
        """Return the next bytes. Raises: DataError if there are fewer."""
        if self._at + count > self._size:
            raise DataError(
                f"{self._shown}: cut short: a header was to stand at byte {self._at}, and the file ends at "
                f"{self._size} without the mark of a tar's end; {self._found()}; bring it here again"
            )
        block = self._blocks.read(self._at, count)
        self._at += count
        return block

    def _check_begin(self) -> None:
        """Refuse what is no tar. Raises: DataError."""
        if not self._size:
            raise DataError(f"{self._shown}: the file is empty (0 bytes)")
        begin = self._blocks.read(0, min(self._size, BLOCK))
        if len(begin) == BLOCK and not any(begin):  # one without members
            return
        try:
            tarfile.TarInfo.frombuf(begin, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            for mark, (name, command) in _PACKED.items():
                if begin.startswith(mark):
                    raise DataError(
                        f"{self._shown}: packed with {name}, so that no video in it can be read by itself. Unpack it "
                        f"once, such as by `{command.format(self._shown.rpartition('/')[2])}`"
                    ) from None
            raise DataError(f"{self._shown}: not a tar, or damaged where it begins ({error})") from error

    def _check_end(self, expected: bool) -> None:
        """Refuse an end in front of which a member was promised, or behind which something follows."""
        if expected:
            raise DataError(f"{self._shown}: damaged at byte {self._at - BLOCK}: it ends where a member was to follow")
        rest = self._size - self._at
        if rest > REST or any(self._blocks.read(self._at, rest)):
            raise DataError(
                f"{self._shown}: {rest} bytes follow its end at byte {self._at}; {self._found()}. Tars that were "
                "joined as files are read to the first one's end: join them with `tar -A`, or give both"
            )

    def _found(self) -> str:
        return f"{self._count} members stand before it"


_WITHOUT_CONTENT = (tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE,
                    tarfile.BLKTYPE)  # fmt: skip


def _kind(info: tarfile.TarInfo, extended: dict[str, str]) -> str:
    if info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in extended):
        return "a sparse file"
    if info.isreg():
        return "file"
    names = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "link", tarfile.FIFOTYPE: "pipe",
             tarfile.CHRTYPE: "device", tarfile.BLKTYPE: "device", b"M": "of many tars", b"V": "title",
             b"D": "folder"}  # fmt: skip
    return names.get(info.type, f"of the unknown type {info.type!r}")


def _pax(content: bytes) -> dict[str, str] | None:
    """Return the records `LENGTH key=value\\n` of a header in pax's form; None if they are none."""
    records = {}
    while content:
        match = re.match(rb"([1-9][0-9]{0,8}) ", content)
        if match is None or (length := int(match[1])) > len(content) or content[length - 1 : length] != b"\n":
            return None
        key, equals, value = content[match.end() : length - 1].partition(b"=")
        if not equals or not key:
            return None
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        content = content[length:]
    return records


@contextmanager
def _fetching(location: str, status: storage.Stat) -> Iterator[Callable[[int, int], bytes]]:
    """Yield what gives the bytes from one place to another."""
    if storage.is_remote(location):
        yield lambda start, stop: storage.read_range(location, start, stop, version=status.version)
        return
    try:
        with open(location, "rb", buffering=0) as file:

            def fetch(start: int, stop: int) -> bytes:
                file.seek(start)
                return file.read(stop - start)

            yield fetch
    except OSError as error:
        raise DataError(f"{location}: cannot be read: {error.strerror}") from error
    finally:  # whatever it seemed to be
        if storage.stat(location) != status:
            raise FileChangedError(f"{location}: has changed while it was read; wait until it is whole")


class _Blocks:
    """Bytes of a file by their places, read in blocks whose size follows from that of the members."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, far: bool) -> None:
        self._fetch, self._size, self._far = fetch, size, far
        self._start, self._held = 0, b""
        self._large = self._bytes = 0  # number and bytes of members so far that a usual block does not cover
        self._small = 0  # of others

    def skipped(self, size: int) -> None:
        """Note the size of a member."""
        if size > _READ:
            self._large, self._bytes = self._large + 1, self._bytes + size
        else:
            self._small += 1

    def read(self, start: int, count: int) -> bytes:
        """Return bytes that lie within the file."""
        if not (self._start <= start and start + count <= self._start + len(self._held)):
            stop = min(self._size, start + max(count, self._ahead()))
            self._start, self._held = start, self._fetch(start, stop)
        return self._held[start - self._start : start - self._start + count]

    def _ahead(self) -> int:
        if not self._far:
            return _READ_HERE
        few_large = self._bytes < _WORTH * self._large if self._large else self._small > 0
        return _READ_SMALL if few_large else _READ
