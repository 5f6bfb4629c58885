"""Frame lists, one image file a line: how Something-Something, Charades and AVA are tested. Read as a stream."""

from __future__ import annotations

import csv
import itertools
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from videohub.data.samples import FrameList, Source
from videohub.data.sets.lists import first_file, folder_holding, lines, note
from videohub.errors import DataError

_HEADER = "original_vido_id video_id frame_id path labels"  # the misspelling is in the published files
_Row: TypeAlias = tuple[int, str, str, str]  # line number, video, path, labels


@dataclass(frozen=True)
class ListedVideo:
    """One video of a frame list."""

    names: str  # paths of its frames, one a line, in the order of the rows
    classes: tuple[int, ...]  # of any of its frames, ascending


def frame_list_file(folder: Path, split: str) -> Path | None:
    """Return the frame list of a split, where releases have it below `folder`, if it is there."""
    return first_file((folder / "frame_lists", folder), (f"{split}.csv",))


def read_frame_list(file: Path, *, num_classes: int | None = None) -> tuple[dict[str, ListedVideo], tuple[str, ...]]:
    """Read a frame list: `original_vido_id video_id frame_id path labels`, separated by spaces, below that header.

    The order of a video's rows is the order of its frames; the list's own numbers are not used, as in the original.
    A path may hold spaces. Labels are quoted and separated by commas, or empty.

    Args:
        num_classes: Labels run from 0 to `num_classes - 1`; None: the column is not looked at.
    Returns: videos by their name, in the order in which they begin, and what is odd about the list.
    Raises: DataError if it is no such list, a line is malformed, or a video stands in it twice.
    """
    chunks: dict[str, list[str]] = {}
    classes: dict[str, set[int]] = {}
    torn: dict[str, None] = {}
    known: dict[str, list[int]] = {}  # of each content of the labels' column that was met
    for video, group in itertools.groupby(_rows(file), key=operator.itemgetter(1)):
        rows = list(group)
        number, _, first, _ = rows[0]
        earlier = chunks.setdefault(video, [])
        if earlier and earlier[0].split("\n", 1)[0] == first:
            raise DataError(f"{file}, line {number}: video {video} begins a second time; each video must stand once")
        if earlier:
            torn[video] = None
        earlier.append("\n".join([path for _, _, path, _ in rows]))
        if num_classes is not None:
            for field in {field: None for _, _, _, field in rows}:
                if field not in known:
                    known[field] = _labels(file, field, rows, num_classes)
                classes.setdefault(video, set()).update(known[field])
    if not chunks:
        raise DataError(f"{file}: the list holds no frames; below the header, each line should name one")
    videos = {
        video: ListedVideo("\n".join(parts), tuple(sorted(classes.get(video, ())))) for video, parts in chunks.items()
    }
    return videos, note(f"videos whose rows in {file} do not stand together, but in order", list(torn))


def folder_of_frames(videos: Iterable[ListedVideo], places: Iterable[Path]) -> Path | None:
    """Return the first of `places` below which frames of a list lie; None where there are none."""
    return folder_holding([video.names.split("\n", 1)[0] for video in videos], places)


def listed_frames(videos: Mapping[str, ListedVideo], folder: Path) -> dict[str, Source]:
    """Return the frames of each video of a frame list, whose paths start from `folder`."""
    return {name: FrameList(folder, video.names) for name, video in videos.items()}


def _rows(file: Path) -> Iterator[_Row]:
    """Yield the rows of a frame list. A million of them pass here, so what is usual is tested for first."""
    for number, line in lines(file):
        if number == 1:
            if not _is_header(line):
                raise DataError(f"{file}, line 1: expected the header {_HEADER!r}, found {line[:200]!r}")
            continue
        try:
            video, index, frame, path, labels = line.split(" ")
        except ValueError:  # more fields, or fewer
            video = index = frame = path = labels = ""
        if video and index and frame.isdigit() and path and '"' not in path and labels[:1] in '"0123456789':
            yield number, video, path, labels
        elif line.strip():
            yield _unusual_row(file, number, line)


def _unusual_row(file: Path, number: int, line: str) -> _Row:
    """Read a row that has no labels, labels or a path with spaces, or more than one space between fields."""
    try:
        fields = next(csv.reader([line], delimiter=" ", skipinitialspace=True, strict=True))
    except csv.Error:  # a quote that is not closed
        fields = []
    if len(fields) == 4:
        fields.append("")
    if len(fields) > 5:  # a path with spaces and without quotes
        fields[3:-1] = [" ".join(fields[3:-1])]
    if len(fields) != 5 or not all(fields[:4]) or not fields[2].isdigit() or not re.fullmatch("[0-9, ]*", fields[4]):
        raise DataError(f"{file}, line {number}: expected {_HEADER!r}, found {line[:200]!r}")
    return number, fields[0], fields[3], fields[4]


def _is_header(line: str) -> bool:
    """Say whether a line is the header, however the first column is spelled."""
    fields = line.split()
    return fields[1:] == _HEADER.split()[1:] and fields[0].startswith("original_vid")


def _labels(file: Path, field: str, rows: list[_Row], num_classes: int) -> list[int]:
    """Read the labels of one row, `"3,17"` or `""`."""
    texts = [text.strip() for text in field.replace('"', "").split(",")]
    if texts == [""]:
        return []
    if all(re.fullmatch("[0-9]{1,9}", text) and int(text) < num_classes for text in texts):
        return [int(text) for text in texts]
    number = next(number for number, _, _, labels in rows if labels == field)
    raise DataError(f"{file}, line {number}: labels {field!r}; expected integers from 0 to {num_classes - 1}, or none")
