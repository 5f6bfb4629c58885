"""Opens a zip file that all readers see alike, and numpy's arrays in one: its directory agrees with what lies before.

torch reads a file with another library than Python does. Where the two could find different members in it, what was
looked through would not be what is loaded; so nothing may occur twice, be packed beyond reason, or share bytes.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from videohub.convert.archives import DAMAGED_MEMBER, MAX_MEMBERS
from videohub.errors import FormatError, UnsafeFileError
from videohub.pickles.stored_values import (
    CHUNK,
    DTYPES,
    StoredTensor,
    bytes_at,
    checked_shape,
    claims_too_much,
    damaged,
)

MAX_DIRECTORY = 16 << 20  # 46 bytes and a name for each member


def open_zip(file: IO[bytes], source: str, limit: int) -> zipfile.ZipFile:
    """Open a zip file that unpacks to no more than `limit` bytes; it reads from `file`, which the caller closes.

    Raises: FormatError if it is cut short or damaged; UnsafeFileError for bombs, and for a file with two meanings.
    """
    begin = _check_directory(file, source)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise _cut_short(source, str(error)) from None
    _check_members(archive.infolist(), file.seek(0, 2), limit, source)
    _check_places(file, archive.infolist(), begin, source)
    return archive


@dataclass
class Member:
    """Bytes of a file that are not compressed, such as a member of an archive, and the checksum stated for them."""

    name: str
    file: IO[bytes]
    offset: int
    size: int
    crc: int | None  # None: whoever wrote the file states none
    source: str
    checked: bool = False

    def check(self) -> None:
        """Compare its bytes with its checksum, once.

        Raises: FormatError.
        """
        if self.checked or self.crc is None:
            return
        checksum = 0
        for piece in bytes_at(self.file, self.offset, self.size, self.source):
            checksum = zlib.crc32(piece, checksum)
        if checksum != self.crc:
            what = f"damaged (Bad CRC-32 of {self.name!r:.100}: {checksum:08x}, expected {self.crc:08x})"
            raise damaged(self.source, what)
        self.checked = True


def members_of(file: IO[bytes], archive: zipfile.ZipFile, source: str) -> dict[str, Member]:
    """Return the members of an archive without compression, by name; torch can be told to write no checksums: all 0."""
    stated = any(info.CRC for info in archive.infolist())
    members = {}
    for info in archive.infolist():
        file.seek(info.header_offset)
        *_, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
        offset = info.header_offset + _LOCAL.size + name + extra
        members[info.filename] = Member(
            info.filename, file, offset, info.file_size, info.CRC if stated else None, source
        )
    return members


def is_npz(archive: zipfile.ZipFile) -> bool:
    """Tell whether a zip file holds numpy arrays and nothing else."""
    return bool(archive.namelist()) and all(name.endswith(".npy") for name in archive.namelist())


def read_npz(archive: zipfile.ZipFile, source: str) -> dict[str, StoredTensor]:
    """Return the arrays of an npz file; those of Python objects are refused."""
    tensors = {}
    for info in archive.infolist():
        try:
            tensors[info.filename.removesuffix(".npy")] = _npy(archive, info, source)
        except _DAMAGED_NPY as error:
            raise _damaged_npz(info, source, error) from None
    return tensors


_MAX_NPY_HEADER = 12 + 10_000  # numpy parses no longer one, but reads whatever length it claims
_DAMAGED_NPY = (*DAMAGED_MEMBER, SyntaxError, tokenize.TokenError, RecursionError)


def _npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str) -> StoredTensor:
    """Return one array, after comparing the shape in its header with its length."""
    with archive.open(info) as member:
        file = io.BytesIO(member.read(_MAX_NPY_HEADER))
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = header(file)
    except MemoryError:  # what the parser says of a deeply nested text
        raise ValueError("an unreadable header") from None
    start = file.tell()
    if dtype.kind not in "fiubc":
        raise UnsafeFileError(
            f"{source}: {info.filename!r:.100} has dtype {dtype!s:.100}, expected numbers.\n"
            "  Python objects can run code when they are built, so none was."
        )
    if f"{dtype.kind}{dtype.itemsize}" not in DTYPES:
        raise FormatError(
            f"{source}: {info.filename!r:.100} has dtype {dtype!s:.100}, expected one of {', '.join(DTYPES)}.\n"
            "  Convert it where it was made, and save it again."
        )
    shape = checked_shape(shape, source)
    if (needed := math.prod(shape) * dtype.itemsize) != info.file_size - start:
        raise claims_too_much(shape, needed, info.file_size - start, f"{source}: {info.filename!r:.100}")

    def chunks() -> Iterator[bytes]:
        try:
            with archive.open(info) as member:
                member.read(start)
                while chunk := member.read(CHUNK):  # to its end, where its checksum is compared
                    yield chunk
        except _DAMAGED_NPY as error:
            raise _damaged_npz(info, source, error) from None

    axes = tuple(reversed(range(len(shape)))) if fortran else None
    return StoredTensor(shape, dtype, chunks, source, axes=axes)


def _damaged_npz(info: zipfile.ZipInfo, source: str, error: BaseException) -> FormatError:
    """Return the error for an npz file that cannot be read."""
    return damaged(source, f"a damaged npz file ({info.filename!r:.100}: {error!s:.200})")


_LAST = struct.Struct("<4s4H2LH")  # mark, ..., members, length and place of the directory, length of the comment
_LAST_OF_LARGE = struct.Struct("<4sQ2H2L4Q")  # mark, ..., length and place of the directory
_POINTER_TO_IT = struct.Struct("<4sLQL")  # mark, disk, place, disks
_MEMBER = struct.Struct("<4s24x3H12x")  # mark, lengths of name, extra field and comment
_LOCAL = struct.Struct("<4s4xH16x2H")  # mark, method, lengths of name and extra field


def _check_directory(file: IO[bytes], source: str) -> int:
    """Return where the directory begins, after checking that it fills the place up to the records behind it."""
    total = file.seek(0, 2)
    tail_start = max(0, total - (1 << 16) - _LAST.size)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _LAST.size:
        raise _cut_short(source, "its directory, the end of the file, is missing")
    *_, length, begin, comment = _LAST.unpack_from(tail, at)
    end = tail_start + at
    if end + _LAST.size + comment != total:
        raise _ambiguous(source, "its last record is not its end")
    pointer = tail[max(0, at - _POINTER_TO_IT.size) : at]
    if pointer.startswith(b"PK\x06\x07"):
        end -= _POINTER_TO_IT.size + _LAST_OF_LARGE.size
        if end < tail_start or _POINTER_TO_IT.unpack(pointer)[2] != end:
            raise _ambiguous(source, "its second last record is not where it should be")
        mark, *_, length, begin = _LAST_OF_LARGE.unpack_from(tail, end - tail_start)
        if mark != b"PK\x06\x06":
            raise _cut_short(source, "no record of its length")
    if begin + length != end:
        raise _ambiguous(source, "its directory is not where it should be")
    if length > MAX_DIRECTORY:
        raise UnsafeFileError(f"{source}: a zip file whose directory takes {length} bytes.\n  Do not use this file.")
    file.seek(begin)
    _check_length(file.read(length), source)
    return int(begin)


def _check_length(directory: bytes, source: str) -> None:
    """Refuse a directory of too many members before each takes a thousand bytes as an object."""
    at = count = 0
    while at + _MEMBER.size <= len(directory):
        mark, *lengths = _MEMBER.unpack_from(directory, at)
        if mark != b"PK\x01\x02":
            break
        at += _MEMBER.size + sum(lengths)
        count += 1
        if count > MAX_MEMBERS:
            raise UnsafeFileError(
                f"{source}: a zip file of more than {MAX_MEMBERS} members.\n  Give the checkpoint alone."
            )
    if at != len(directory):
        raise _cut_short(source, f"its directory is unreadable after {count} members")


def _check_members(members: list[zipfile.ZipInfo], packed: int, limit: int, source: str) -> None:
    """Refuse members that readers could take for each other, and those that no checkpoint has."""
    names: set[str] = set()
    for info in members:
        if info.filename.casefold() in names:  # torch does not tell capitals from small letters
            raise UnsafeFileError(
                f"{source}: a zip file that holds {info.filename!r:.100} twice; which one is read depends on the "
                "reader.\n  Do not use this file."
            )
        names.add(info.filename.casefold())
        if info.filename != info.orig_filename:
            raise _ambiguous(source, f"its member {info.orig_filename!r:.100} is read as {info.filename!r:.100}")
        if info.flag_bits & 1:
            raise FormatError(f"{source}: an encrypted zip file, expected a plain one.\n  Unpack it first.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsafeFileError(
                f"{source}: its member {info.filename!r:.100} is packed by method {info.compress_type}, expected none "
                "or deflate.\n  Other methods take whatever memory they ask for. Unpack it first, if you trust it."
            )
    if (unpacked := sum(info.file_size for info in members)) > limit:
        raise UnsafeFileError(
            f"{source}: a zip file of {packed} bytes that unpacks to {unpacked}, which no checkpoint does.\n"
            "  Nothing was unpacked. Do not use this file."
        )


def _check_places(file: IO[bytes], members: list[zipfile.ZipInfo], end: int, source: str) -> None:
    """Refuse members that are not where the directory says, or not what it says, or that share bytes."""
    for info in sorted(members, key=lambda info: info.header_offset, reverse=True):
        if not 0 <= info.header_offset <= end - _LOCAL.size:
            raise _cut_short(source, f"its member {info.filename!r:.100} is missing")
        file.seek(info.header_offset)
        mark, method, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
        if mark != b"PK\x03\x04":
            raise _cut_short(source, f"its member {info.filename!r:.100} is missing")
        raw = info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
        if file.read(name) != raw or method != info.compress_type:
            raise _ambiguous(source, f"its member {info.filename!r:.100} has another name or method in its own header")
        if info.header_offset + _LOCAL.size + name + extra + info.compress_size > end:
            raise UnsafeFileError(
                f"{source}: a zip file in which {info.filename!r:.100} reaches into what follows: they share bytes.\n"
                "  Nothing was unpacked. The file is damaged, or made to fill the memory: do not use it."
            )
        end = info.header_offset


def _ambiguous(source: str, what: str) -> UnsafeFileError:
    """Return the error for a zip file in which two readers would find different things."""
    return UnsafeFileError(
        f"{source}: a zip file with two meanings ({what}); what is found in it depends on the reader.\n"
        "  Nothing was unpacked. It is damaged, or made to hide something: do not use it."
    )


def _cut_short(source: str, what: str) -> FormatError:
    """Return the error for a zip file without an end."""
    return damaged(source, f"a zip file, as torch.save writes them, that is cut short or damaged ({what})")
