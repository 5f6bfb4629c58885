"""Unfinished downloads: each is written by one process only; any other may copy what is there and go on from it.

Copying costs one pass over the bytes, which their digest needs anyway. In return two writers never meet in one file,
whatever the file system makes of locks.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

import msgspec

from videohub.hub import cache

_BLOCK = 1 << 20


class Note(msgspec.Struct, frozen=True):
    """What a server said of a file when it began to send it."""

    url: str
    validator: str | None  # a strong ETag or a date, for If-Range
    total: int | None
    encoded: bool = False  # compressed on its way: what is here is decoded, and no range of theirs fits it


class Part:
    """The beginning of a file, with the digest of what is there so far."""

    def __init__(self, note: Note) -> None:
        folder = cache.place("partial")
        folder.mkdir(parents=True, exist_ok=True)
        self.note = note
        self.path = folder / f"{_stem(note.url)}-{secrets.token_hex(8)}.part"
        self.size = 0
        self.pieced = False  # received in more than one answer
        self.digest = hashlib.sha256()
        self._file = self.path.open("xb", buffering=0)
        _note_of(self.path).write_bytes(msgspec.json.encode(note))

    def write(self, block: bytes) -> None:
        """Append a block."""
        left = memoryview(block)
        while left:  # an unbuffered file may take less than it is given
            left = left[self._file.write(left) :]
        self.digest.update(block)
        self.size += len(block)

    def close(self) -> None:
        """Let go of the file; it stays for whoever comes next."""
        self._file.close()

    def drop(self) -> None:
        """Remove what there is."""
        self.close()
        _remove(self.path)


def adopt(url: str, *, alone: bool) -> Part | None:
    """Return a copy of the longest beginning of a URL's file that earlier calls left, or None.

    If nobody else can be at work on it (`alone`), what was left is removed.
    """
    left = {path: note for path in _left(url) if (note := _read_note(path, url))}
    longest = max(left, key=_size, default=None)
    part = None
    if longest is not None and _size(longest):
        part = Part(left[longest])
        part.pieced = True
        try:
            with longest.open("rb") as file:
                while block := file.read(_BLOCK):
                    part.write(block)
        except FileNotFoundError:  # its writer has finished in this moment
            part.drop()
            part = None
    if alone:
        sweep(url, keep=part)
    return part


def sweep(url: str, *, keep: Part | None = None) -> None:
    """Remove every beginning of a URL's file, but one."""
    for path in _left(url):
        if keep is None or path != keep.path:
            _remove(path)


def _left(url: str) -> list[Path]:
    """Return the parts of a URL, also those whose process ended between a part and its note."""
    found = cache.place("partial").glob(f"{_stem(url)}-*")
    return sorted({path.with_suffix(".part") for path in found})


def _read_note(path: Path, url: str) -> Note | None:
    """Return a part's note if it is whole and of this URL; without one nobody can tell what the part is of."""
    try:
        note = msgspec.json.decode(_note_of(path).read_bytes(), type=Note)
    except (FileNotFoundError, msgspec.DecodeError, msgspec.ValidationError):
        return None
    return note if note.url == url else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _note_of(path).unlink(missing_ok=True)


def _note_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _stem(url: str) -> str:
    return cache.key_of(url)[:32]
