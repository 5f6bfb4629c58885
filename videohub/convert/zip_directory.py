"""Opens a zip file after looking at its directory: nothing twice, nothing packed beyond reason, no bytes shared."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from videohub.convert.unwrapping import MAX_MEMBERS, cap
from videohub.errors import FormatError, UnsafeFileError

MAX_DIRECTORY = 16 << 20  # 46 bytes and a name for each member


def open_zip(path: Path, source: str) -> zipfile.ZipFile:
    """Open a zip file. Raises: FormatError if it is cut short, UnsafeFileError for bombs and names that occur twice."""
    if (size := _directory_size(path, source)) > MAX_DIRECTORY:
        raise UnsafeFileError(f"{source}: a zip file whose directory takes {size} bytes.\n  Do not use this file.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise _cut_short(source, str(error)) from None
    try:
        _check(archive, path.stat().st_size, source)
    except FormatError:
        archive.close()
        raise
    return archive


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


def _check(archive: zipfile.ZipFile, packed: int, source: str) -> None:
    """Compare what the directory promises with the size of the file."""
    members = archive.infolist()
    names = [info.filename for info in members]
    if len(names) > MAX_MEMBERS:
        raise UnsafeFileError(f"{source}: a zip file of {len(names)} members.\n  Give the checkpoint alone.")
    if twice := sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
        raise UnsafeFileError(
            f"{source}: a zip file that holds {twice[0]!r:.100} twice; which one is read depends on the reader.\n"
            "  Do not use this file."
        )
    if any(info.flag_bits & 1 for info in members):
        raise FormatError(f"{source}: an encrypted zip file, expected a plain one.\n  Unpack it first.")
    if (unpacked := sum(info.file_size for info in members)) > cap(packed):
        raise UnsafeFileError(
            f"{source}: a zip file of {packed} bytes that unpacks to {unpacked}, which no checkpoint does.\n"
            "  Nothing was unpacked. Do not use this file."
        )
    if (claimed := sum(info.compress_size for info in members)) > packed:
        raise UnsafeFileError(
            f"{source}: a zip file whose members claim {claimed} bytes of its {packed}: they share bytes.\n"
            "  Nothing was unpacked. The file is damaged, or made to fill the memory: do not use it."
        )


def _directory_size(path: Path, source: str) -> int:
    """Return how many bytes the directory takes, as the last record of the file says."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 16) - 22))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < 22:
            raise _cut_short(source, "its directory, the end of the file, is missing")
        (length,) = struct.unpack_from("<I", tail, at + 12)
        if length == 0xFFFFFFFF and (large := tail.rfind(b"PK\x06\x06", 0, at)) >= 0 and at - large >= 56:
            (length,) = struct.unpack_from("<Q", tail, large + 40)
    return int(length)


def _cut_short(source: str, what: str) -> FormatError:
    """Return the error for a zip file without an end."""
    return FormatError(
        f"{source}: a zip file, as torch.save writes them, that is cut short or damaged ({what}).\n"
        "  Compare its size and hash with its publisher's, or fetch it again."
    )
