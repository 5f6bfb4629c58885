"""What a file is, told from its first bytes, and taking gzip, tar and zip off a checkpoint.

A name says nothing: `.pkl` alone stands for four containers. What is unpacked goes into a temporary folder, under a
cap, one member and never by its path.
"""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import visible
from videohub.pickles.stored_values import damaged

HEAD = 1024


def sniff(head: bytes) -> str | None:
    """Return what a file that begins with `head` (its first 1024 bytes) seems to be, or None if it is no checkpoint.

    One of `gzip`, `tar`, `zip`, `torch_legacy`, `pickle` and `safetensors`; the first three may hold one of the others.
    """
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    framed = head[2:3] == b"\x95"  # since protocol 4
    if head[:1] == b"\x80" and head[11 if framed else 2 :].startswith(_TORCH_MAGIC):
        return "torch_legacy"
    if head[:1] == b"\x80" and head[1:2] in _PROTOCOLS:
        return "pickle"
    if head[8:10] == b'{"' or head[8:10] == b"{}":
        return "safetensors"
    if is_tar(head):
        return "tar"
    if _PROTOCOL_0_OR_1.match(head):
        return "pickle"
    return None


def is_tar(head: bytes) -> bool:
    """Tell a tar by its mark, or, written before there was one, by the checksum of its first header."""
    if head[257:262] == b"ustar":
        return True
    try:
        return len(head) >= 512 and bool(tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape").name)
    except (tarfile.HeaderError, ValueError):
        return False


def refuse(path: Path, head: bytes, source: str) -> FormatError:
    """Return the error for a file that `sniff` knows nothing about: what it is, and what to do."""
    if not head:
        return FormatError(f"{source}: the file is empty, expected a checkpoint.\n  Fetch it again.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!", b"<h", b"<?xml")):
        return FormatError(
            f"{source}: a web page (HTML or XML, it begins {_quote(head)}), expected a checkpoint.\n"
            "  The server sent an error or a warning page instead. Open the URL in a browser, then fetch again."
        )
    if head.startswith(b"version https://git-lfs.github.com/spec"):
        return FormatError(
            f"{source}: a Git LFS pointer of {path.stat().st_size} bytes, expected the checkpoint that it stands for.\n"
            "  Run `git lfs pull` in the repository it came from."
        )
    if b"/annex/objects/" in head[:512]:
        return FormatError(
            f"{source}: a git-annex pointer, expected the checkpoint that it stands for.\n"
            "  Run `git annex get` on it in the repository it came from."
        )
    for what, advice, pattern in _OTHERS:
        if re.match(pattern, head, re.DOTALL):
            return FormatError(f"{source}: {what}, expected a checkpoint.\n  {advice}")
    if not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head):  # without control characters
        return FormatError(f"{source}: a text file (it begins {_quote(head)}), expected a checkpoint.\n  {_GIVE}")
    return FormatError(
        f"{source}: of no kind that videohub knows (it begins with the bytes {head[:8].hex(' ')}), expected a Caffe2\n"
        "  pickle, a torch file, safetensors or npz, plain or inside gzip, tar or zip.\n"
        "  The file may be cut short or damaged: compare its size and hash with its publisher's, or fetch it again."
    )


_TORCH_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # 0x1950a86a20f9469cfc6c, the first of five pickles in a row
_PROTOCOLS = (b"\x00", b"\x01", b"\x02", b"\x03", b"\x04", b"\x05")
_PROTOCOL_0_OR_1 = re.compile(
    rb"\(+([dlt][pq(.SUXV}]|S['\"]|I-?[0-9]+\n|[UTXKMJ][\x00-\x1f]|[}\]][qr(.]|[ci][A-Za-z_][\w.]*\n)"
    rb"|[}\]][qrpU(.au]|c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n"
)

_GIVE = "Give the file of weights instead."
_UNPACK = "Unpack it first."
_OTHERS = (
    ("a video", _GIVE, rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|\x00\x00\x01[\xba\xb3]|OggS|\x30\x26\xb2\x75"),
    ("an image", _GIVE, rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM....\x00\x00\x00\x00|II\*\x00|MM\x00\*"),
    ("an HDF5 file", "videohub does not read HDF5; give the checkpoint as its publisher released it.", rb"\x89HDF"),
    ("a single numpy array", "Give all tensors by name, as .npz or .safetensors.", rb"\x93NUMPY"),
    ("compressed with bzip2", _UNPACK, rb"BZh[1-9]"),
    ("compressed with xz", _UNPACK, rb"\xfd7zXZ\x00"),
    ("compressed with zstd", _UNPACK, rb"\x28\xb5\x2f\xfd"),
    ("a 7z or RAR archive", _UNPACK, rb"7z\xbc\xaf|Rar!"),
    ("a PDF document", _GIVE, rb"%PDF"),
    ("a program", _GIVE, rb"\x7fELF|MZ.{60}|\xcf\xfa\xed\xfe"),
)


def _quote(head: bytes) -> str:
    """Return the first words of a text, short and in one line."""
    return repr(" ".join(head[:60].decode("utf-8", "replace").split()))


# Float weights shrink by a tenth. Momentum that is all zeros shrinks a thousandfold, but it comes with as many weights.
# So a checkpoint stays near twofold, and the largest published one is below 1 GiB.
MAX_BYTES = 4 << 30
MAX_RATIO = 100
ALLOWANCE = 16 << 20
MAX_MEMBERS = 10_000


def cap(packed: int) -> int:
    """Return how many bytes a file of `packed` bytes may unpack to."""
    return min(MAX_BYTES, MAX_RATIO * packed + ALLOWANCE)


# What reading a member of a damaged zip file raises.
DAMAGED_MEMBER = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # NotImplementedError too
    ValueError,
    LookupError,
    TypeError,
)


def gunzip(path: Path, target: Path, source: str, limit: int) -> None:
    """Unpack the gzip file `path` to `target`. Raises: UnsafeFileError above `limit`, FormatError if it is damaged."""
    try:
        with gzip.open(path) as packed:
            _copy(packed, target, None, limit, source)
    except EOFError:
        raise damaged(source, "a gzip file that is cut short") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise damaged(source, f"a damaged gzip file ({error})") from None


def untar(path: Path, target: Path, source: str) -> str:
    """Copy the one checkpoint in the tar file `path` to `target` and return its name there.

    Raises: UnsafeFileError for links, devices, absolute names and `..`; FormatError unless there is exactly one.
    """
    with path.open("rb") as file:
        members = list(tar_members(file, path.stat().st_size, source))
        heads = []
        for member in members:
            file.seek(member.offset)
            heads.append((member.name, file.read(min(HEAD, member.size))))
        name = _only_checkpoint(heads, "tar", source)
        chosen = next(member for member in members if member.name == name)
        file.seek(chosen.offset)
        _copy(file, target, chosen.size, chosen.size, source)
    return name


def unzip(archive: zipfile.ZipFile, target: Path, source: str) -> str:
    """Copy the one checkpoint in the zip file `archive` to `target` and return its name there; as `untar` does."""
    heads = []
    try:
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
    except DAMAGED_MEMBER as error:
        raise damaged(source, f"a damaged zip file ({error!s:.200})") from None
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
            raise damaged(source, f"a damaged tar file ({error} at byte {offset})") from None
        start, count = offset + 512, count + 1
        if count > MAX_MEMBERS:
            raise UnsafeFileError(
                f"{source}: a tar file of more than {MAX_MEMBERS} members.\n  Give the checkpoint alone."
            )
        if info.size < 0 or start + info.size > total:
            what = f"{info.name!r:.200} takes {info.size} bytes of {total - start}"
            raise damaged(source, f"a tar file that is cut short: {what}")
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
            raise damaged(source, "a damaged tar file (unreadable extended header)")
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
        raise damaged(source, f"cut short, {size - written} bytes are missing")
