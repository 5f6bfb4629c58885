"""What a file is, told from its first bytes: a name says nothing, `.pkl` alone stands for four containers."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from videohub.errors import FormatError

HEAD = 1024


def sniff(head: bytes) -> str | None:
    """Return what a file that begins with `head` (its first 1024 bytes) seems to be, or None if it is no checkpoint.

    One of `gzip`, `tar`, `zip`, `torch_legacy`, `pickle` and `safetensors`; the first three may hold one of the others.
    """
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[:1] == b"\x80" and head[2:15] == _TORCH_MAGIC:
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
    if _is_text(head):
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


def _is_text(head: bytes) -> bool:
    """Tell text by its having no control characters."""
    return not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head)


def _quote(head: bytes) -> str:
    """Return the first words of a text, short and in one line."""
    return repr(" ".join(head[:60].decode("utf-8", "replace").split()))
