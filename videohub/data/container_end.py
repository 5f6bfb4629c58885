"""Does a file hold all that its container announces? Told by the lengths in its structure, not by its durations."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

Ending: TypeAlias = Literal["whole", "cut", "unknown"]

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx", b"uuid")
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def ending(path: Path) -> Ending:
    """Return whether the outermost parts of an mp4, Matroska or AVI file end within it.

    A file that was cut while it was copied lacks the end of its last part. One whose parts are all there is whole,
    whatever durations its headers state. Other containers, and parts of unknown length, say nothing.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        file.seek(0)
        if head[4:8] in _MP4_BOXES:
            end = _end_of_boxes(file, size)
        elif head[:4] == b"RIFF":
            end = _end_of_riff(file, size)
        elif int.from_bytes(head[:4], "big") == _EBML:
            end = _end_of_matroska(file)
        else:
            end = None
    if end is None:
        return "unknown"
    return "whole" if end <= size else "cut"


def _end_of_boxes(file: BinaryIO, size: int) -> int | None:
    """Return where the last box of an mp4 ends; a length of 0 reaches to the end of the file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return size if length == 0 else None
        at += length
    return at


def _end_of_riff(file: BinaryIO, size: int) -> int | None:
    """Return where the last RIFF of an AVI ends; a length of 0 was never filled in."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return at  # what stands behind is none of it
        if not (length := int.from_bytes(head[4:], "little")):
            return None
        at += 8 + length + length % 2
    return at - 1 if at == size + 1 else at  # the last byte, which only fills up, may be left out


def _end_of_matroska(file: BinaryIO) -> int | None:
    """Return where the segment ends; one that was written without going back has no length."""
    while (name := _number(file, keep_mark=True)) is not None:
        length = _number(file, keep_mark=False)
        if length is None:
            return None
        if name == _SEGMENT:
            return file.tell() + length
        if name != _EBML and name != 0xEC:  # a void, which holds nothing
            return None
        file.seek(length, os.SEEK_CUR)
    return None


def _number(file: BinaryIO, *, keep_mark: bool) -> int | None:
    """Read one number of EBML, whose first bits tell how long it is; None where it says "unknown", or is none."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    raw = int.from_bytes(first + file.read(extra), "big")
    if keep_mark:
        return raw
    value = raw & ((1 << 7 * (extra + 1)) - 1)
    return None if value == (1 << 7 * (extra + 1)) - 1 else value
