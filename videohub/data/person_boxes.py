"""Boxes around people at moments of a video, as somebody gives them: a csv or JSON file, or rows of numbers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from videohub.data.geometry import Box
from videohub.errors import DataError, UsageError
from videohub.escaping import brief
from videohub.files import existing_file
from videohub.log import log

Units: TypeAlias = Literal["pixels", "fractions"]
Rows: TypeAlias = "str | Path | Iterable[Sequence[float]]"

UNITS: tuple[Units, ...] = get_args(Units)

_COLUMNS = ("time", "x1", "y1", "x2", "y2")
_OPTIONAL = "score"
_LEAST, _MOST = -0.5, 1.5  # of the frame: detectors leave it by a little. Source: how AVA's files are read
_LARGEST_FILE = 256 << 20  # bytes


@dataclass(frozen=True)
class PersonBox:
    """Somebody at a moment of a video."""

    time: float  # seconds from the first frame
    box: Box  # x1, y1, x2, y2
    score: float | None  # how sure the detector was, from 0 to 1, if that is known
    where: str  # it was found, for messages


def key_frames(rows: Rows, *, units: Units, threshold: float) -> dict[float, list[PersonBox]]:
    """Return the boxes of each moment that has any, in order of time; those of one moment as they were given.

    Args:
        rows: A file, or rows of time, x1, y1, x2, y2 and perhaps a score.

            A csv begins with the line `time,x1,y1,x2,y2` or `time,x1,y1,x2,y2,score`, in any order; a JSON file holds
            a list of objects with these names. Other columns are left aside, and one line says so. An empty score is
            none.
        units: Of the boxes: "pixels" of the upright frame, or "fractions" of its width and height. Times are seconds
            from the first frame.
        threshold: Boxes with a lower score are left out; those without one stay.
    Raises: UsageError if there is no such file; DataError that names the row: numbers that are none, a time before 0, a
        box without area, fractions far outside of the frame, or boxes that are said to be pixels and look like
        fractions.
    """
    if units not in UNITS:
        raise UsageError(f"units: found {units!r}, expected one of {', '.join(UNITS)}")
    boxes = list(_read(Path(rows)) if isinstance(rows, str | Path) else _given(rows))
    for each in boxes:
        _check(each, units)
    if boxes and units == "pixels" and max(max(each.box) for each in boxes) <= _MOST:
        raise DataError(
            f"{boxes[0].where}: {_told(boxes[0].box)} and all others look like fractions of the frame, expected "
            'pixels; say units="fractions" (--units fractions) if they are'
        )
    sure = [each for each in boxes if each.score is None or each.score >= threshold]
    if boxes and not sure:
        raise DataError(f"{boxes[0].where}: none of {len(boxes)} boxes has a score of {threshold:g} or more")
    moments: dict[float, list[PersonBox]] = {}
    for each in sorted(sure, key=lambda each: each.time):
        moments.setdefault(each.time, []).append(each)
    return moments


def as_pixels(boxes: Sequence[PersonBox], *, units: Units, height: int, width: int) -> list[Box]:
    """Return boxes in pixels of a frame of this size, in pixels.

    Raises: DataError that names the row, if one lies far outside of the frame, or wholly.
    """
    scale = (1, 1, 1, 1) if units == "pixels" else (width, height, width, height)
    pixels: list[Box] = []
    for each in boxes:
        x1, y1, x2, y2 = (value * whole for value, whole in zip(each.box, scale, strict=True))
        if not (_is_near((x1 / width, y1 / height, x2 / width, y2 / height)) and x1 < width and y1 < height
                and min(x2, y2) > 0):  # fmt: skip
            raise DataError(
                f"{each.where}: {_told(each.box)} does not lie in the frame, which has {width}x{height} pixels; pixels "
                "are counted in the upright frame at its own size"
            )
        pixels.append((x1, y1, x2, y2))
    return pixels


def _check(each: PersonBox, units: Units) -> None:
    """Refuse what is no box, whatever the frame. Raises: DataError."""
    x1, y1, x2, y2 = each.box
    if each.time < 0:
        raise DataError(f"{each.where}: found the time {each.time:g}, expected seconds from the first frame, 0 or more")
    if not (x1 < x2 and y1 < y2):
        raise DataError(f"{each.where}: {_told(each.box)} has no area; expected x1 < x2 and y1 < y2")
    if units == "fractions" and not _is_near(each.box):
        raise DataError(f"{each.where}: {_told(each.box)}; expected fractions of the frame, 0 to 1")
    if each.score is not None and not 0 <= each.score <= 1:
        raise DataError(f"{each.where}: found the score {each.score:g}, expected 0 to 1")


def _is_near(fractions: Sequence[float]) -> bool:
    """Tell whether a box leaves the frame by no more than detectors do."""
    return min(fractions) > _LEAST and max(fractions) < _MOST


def _told(box: Box) -> str:
    return f"the box {', '.join(f'{value:g}' for value in box)}"


def _given(rows: Iterable[Sequence[float]]) -> Iterator[PersonBox]:
    """Yield the boxes of rows of numbers."""
    for number, row in enumerate(rows):
        where = f"boxes, row {number}"
        if not hasattr(row, "__len__") or not 5 <= len(row) <= 6:
            kind = f"{len(row)} values" if hasattr(row, "__len__") else f"a {type(row).__name__}"
            raise DataError(f"{where}: found {kind}, expected time, x1, y1, x2, y2 and perhaps a score")
        yield _box(dict(zip((*_COLUMNS, _OPTIONAL), row, strict=False)), where)


def _read(path: Path) -> Iterator[PersonBox]:
    """Yield the boxes of a file; what it is shows in its first letter."""
    file = existing_file(path, "boxes")
    if (size := file.stat().st_size) > _LARGEST_FILE:
        raise DataError(f"{file}: found {size} bytes, expected a csv or JSON file of boxes")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: found bytes that are no UTF-8, expected a csv or JSON file of boxes") from error
    except OSError as error:
        raise UsageError(f"{file}: this boxes file cannot be read: {error.strerror}") from error
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(text, file)
    return _from_csv(text, file)


def _from_csv(text: str, file: Path) -> Iterator[PersonBox]:
    rows = csv.reader(text.splitlines())
    try:
        header = [name.strip() for name in next(rows, [])]
        _check_columns(header, f"{file}, line 1")
        numbered = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise DataError(f"{file}, line {rows.line_num}: found what is no csv: {error}") from error
    for line, row in numbered:
        where = f"{file}, line {line}"
        if not any(map(str.strip, row)):
            continue
        if len(row) != len(header):
            raise DataError(f"{where}: found {len(row)} values, expected {len(header)} as the first line has")
        yield _box(dict(zip(header, row, strict=True)), where)


def _from_json(text: str, file: Path) -> Iterator[PersonBox]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: found JSON that cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{file}: expected a list of objects with {', '.join(_COLUMNS)} and perhaps {_OPTIONAL}")
    _check_columns(list(dict.fromkeys(name for row in rows for name in row)) or list(_COLUMNS), str(file))
    for number, row in enumerate(rows):
        yield _box(row, f"{file}, row {number}")


def _check_columns(names: Sequence[str], where: str) -> None:
    """Refuse a file that lacks a column, and tell of those that are left aside. Raises: DataError."""
    if missing := [name for name in _COLUMNS if name not in names]:
        raise DataError(
            f"{where}: found {', '.join(map(brief, names)) or 'nothing'}, expected the names "
            f"{', '.join(_COLUMNS)} and perhaps {_OPTIONAL}; {', '.join(missing)} is missing"
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where}: {brief(twice[0])} stands there twice")
    if others := [brief(name) for name in names if name not in (*_COLUMNS, _OPTIONAL)]:
        log.warning("%s: left aside: %s", where, ", ".join(others))


def _box(row: Mapping[str, Any], where: str) -> PersonBox:
    """Return one row. Raises: DataError if a value is no number."""
    time, x1, y1, x2, y2 = (_number(row.get(name), name, where) for name in _COLUMNS)
    score = row.get(_OPTIONAL)
    if score is None or (isinstance(score, str) and not score.strip()):
        return PersonBox(time, (x1, y1, x2, y2), None, where)
    return PersonBox(time, (x1, y1, x2, y2), _number(score, _OPTIONAL, where), where)


def _number(value: object, name: str, where: str) -> float:
    """Return a number of a file; what only looks like one (True, nan, 1_000) is none."""
    try:
        number = math.nan if isinstance(value, bool) or "_" in str(value) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: found {name} {brief(str(value))!r}, expected a number")
    return number
