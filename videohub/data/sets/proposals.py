"""Boxes around people that a detector proposed, as mmaction2 takes them: a pickle of an array for each moment.

A pickle is read by the walls that weights are read behind: nothing in it ever runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from videohub.errors import DataError, FormatError, UnsafeFileError
from videohub.escaping import encodable, quote
from videohub.pickles import unpickler
from videohub.pickles.pickle_scan import ANNOTATIONS

Box: TypeAlias = tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of the frame

WHOLE_FRAME: Box = (0.0, 0.0, 1.0, 1.0)
_MOST = 1000  # boxes of a moment; the original keeps the first ones of the file


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Yield what a pickle holds: dicts, lists, strings and numbers; its arrays are read by `array` within the block.

    Raises: UnsafeFileError naming what it asks for, if that is more than annotations need; DataError if it is damaged.
    """
    with file.open("rb") as stream:
        try:
            yield unpickler.load(stream, file.stat().st_size, str(file), limits=ANNOTATIONS)
        except UnsafeFileError:
            raise
        except FormatError as error:
            raise DataError(f"{error}") from error


def array(value: Any, columns: tuple[int, ...], where: str) -> npt.NDArray[np.float64]:
    """Return rows of numbers that a pickle holds, (N, one of `columns`). Raises: DataError if it is something else."""
    stored = value.value if isinstance(value, unpickler.Array) else None
    if stored is None or len(stored.shape) != 2 or stored.shape[1] not in columns:
        found = f"a {type(value).__name__}" if stored is None else f"an array {stored.shape}"
        expected = " or ".join(map(str, columns))
        raise DataError(f"{where}: found {found}, expected an array of {expected} columns")
    if stored.raw.kind not in "fiu":
        raise DataError(f"{where}: found an array of {stored.raw}, expected real numbers")
    rows = np.asarray(stored, np.float64)
    if not np.isfinite(rows).all():
        raise DataError(f"{where}: {int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} rows are not finite")
    return rows


def read_proposals(
    file: Path, moments: Iterable[str], *, threshold: float, name_of: Callable[[str], str], within: bool
) -> tuple[dict[str, tuple[Box, ...]], tuple[list[str], list[str]]]:
    """Return the boxes that are scored at each moment, and at which of them nobody was sure, and nothing was known.

    Boxes with the threshold or more count; where none has it, those with the highest score do; and a moment that the
    file does not have is scored as a whole, as one box. Where the rows have no scores, all of them count.

    Args:
        file: A pickled dict: the name of a moment -> (N, 5): x1, y1, x2, y2 as fractions of the frame, and a score; or
            (N, 4) without it.
        moments: Which are wanted.
        threshold: Of the score.
        name_of: Gives the name that the file has for a moment, brought to one form for both.
        within: Whether the original refuses boxes that leave the frame.
    Raises: DataError if the file is no such dict or an array no such boxes; UnsafeFileError.
    Source: mmaction2's AVADataset and AVAKineticsDataset.
    """
    boxes: dict[str, tuple[Box, ...]] = {}
    unsure: list[str] = []
    unknown: list[str] = []
    with opened(file) as content:
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            raise DataError(f"{file}: a pickle of a {type(content).__name__}, expected a dict of boxes by moment")
        known = content if name_of is str else {name_of(key): value for key, value in content.items()}
        for moment in moments:
            if (value := known.get(name_of(moment))) is None:
                boxes[moment] = (WHOLE_FRAME,)
                unknown.append(encodable(moment))
                continue
            rows = array(value, (4, 5), f"{file}: {quote(moment)}")
            boxes[moment], sure = _chosen(rows, threshold, f"{file}: {quote(moment)}", within=within)
            if not sure:
                unsure.append(encodable(moment))
    return boxes, (unsure, unknown)


def _chosen(
    rows: npt.NDArray[np.float64], threshold: float, where: str, *, within: bool
) -> tuple[tuple[Box, ...], bool]:
    """Return the boxes that are scored, and whether one of them reaches the threshold."""
    if not len(rows):
        raise DataError(f"{where}: an array without rows, expected a box or no such moment; the original fails here")
    sure = True
    if rows.shape[1] == 5:
        sure = bool(rows[:, 4].max() >= threshold)
        rows = rows[rows[:, 4] >= min(threshold, rows[:, 4].max())]
    corners = rows[:_MOST, :4]
    least, most = (0.0, 1.0) if within else (-0.5, 1.5)  # detectors leave the frame by a little
    if corners.min() < least or corners.max() > most:
        odd = corners[((corners < least) | (corners > most)).any(axis=1)][0].tolist()
        advice = "; the original refuses boxes that leave the frame" if within else ""
        raise DataError(f"{where}: a box {odd}; expected fractions of the frame, 0 to 1{advice}")
    return tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in corners.tolist()), sure
