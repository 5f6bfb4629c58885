"""The lists that a data set is given out with: found with every place looked at, opened, and read by their lines.

A line `path label` for each sample is what most tools write; tables and JSON are read here for the modules beside this.
"""

from __future__ import annotations

import csv
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from videohub.data.samples import ImageFile, Sample, VideoFile
from videohub.errors import DataError, UsageError
from videohub.files import existing_file

T = TypeVar("T")

_DIGITS = 9  # of a label; Python refuses to read thousands
_TRIED = 100  # samples whose file is looked for: a data set may lack some

# Folders that hold nothing but lists; who names a file in one means the data set around it.
_OF_LISTS = ("frame_lists", "annotations", "annotation", "ava_annotations", "labels")


# --- where a list is -------------------------------------------------------------------------------------------------


def folder_of(data: Path) -> Path:
    """Return the folder of a data set of which `data` is the folder or one of the lists."""
    if data.is_dir():
        return data
    return data.parent.parent if data.parent.name in _OF_LISTS else data.parent


def first_file(places: Iterable[Path], names: Iterable[str]) -> Path | None:
    """Return the first of `names`, in the first of `places`, that is a file; the earlier name goes first."""
    places = list(places)
    return next((place / name for name in names for place in places if (place / name).is_file()), None)


def folder_holding(names: Sequence[str], places: Iterable[Path]) -> Path | None:
    """Return the first of `places` that holds one of the files `names`, of which some are tried; None if none does."""
    tried = names[:: max(1, len(names) // _TRIED)]
    return next((place for place in places if first_file((place,), tried)), None)


def needed_file(what: str, places: Iterable[Path], names: Iterable[str]) -> Path:
    """Return what `first_file` finds.

    Raises: UsageError with all that was looked for; `what` says what the file is for.
    """
    places, names = list(places), list(names)
    if (file := first_file(places, names)) is None:
        looked = "".join(f"\n  {place / name}" for name in names for place in places)
        raise UsageError(f"{places[0]}: there is no {what}; looked for{looked}")
    return file


# --- a list of path and label ----------------------------------------------------------------------------------------


def read_list(
    path: str | Path,
    *,
    root: str | Path | None = None,
    num_classes: int,
    kind: type[VideoFile | ImageFile] = VideoFile,
) -> list[Sample]:
    """Read a Kinetics-style list: `path label` on each line, separated by a space, a tab or a comma, without a header.

    The label is what follows the last separator, so paths may hold spaces and commas; a path may also stand in
    double quotes. Blank lines, Windows line ends and a byte order mark are fine. Whether the videos exist is not
    looked at: missing ones are for the report to count.

    Args:
        path: The list, a text file in UTF-8; names of files that are none are fine.
        root: Folder that relative paths start from; the list's own folder if not given.
        num_classes: Labels run from 0 to `num_classes - 1`.
    Returns: the videos, in the order of the list, called as it writes their paths.
    Raises: UsageError if the list or `root` is missing; DataError if it is not text, holds no video, or a line has
        no label, a label that is not an integer or out of range, or a video that stands on an earlier line:
        each video must count once.
    """
    file = existing_file(path, "list")
    folder = file.parent if root is None else Path(root)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; the videos of {file} were to be found there")
    samples: list[Sample] = []
    first_lines: dict[str, int] = {}
    for number, line in enumerate(text_lines(file), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        name, label = _name_and_label(line.strip(), where, num_classes)
        earlier = first_lines.setdefault(os.path.abspath(folder / name), number)
        if earlier != number:
            raise DataError(f"{where}: {name!r} already stands on line {earlier}; each video must count once")
        samples.append(Sample(name, kind(folder / name), (label,)))
    if not samples:
        raise DataError(f"{file}: the list holds no videos; each line should be a path and a label")
    return samples


def names_of_lists(names: Iterable[str], split: str) -> list[str]:
    """Return what mmaction2 calls the lists of `path label` of a data set with these names."""
    return [f"{name}_{split}_list_videos.txt" for name in names]


def read_list_of_videos(
    file: Path,
    *,
    root: Path | None,
    start: Path | None,
    split: str,
    num_classes: int,
    kind: type[VideoFile | ImageFile],
) -> list[Sample]:
    """Read a list of `path label`; paths of one that is called as mmaction2 calls it may start from its folders, too.

    Args:
        root: Folder that the paths start from, if it is given.
        start: The folder otherwise; None: that of the list. Where none of its files lies there, and the list is called
            `NAME_val_list_videos.txt`, `videos_val` and `videos` beside it are looked into.
    Raises: as `read_list`; UsageError for one of mmaction2's lists of folders of frames, which holds other columns.
    """
    if file.name.endswith("_list_rawframes.txt"):
        raise UsageError(
            f"{file}: a list of folders of frames (path, number of frames, label); expected one of videos (path, "
            f"label), which mmaction2 calls {file.name.replace('rawframes', 'videos')}"
        )
    if root is None and file.name.endswith("_list_videos.txt"):
        names = [sample.name for sample in read_list(file, root=start, num_classes=num_classes, kind=kind)]
        places = [start or file.parent, file.parent / f"videos_{split}", file.parent / "videos"]
        start = folder_holding(names, places) or start
    return read_list(file, root=root or start, num_classes=num_classes, kind=kind)


def _name_and_label(line: str, where: str, num_classes: int) -> tuple[str, int]:
    """Read one line."""
    name, label = map(unquoted, parted(line))
    if not name or not label:
        raise DataError(f"{where}: expected a path and a label, found {line!r:.200}{_likely(line)}")
    if not re.fullmatch(r"-?[0-9]+", label):
        raise DataError(
            f"{where}: the label {label!r} is not an integer; a line is `path label`, without a header{_likely(line)}"
        )
    if len(label) > _DIGITS or not 0 <= int(label) < num_classes:
        shown = label if len(label) <= _DIGITS else f"{label[:8]}…"
        raise DataError(
            f"{where}: label {shown} is out of range; {num_classes} classes have labels 0 to {num_classes - 1}"
        )
    return name, int(label)


def parted(line: str) -> tuple[str, str]:
    """Return what stands before and behind the last separator of a line without blanks around it: blanks, or a comma.

    Either is empty where there is no such thing. The time it takes grows with the line's length, whatever stands there.
    """
    last = re.split(r"[\s,]", line)[-1]
    rest = line[: len(line) - len(last)].rstrip()
    return rest.removesuffix(",").rstrip(), last


def _likely(line: str) -> str:
    """Return what other tools do that would make such a line, if it looks like it."""
    if other := re.search(r"([;|:])\s*-?[0-9]+\Z", line):
        return f". Here {other[1]!r} seems to stand between them: a space, a tab or a comma is expected"
    if re.match(r"[0-9]+[\s,;|]+\S", line):
        return ". Here the label seems to stand first: it is expected last"
    return ""


def unquoted(field: str) -> str:
    """Return a field without its pair of double quotes; inside them, two stand for one."""
    if len(field) > 1 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field


# --- lines, tables, JSON ---------------------------------------------------------------------------------------------


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
                expected, extra = len(rows.fieldnames or ()), row.get(None) or ()
                count = sum(value is not None for key, value in row.items() if key is not None) + len(extra)
                raise DataError(f"{file}, line {rows.line_num}: {count} fields; the header has {expected}")
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


# --- what was passed over --------------------------------------------------------------------------------------------


def left_out(what: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a note on things that were left out; none where nothing was."""
    return note(f"left out: {what}", names)


def note(what: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a note such as `files that are no videos, 3 in all: a.txt, b.txt, c.txt`; none where there is nothing."""
    return (f"{what}, {len(names)} in all: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}",) if names else ()
