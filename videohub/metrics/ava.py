"""AVA's mean average precision of boxes with actions, as its official code computes it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from videohub.errors import DataError
from videohub.metrics.ava_files import Boxes, FilePath, read_boxes, read_exclusions, read_label_map
from videohub.metrics.matching import Matches, match


class AvaResult(msgspec.Struct, frozen=True):
    """Mean average precision as a fraction, and that of each class by name; None where there is no ground truth."""

    map: float
    per_class: dict[str, float | None]


def ava_map(
    ground_truth: FilePath,
    detections: FilePath,
    *,
    label_map: FilePath,
    exclusions: FilePath | None = None,
    iou: float = 0.5,
) -> AvaResult:
    """Compare a file of detections with the ground truth; `evaluate` tells how.

    Args:
        ground_truth: csv without a header: video, second, x1, y1, x2, y2 (fractions of the frame), label id; an
            eighth column may name the person and is not used.
        detections: csv likewise, with the score as the eighth column. The order of its rows matters.
        label_map: pbtxt that names the classes that count; rows of other label ids are left out of both files.
        exclusions: csv of video, second: moments that are left out of both files.
        iou: Overlap from which a detection has found a box.
    Raises: UsageError if a file is missing; DataError naming the file and the line that cannot be read, or if no row
        of the ground truth counts.
    """
    names = read_label_map(label_map)
    excluded = frozenset[str]() if exclusions is None else read_exclusions(exclusions)
    truth = read_boxes(ground_truth, labels=names, excluded=excluded)
    if not len(truth.labels):
        raise DataError(
            f"{ground_truth}: no row has a label id of {label_map} at a moment that is not excluded; "
            "are these files of one version of AVA?"
        )
    found = read_boxes(detections, labels=names, excluded=excluded, scored=True)
    return evaluate(truth, found, names, iou)


def evaluate(ground_truth: Boxes, detections: Boxes, names: dict[int, str], iou: float = 0.5) -> AvaResult:
    """Return AVA's numbers for boxes in memory.

    Args:
        ground_truth: The boxes to find, one row for each action of a box; scores are not used.
        detections: What was found, one row for each box and action, in the order of the file.
        names: Label id -> name of the classes that count; rows of other labels are ignored.
        iou: Overlap from which a detection has found a box.
    Raises: ValueError for arrays that do not fit each other or are not finite, or if no class has ground truth.
    Source: AVA's official evaluation. In the order of the rows, each detection looks at the ground truth box of its
        moment and class that it overlaps most; with an overlap of at least `iou` it is right if no earlier detection
        took that box, and wrong in all other cases. Scores play no part in that. Detections without extent are
        dropped; those at moments without ground truth are wrong. Then average precision of each class over all
        moments, with precision made monotone, and the mean over the classes that have ground truth.
    """
    return ava_result(match(ground_truth, detections, names, iou=iou))


def ava_result(matches: Matches) -> AvaResult:
    """Return the numbers that follow from which detections are right.

    Raises: ValueError if no class has ground truth.
    """
    curves = matches.curves()
    each = [None if np.isnan(found) else float(found) for found in curves.classes()]
    return AvaResult(curves.mean(), dict(zip(matches.names.values(), each, strict=True)))


def scored_boxes(keys: Sequence[str], boxes: ArrayLike, scores: ArrayLike) -> Boxes:
    """Return what a network says of boxes as rows of detections: box by box, and of each box class by class.

    Args:
        keys: `video,%04d` of each box (K,).
        boxes: x1, y1, x2, y2 as fractions of the frame (K, 4).
        scores: (K, classes); output k is label id k + 1.
    Raises: ValueError if the arrays do not fit each other.
    """
    score, corners = np.asarray(scores), np.asarray(boxes, np.float64)
    if score.ndim != 2 or corners.shape != (len(score), 4) or len(keys) != len(score):
        raise ValueError(
            f"found {len(keys)} keys, boxes {corners.shape} and scores {score.shape}, "
            "expected (K,), (K, 4) and (K, classes)"
        )
    count, classes = score.shape
    return Boxes(
        [key for key in keys for _ in range(classes)],
        np.repeat(corners, classes, axis=0),
        np.tile(np.arange(1, classes + 1), count),
        score.reshape(-1),
    )
