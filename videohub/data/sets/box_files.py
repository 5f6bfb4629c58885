"""What protocols with boxes name: files, the ground truth that judges them, and the boxes that a detector proposed.

The boxes that mmaction2 takes are a pickle of an array for each moment. A pickle is read by the walls that weights are
read behind: nothing in it ever runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from videohub.data.geometry import Box
from videohub.data.sets.lists import first_file
from videohub.errors import DataError, FormatError, UnsafeFileError, UsageError
from videohub.escaping import encodable, quote
from videohub.metrics.ava_files import AvaTruth, read_boxes, read_exclusions, read_label_map
from videohub.pickles import unpickler
from videohub.pickles.pickle_scan import ANNOTATIONS
from videohub.protocols import Detection
from videohub.registry.schema import Record

WHOLE_FRAME: Box = (0.0, 0.0, 1.0, 1.0)
_PLACES = ("", "annotations", "annotation", "ava_annotations")
_MOST = 1000  # boxes of a moment; the original keeps the first ones of the file


def detection_of(record: Record) -> Detection:
    """Return what the protocol says of boxes and judgement."""
    if record.protocol.detection is None:
        raise DataError(f"{record.name}: protocol {record.protocol.name} names neither boxes nor ground truth")
    return record.protocol.detection


def fps_of(record: Record) -> float:
    """Return at how many frames a second the frames were extracted."""
    if record.dataset.fps is None:
        raise DataError(f"{record.dataset.name}: its entry lacks `fps`, the rate at which its frames were extracted")
    return record.dataset.fps


def ava_files(
    folder: Path, record: Record, others: Mapping[str, tuple[Path | None, str]] | None = None
) -> dict[str, Path]:
    """Return the files that the protocol names, or tell of all that are missing at once.

    Args:
        others: Further files that are needed: where each is, if it is there, and what it is called.
    """
    detection, places = detection_of(record), [folder / place for place in _PLACES]
    if detection.label_map is None:
        raise DataError(f"{record.name}: protocol {record.protocol.name} names no label map, and AVA's rows need one")
    names = {
        "boxes": detection.boxes,
        "label_map": detection.label_map,
        **({"exclusions": detection.exclusions} if detection.exclusions else {}),
        "ground_truth": detection.ground_truth,
    }
    files = {what: first_file(places, (name,)) for what, name in names.items()}
    for what, (file, name) in (others or {}).items():
        files[what], names[what] = file, name
    if missing := [names[what] for what, file in files.items() if file is None]:
        raise UsageError(
            f"{folder}: files of protocol {record.protocol.name} are missing:"
            + "".join(f"\n  {name}" for name in missing)
            + "\n  looked for them in "
            + ", ".join(str(place) for place in places)
        )
    return {what: file for what, file in files.items() if file is not None}


def excluded_moments(files: Mapping[str, Path]) -> frozenset[str]:
    """Return the moments that a protocol leaves out, as `video,%04d`."""
    return read_exclusions(files["exclusions"]) if "exclusions" in files else frozenset()


def ava_truth(files: Mapping[str, Path], excluded: frozenset[str], record: Record) -> AvaTruth:
    """Read the rows of the ground truth that count: of classes that the label map lists, at moments not excluded."""
    names = read_label_map(files["label_map"])
    first_id = 1 - record.model.background_outputs
    last_id = record.num_classes - 1 + first_id
    if not 1 <= min(names) <= max(names) <= last_id:
        raise DataError(
            f"{files['label_map']}: the ids run from {min(names)} to {max(names)}; the record has 1 to {last_id}"
        )
    rows = read_boxes(files["ground_truth"], labels=names, excluded=excluded)
    if not rows.keys:
        raise DataError(f"{files['ground_truth']}: no box of a class that {files['label_map']} lists")
    boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in np.asarray(rows.boxes).tolist()]
    return AvaTruth(names, list(rows.keys), boxes, np.asarray(rows.labels).tolist(), first_id)


# --- the boxes that a detector proposed ------------------------------------------------------------------------------


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
        kind = f"a {type(value).__name__}" if stored is None else f"an array {stored.shape}"
        expected = " or ".join(map(str, columns))
        raise DataError(f"{where}: found {kind}, expected an array of {expected} columns")
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
