"""Tars for tests: written by Python's tarfile, or header by header, so that each field can be wrong."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path


def write_tar(path: Path, members: dict[str, bytes], *, format: int = tarfile.GNU_FORMAT) -> Path:
    """Write files with these names and contents, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def header(name: str, size: int, *, kind: bytes = b"0", size_field: bytes | None = None, prefix: bytes = b"") -> bytes:
    """Return a header of 512 bytes as POSIX describes it, with its checksum."""
    fields = [
        name.encode().ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,
        size_field if size_field is not None else b"%011o\0" % size,
        b"00000000000\0",
        b" " * 8,
        kind,
        b"\0" * 100,
        b"ustar\00000",
        b"\0" * 64 + b"0000000\0" * 2,
        prefix.ljust(155, b"\0"),
    ]
    return with_checksum(b"".join(fields).ljust(512, b"\0"))


def with_checksum(block: bytes) -> bytes:
    """Return a header with the checksum that it should have."""
    block = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(content: bytes) -> bytes:
    """Return content as it stands in a tar, in whole blocks."""
    return content + b"\0" * (-len(content) % 512)


END = b"\0" * 1024
