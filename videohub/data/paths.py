"""Check that a path given by a user leads to a file with something in it, before any decoder sees it."""

from __future__ import annotations

from pathlib import Path

from videohub.errors import UsageError


def existing_file(path: str | Path, kind: str) -> Path:
    """Return `path` as a Path to an existing file.

    Args:
        path: What the user gave.
        kind: What the file should be, for the message: "video", "image" or "list".
    Raises: UsageError if nothing is there, or a folder.
    """
    file = Path(path)
    if file.is_dir():
        raise UsageError(f"{file}: this is a folder; a {kind} file was expected")
    if not file.exists():
        raise UsageError(f"{file}: no such {kind} file")
    return file
