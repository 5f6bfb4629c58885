"""Takes gzip, tar and zip off a checkpoint: into a temporary folder, under a cap, one member and never by its path."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from videohub.convert.sniffing import HEAD, sniff
from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import visible

# Float weights shrink by a tenth. Momentum that is all zeros shrinks a thousandfold, but it comes with as many weights.
# So a checkpoint stays near twofold, and the largest published one is below 1 GiB.
MAX_BYTES = 4 << 30
MAX_RATIO = 100
ALLOWANCE = 16 << 20
MAX_MEMBERS = 10_000


def cap(packed: int) -> int:
    """Return how many bytes a file of `packed` bytes may unpack to."""
    return min(MAX_BYTES, MAX_RATIO * packed + ALLOWANCE)


def gunzip(path: Path, target: Path, source: str, limit: int) -> None:
    """Unpack the gzip file `path` to `target`. Raises: UnsafeFileError above `limit`, FormatError if it is damaged."""
    try:
        with gzip.open(path) as packed:
            _copy(packed, target, None, limit, source)
    except EOFError:
        raise FormatError(f"{source}: a gzip file that is cut short.\n  Fetch it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(f"{source}: a damaged gzip file ({error}).\n  Fetch it again.") from None


def untar(path: Path, target: Path, source: str) -> str:
    """Copy the one checkpoint in the tar file `path` to `target` and return its name there.

    Raises: UnsafeFileError for links, devices, absolute names and `..`; FormatError unless there is exactly one.
    """
    with path.open("rb") as file:
        members = list(tar_members(file, path.stat().st_size, source))
        heads = [(member.name, _head(file, member)) for member in members]
        name = _only_checkpoint(heads, "tar", source)
        chosen = next(member for member in members if member.name == name)
        file.seek(chosen.offset)
        _copy(file, target, chosen.size, chosen.size, source)
    return name


def unzip(archive: zipfile.ZipFile, target: Path, source: str) -> str:
    """Copy the one checkpoint in the zip file `archive` to `target` and return its name there; as `untar` does."""
    heads = []
    for info in archive.infolist():
        _check_name(info.filename, source)
        if not info.is_dir():
            with archive.open(info) as member:
                heads.append((info.filename, member.read(HEAD)))
    name = _only_checkpoint(heads, "zip", source)
    info = archive.getinfo(name)
    with archive.open(info) as member:
        _copy(member, target, info.file_size, info.file_size, source)
        member.read(1)  # its end, where its checksum is compared
    return name


class Member(NamedTuple):
    name: str
    offset: int
    size: int


def tar_members(file: IO[bytes], total: int, source: str) -> Iterator[Member]:
    """Yield the regular files of a tar, header by header; the standard reader would hold hostile headers in memory."""
    offset, long_name, count = 0, "", 0
    while offset + 512 <= total:
        file.seek(offset)
        block = file.read(512)
        if not any(block):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise FormatError(f"{source}: a damaged tar file ({error} at byte {offset}).\n  Fetch it again.") from None
        start, count = offset + 512, count + 1
        if count > MAX_MEMBERS:
            raise UnsafeFileError(
                f"{source}: a tar file of more than {MAX_MEMBERS} members.\n  Give the checkpoint alone."
            )
        if info.size < 0 or start + info.size > total:
            raise FormatError(
                f"{source}: a tar file that is cut short: {info.name!r} takes {info.size} bytes of {total - start}.\n"
                "  Fetch it again."
            )
        offset = start + (info.size + 511) // 512 * 512
        if info.type in _LONG_NAMES:
            if info.size > _LONGEST_HEADER:
                raise UnsafeFileError(f"{source}: a tar file with a name of {info.size} bytes.\n  Do not use it.")
            long_name = _long_name(info.type, file.read(info.size), source) or long_name
            continue
        name, long_name = long_name or info.name, ""
        _check_name(name, source)
        if info.isdir() or info.type == tarfile.XGLTYPE:
            continue
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
            raise UnsafeFileError(
                f"{source}: the tar file holds {name!r:.200}, a link, a device or a sparse file, not a plain file.\n"
                "  Nothing was written. Pack the checkpoint itself, or give it unpacked."
            )
        yield Member(name, start, info.size)


_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONGEST_HEADER = 1 << 16
_LONGEST_NAME = 1024


def _long_name(kind: bytes, data: bytes, source: str) -> str:
    """Return the name that an extension header gives to the next member, or nothing."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return data.rstrip(b"\0").decode("utf-8", "surrogateescape")
    name = ""
    while data.strip(b"\0"):
        digits, _, rest = data.partition(b" ")
        if not digits.isdigit() or len(digits) > 6 or not len(digits) + 1 < int(digits) <= len(data):
            raise FormatError(f"{source}: a damaged tar file (unreadable extended header).\n  Fetch it again.")
        key, _, value = rest[: int(digits) - len(digits) - 1].rstrip(b"\n").partition(b"=")
        if key == b"size" or key.startswith(b"GNU.sparse"):
            raise UnsafeFileError(
                f"{source}: a tar file with sparse or oversized members.\n  Give the checkpoint unpacked."
            )
        name = value.decode("utf-8", "surrogateescape") if key == b"path" else name
        data = data[int(digits) :]
    return name


def _check_name(name: str, source: str) -> None:
    """Refuse names that would leave the folder of an unpacked archive."""
    if len(name) > _LONGEST_NAME:
        raise UnsafeFileError(f"{source}: the archive holds a name of {len(name)} characters.\n  Do not use it.")
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or name[1:2] == ":" or "\0" in name:
        raise UnsafeFileError(
            f"{source}: the archive holds {name!r:.200}, a path that leads out of it.\n"
            "  Nothing was written. The archive was made to overwrite files, or by mistake: do not unpack it."
        )


def _head(file: IO[bytes], member: Member) -> bytes:
    """Return the first bytes of a member."""
    file.seek(member.offset)
    return file.read(min(HEAD, member.size))


def _only_checkpoint(heads: list[tuple[str, bytes]], archive: str, source: str) -> str:
    """Return the name of the one member that looks like a checkpoint."""
    candidates = [name for name, head in heads if sniff(head) and not PurePosixPath(name).name.startswith("._")]
    listing = "".join(f"\n    {visible(name):.100}" for name in (candidates or [name for name, _ in heads])[:20])
    if len(candidates) > 1:
        raise FormatError(
            f"{source}: a {archive} file that holds {len(candidates)} checkpoints, expected one:{listing}\n"
            "  Unpack it and give the one you mean."
        )
    if not candidates:
        raise FormatError(
            f"{source}: a {archive} file without a checkpoint; it holds:{listing or ' nothing'}\n  Fetch it again."
        )
    if sum(name == candidates[0] for name, _ in heads) > 1:
        raise UnsafeFileError(f"{source}: a {archive} file that holds {candidates[0]!r:.200} twice.\n  Do not use it.")
    return candidates[0]


def _copy(file: IO[bytes] | gzip.GzipFile, target: Path, size: int | None, limit: int, source: str) -> None:
    """Write `size` bytes of `file` (all if None) to `target`, and no more than `limit`."""
    written = 0
    with target.open("xb") as out:
        while chunk := file.read(min(1 << 20, (limit + 1 if size is None else size) - written)):
            written += len(chunk)
            if written > limit:
                raise UnsafeFileError(
                    f"{source}: unpacks to more than {limit} bytes, which no checkpoint of this size does.\n"
                    f"  The limit is {MAX_RATIO} times the packed size plus 16 MiB, and 4 GiB. Do not use this file."
                )
            out.write(chunk)
    if size is not None and written < size:
        raise FormatError(f"{source}: cut short, {size - written} bytes are missing.\n  Fetch it again.")
