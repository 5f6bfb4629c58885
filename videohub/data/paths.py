"""Check that a path given by a user leads to a file, and open it, before any decoder sees it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from videohub.errors import UsageError, VideoError


def existing_file(path: str | Path, kind: str) -> Path:
    """Return `path` as a Path to an existing file.

    Args:
        path: What the user gave.
        kind: What the file should be, for the message: "video", "image" or "list".
    Raises: UsageError if nothing is there, or a folder, or what opening could wait for without end (a pipe, a device),
        or the path cannot be followed: a name too long for the disk, a folder without permission, a zero byte.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{file}: no such {kind} file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{file}: this path leads to no {kind} file: {reason}") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{file}: this is a folder; the name of a file was expected: {kind}")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{file}: this is a pipe or a device; the name of a file was expected: {kind}")
    return file


def open_file(path: str | Path, kind: str) -> BinaryIO:
    """Open a file that a decoder is to read. Close it.

    Raises: UsageError as `existing_file`, or if it may not be read; VideoError if it is empty.
    """
    file = existing_file(path, kind)
    if file.stat().st_size == 0:
        raise VideoError(f"{file}: the file is empty (0 bytes)")
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"{file}: this {kind} file cannot be opened: {error.strerror}") from error
