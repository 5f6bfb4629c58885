"""Read the lines of a list that somebody's tools wrote: whatever its line ends, and whatever bytes its names are of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from videohub.errors import DataError


def text_lines(file: Path, *, newline: str | None = None) -> Iterator[str]:
    r"""Yield the lines of a text file with their ends; a byte order mark is left out.

    Names of files are bytes. What is no UTF-8 becomes what `os.fsdecode` makes of it, so that a path read here leads to
    the file.

    Args:
        file: A file in UTF-8, or in an older encoding that agrees with it in ASCII.
        newline: As for `open`: None makes each of "\n", "\r\n" and "\r" a "\n"; "" leaves them as they are.
    Raises: DataError if a line holds a zero byte, as UTF-16 and files of other kinds do; OSError.
    """
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline) as text:
        for number, line in enumerate(text, start=1):
            if "\0" in line:
                raise DataError(
                    f"{file}: not a text file in UTF-8: a zero byte on line {number}. If it is text in UTF-16, "
                    'which some Windows programs call "Unicode", save it as UTF-8.'
                )
            yield line
