"""Open a file that a user named, before any decoder sees it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from videohub.errors import UsageError, VideoError
from videohub.files import existing_file


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
