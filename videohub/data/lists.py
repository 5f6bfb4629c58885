"""Read the list of a data set: one video per line, its path and its label."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from videohub.data.text_files import text_lines
from videohub.errors import DataError, UsageError
from videohub.files import existing_file

_DIGITS = 9  # of a label; Python refuses to read thousands


@dataclass(frozen=True)
class Item:
    """One video of a data set."""

    path: Path
    label: int
    name: str  # the path as the list writes it


def read_list(path: str | Path, *, root: str | Path | None = None, num_classes: int) -> list[Item]:
    """Read a Kinetics-style list: `path label` on each line, separated by a space, a tab or a comma, without a header.

    The label is what follows the last separator, so paths may hold spaces and commas; a path may also stand in
    double quotes. Blank lines, Windows line ends and a byte order mark are fine. Whether the videos exist is not
    looked at: missing ones are for the report to count.

    Args:
        path: The list, a text file in UTF-8; names of files that are none are fine.
        root: Folder that relative paths start from; the list's own folder if not given.
        num_classes: Labels run from 0 to `num_classes - 1`.
    Returns: the videos, in the order of the list.
    Raises: UsageError if the list or `root` is missing; DataError if it is not text, holds no video, or a line has
        no label, a label that is not an integer or out of range, or a video that stands on an earlier line:
        each video must count once.
    """
    file = existing_file(path, "list")
    folder = file.parent if root is None else Path(root)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; the videos of {file} were to be found there")
    items: list[Item] = []
    first_lines: dict[str, int] = {}
    for number, line in enumerate(text_lines(file), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        item = _item(line.strip(), where, folder, num_classes)
        earlier = first_lines.setdefault(os.path.normpath(item.path), number)
        if earlier != number:
            raise DataError(f"{where}: {item.name!r} already stands on line {earlier}; each video must count once")
        items.append(item)
    if not items:
        raise DataError(f"{file}: the list holds no videos; each line should be a path and a label")
    return items


def _item(line: str, where: str, folder: Path, num_classes: int) -> Item:
    """Read one line."""
    found = re.fullmatch(r"(?P<name>.*?)\s*[\s,]\s*(?P<label>[^\s,]+)", line)
    if found is None or not found["name"]:
        raise DataError(f"{where}: expected a path and a label, found {line!r}{_likely(line)}")
    name, label = _unquoted(found["name"]), _unquoted(found["label"])
    if not re.fullmatch(r"-?[0-9]+", label):
        raise DataError(
            f"{where}: the label {label!r} is not an integer; a line is `path label`, without a header{_likely(line)}"
        )
    if len(label) > _DIGITS or not 0 <= int(label) < num_classes:
        shown = label if len(label) <= _DIGITS else f"{label[:8]}…"
        raise DataError(
            f"{where}: label {shown} is out of range; {num_classes} classes have labels 0 to {num_classes - 1}"
        )
    return Item(path=folder / name, label=int(label), name=name)


def _likely(line: str) -> str:
    """Return what other tools do that would make such a line, if it looks like it."""
    if other := re.fullmatch(r".*?\s*([;|:])\s*-?[0-9]+", line):
        return f". Here {other[1]!r} seems to stand between them: a space, a tab or a comma is expected"
    if re.match(r"[0-9]+[\s,;|]+\S", line):
        return ". Here the label seems to stand first: it is expected last"
    return ""


def _unquoted(field: str) -> str:
    """Return a field without its pair of double quotes; inside them, two stand for one."""
    if len(field) > 1 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field
