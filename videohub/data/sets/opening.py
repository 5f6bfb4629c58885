"""Find and open the files of a release: an absent one is named with every place looked at, a bad line by its number."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from videohub.data.text_files import text_lines
from videohub.errors import DataError, UsageError

T = TypeVar("T")

# Folders that hold nothing but lists; who names a file in one means the data set around it.
_OF_LISTS = ("frame_lists", "annotations", "annotation", "ava_annotations", "labels")


def folder_of(data: Path) -> Path:
    """Return the folder of a data set of which `data` is the folder or one of the lists."""
    if data.is_dir():
        return data
    return data.parent.parent if data.parent.name in _OF_LISTS else data.parent


def first_file(places: Iterable[Path], names: Iterable[str]) -> Path | None:
    """Return the first of `names`, in the first of `places`, that is a file; the earlier name goes first."""
    places = list(places)
    return next((place / name for name in names for place in places if (place / name).is_file()), None)


def needed_file(what: str, places: Iterable[Path], names: Iterable[str]) -> Path:
    """Return what `first_file` finds.

    Raises: UsageError with all that was looked for; `what` says what the file is for.
    """
    places, names = list(places), list(names)
    if (file := first_file(places, names)) is None:
        looked = "".join(f"\n  {place / name}" for name in names for place in places)
        raise UsageError(f"{places[0]}: there is no {what}; looked for{looked}")
    return file


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers from 1; a byte order mark and line ends are left out.

    Raises: DataError if it is not text.
    """
    for number, line in enumerate(text_lines(file), start=1):
        yield number, line.rstrip("\n")


def header_of(file: Path) -> list[str]:
    """Return the fields of the first line of a comma-separated table; of another file, whatever they are."""
    with _refusals(file):
        return next(csv.reader([line for _, line in itertools.islice(lines(file), 1)], skipinitialspace=True), [])


def first_character(file: Path) -> str:
    """Return the first character of a text file that is no space; it tells JSON's lists and objects from a table."""
    return next((line.lstrip()[0] for _, line in lines(file) if line.strip()), "")


def table(file: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a comma-separated file whose first line names its columns, with their line numbers.

    Raises: DataError if it is no such table, lacks one of `columns`, or a row has too many or too few fields.
    """
    with _refusals(file):
        rows = csv.DictReader(text_lines(file, newline=""), skipinitialspace=True)
        missing = [column for column in columns if column not in (rows.fieldnames or ())]
        if missing:
            raise DataError(
                f"{file}, line 1: no column {', '.join(missing)}; the header is {','.join(rows.fieldnames or ())!r}"
            )
        for row in rows:
            if None in row or None in row.values():
                wanted, extra = len(rows.fieldnames or ()), row.get(None) or ()
                count = sum(value is not None for key, value in row.items() if key is not None) + len(extra)
                raise DataError(f"{file}, line {rows.line_num}: {count} fields; the header has {wanted}")
            yield rows.line_num, row


def json_of(file: Path, type: type[T]) -> T:
    """Return what a JSON file holds.

    Raises: DataError if it is not JSON, or not of this type; the message says where.
    """
    with _refusals(file):
        return msgspec.json.decode(file.read_bytes().removeprefix(b"\xef\xbb\xbf"), type=type)


@contextmanager
def _refusals(file: Path) -> Iterator[None]:
    """Turn what reading a text file can raise into errors that name the file."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not a text file in UTF-8: {error.reason}") from error
    except csv.Error as error:
        raise DataError(f"{file}: not a comma-separated table: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:  # a wrong type is one of the first, and tells where
        raise DataError(f"{file}: {error!s:.200}") from error
