"""AVA's files: boxes, excluded moments and the names of the actions.

Every file is read strictly: a row that cannot be read stops with its line, since a dropped row would move the number.
"""

from __future__ import annotations

import csv
import math
import os
import re
from array import array
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from videohub.errors import DataError, UsageError
from videohub.escaping import encodable

FilePath: TypeAlias = "str | os.PathLike[str]"


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes with one action each, in the order of their file."""

    keys: Sequence[str]  # (N,) the moment, `video,%04d`
    boxes: ArrayLike  # (N, 4) x1, y1, x2, y2 as fractions of the frame
    labels: Sequence[int] | np.ndarray  # (N,) label ids
    scores: ArrayLike | None = None  # (N,) of detections


class AvaTruth(msgspec.Struct, frozen=True, omit_defaults=True):
    """What AVA's boxes are judged by: rows of the ground truth within the label map, excluded moments left out."""

    names: dict[int, str]  # label id -> name
    keys: list[str]  # `video,%04d` of each row
    boxes: list[tuple[float, float, float, float]]  # of each row, fractions as the file gives them
    labels: list[int]  # of each row
    first_id: int = 1  # that of a network's output 0; 0 where that is background


def read_boxes(
    path: FilePath,
    *,
    labels: Container[int] | None = None,
    excluded: Container[str] = frozenset(),
    scored: bool = False,
) -> Boxes:
    """Read a csv of boxes: video, second, x1, y1, x2, y2, label id, and with `scored` a score.

    Without `scored` an eighth column is allowed and not read: the ground truth names the person there, and a box of it
    that ends before it begins is refused, as in the official code; detections may be such boxes. Blank lines,
    Windows line ends and a byte order mark are fine. Rows that are not wanted must be readable too.

    Args:
        path: The file, without a header.
        labels: Label ids to keep; by default all.
        excluded: Keys, `video,%04d`, to leave out.
    Raises: UsageError if the file is missing; DataError naming the file, the line and what was found there.
    """
    keys: list[str] = []
    corners, places, ids, scores = array("d"), array("q"), array("q"), array("d")
    widths, expected = ((8,), "8 columns, the last a score") if scored else ((7, 8), "7 or 8 columns")
    known: dict[str, int] = {}
    place: list[str] = []  # a network gives each box 80 rows in turn; its place is read once
    key, counts, score = "", False, 0.0
    for line, row in _rows(path):
        if len(row) not in widths:
            raise DataError(f"{path}, line {line}: found {len(row)} columns, expected {expected}: {','.join(row)!r}")
        try:
            if row[:6] != place:
                key = _key(row[0], row[1])
                counts = key not in excluded
                corners.extend([_finite(text) for text in row[2:6]])
                place = row[:6]
            label = known.get(row[6])
            if label is None:
                label = known[row[6]] = _label_id(row[6])
            if scored:
                score = _finite(row[7])
        except ValueError as error:
            raise DataError(
                f"{path}, line {line}: {error}; expected video, second, x1, y1, x2, y2, label id"
                f"{', score' if scored else ''}, and no header: {','.join(row)!r}"
            ) from error
        if counts and (labels is None or label in labels):
            x1, y1, x2, y2 = corners[-4:]
            if not scored and (x1 > x2 or y1 > y2):
                raise DataError(f"{path}, line {line}: a box ends before it begins, expected x1 <= x2 and y1 <= y2: "
                                f"{','.join(row)!r}")  # fmt: skip
            keys.append(key)
            places.append(len(corners) // 4 - 1)
            ids.append(label)
            scores.append(score)
    boxes = np.array(corners).reshape(-1, 4)[np.array(places, np.int64)]
    return Boxes(keys, boxes, np.array(ids, np.int64), np.array(scores) if scored else None)


def read_exclusions(path: FilePath) -> frozenset[str]:
    """Read a csv of moments, video and second; return their keys, `video,%04d`.

    Raises: UsageError if the file is missing; DataError naming the file, the line and what was found there.
    """
    keys = set()
    for line, row in _rows(path):
        try:
            video, second = row
            keys.add(_key(video, second))
        except ValueError as error:
            raise DataError(f"{path}, line {line}: found {','.join(row)!r}, expected video, second") from error
    return frozenset(keys)


def read_label_map(path: FilePath) -> dict[int, str]:
    """Read a pbtxt of blocks with a `name` and an `id` or `label_id`; return the names by id, in the file's order.

    Raises: UsageError if the file is missing; DataError naming the file and the line of what is no such block, or of
        an id or a name that was there before.
    """
    names: dict[int, str] = {}
    block: dict[str, str] | None = None
    for line, word in _words(path):
        if word["open"] and block is None:
            block = {}
        elif word["field"] and block is not None:
            value = word["value"]
            block[word["field"]] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] in "\"'" else value
        elif word["close"] and block is not None:
            number, name = block.get("id", block.get("label_id", "")), block.get("name", "")
            if not re.fullmatch("[0-9]{1,9}", number) or not name:
                raise DataError(f"{path}, line {line}: a block ends without a name and a numeric id: {block}")
            if int(number) in names or name in names.values():
                raise DataError(f"{path}, line {line}: id {number} or name {name!r} was there before")
            names[int(number)] = name
            block = None
        else:
            raise DataError(f"{path}, line {line}: found {word[0]!r}, expected {_BLOCKS}")
    if block is not None or not names:
        raise DataError(f"{path}: {'the last block has no end' if block is not None else f'expected {_BLOCKS}'}")
    return names


_BLOCKS = 'blocks like `item { name: "stand" id: 12 }`'
_WORD = re.compile(
    r"""\s+ | \#[^\n]* | (?P<open> \w+ \s* :? \s* \{ ) | (?P<close> \} ) |
    (?P<field> \w+ ) \s* : \s* (?P<value> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | [^\s{}"'#,;]+ ) [,;]?""",
    re.VERBOSE,
)


def _words(path: FilePath) -> Iterator[tuple[int, re.Match[str]]]:
    """Read the words of a pbtxt, each with its line: the opening of a block, its end, or a field and its value."""
    with _opened(path), open(path, encoding="utf-8-sig") as file:
        text = file.read()
    position = 0
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        word = _WORD.match(text, position)
        if word is None:
            rest = text[position:].split("\n", 1)[0]
            raise DataError(f"{path}, line {line}: found {rest!r}, expected {_BLOCKS}")
        if word.lastgroup is not None:
            yield line, word
        position = word.end()


def _rows(path: FilePath) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a csv that are not blank, each with the number of its last line."""
    with _opened(path), open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file, strict=True)
        for row in rows:
            if len(row) > 1 or "".join(row).strip():
                yield rows.line_num, row


@contextmanager
def _opened(path: FilePath) -> Iterator[None]:
    """Say which file could not be read, and why."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8: {error.reason}") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a csv file: {error}") from error


def _key(video: str, second: str) -> str:
    """Return a moment's key; seconds may be padded with zeros or not."""
    if not video:
        raise ValueError("the video has no name")
    return f"{encodable(video)},{int(second):04d}"


def _label_id(text: str) -> int:
    """Read a label id."""
    number = int(text)
    if abs(number) >= 1 << 31:
        raise ValueError(f"the label id {text} is no small number")
    return number


def _finite(text: str) -> float:
    """Read a number."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a finite number")
    return number
