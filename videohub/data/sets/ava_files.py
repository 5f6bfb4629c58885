"""What protocols on AVA's videos name: the files, the moments that are left out, and the ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from videohub.data.sets.lists import first_file
from videohub.errors import DataError, UsageError
from videohub.metrics.ava_files import AvaTruth, read_boxes, read_exclusions, read_label_map
from videohub.protocols import Detection
from videohub.registry.schema import Record

BEGIN, END = 900, 1800  # the frames begin and end at these seconds of the film
PLACES = ("", "annotations", "annotation", "ava_annotations")


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
        folder: Of the data set.
        record: Whose protocol names them.
        others: Further files that are needed: where each is, if it is there, and what it is called.
    """
    detection, places = detection_of(record), [folder / place for place in PLACES]
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
