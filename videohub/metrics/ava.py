"""Mean average precision of boxes with actions: AVA's, as its official code computes it, and what is its like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from videohub.errors import DataError
from videohub.metrics.ava_files import AvaTruth, Boxes, FilePath, read_boxes, read_exclusions, read_label_map
from videohub.metrics.matching import (
    MMACTION2,
    MULTISPORTS,
    OFFICIAL,
    BoxRule,
    Matches,
    known_rows,
    match,
    video_of,
)
from videohub.metrics.mean_average_precision import MeanPrecision, compared, measured, paired, per_class
from videohub.metrics.metric import Findings, Number, Pair, Ranks
from videohub.runs import Box, Joined, read_scores


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
    return evaluate(truth, read_boxes(detections, labels=names, excluded=excluded, scored=True), names, iou)


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
    curves = match(ground_truth, detections, names, iou=iou).curves()
    each = [None if np.isnan(value) else float(value) for value in curves.classes()]
    return AvaResult(curves.mean(), dict(zip(names.values(), each, strict=True)))


def detected_boxes(
    keys: Sequence[str], boxes: ArrayLike, scores: ArrayLike, rule: BoxRule, *, first_id: int = 1
) -> Boxes:
    """Return what a network says of boxes as rows of detections under a rule: box by box, and of each class by class.

    Args:
        keys: `video,%04d` of each box (K,).
        boxes: x1, y1, x2, y2 as fractions of the frame (K, 4).
        scores: (K, classes); output k is label id k + `first_id`.
        rule: Which of them are detections, and how they are written down.
        first_id: Label id of output 0.
    Raises: ValueError if the arrays do not fit each other.
    """
    score, corners = np.asarray(scores), np.asarray(boxes, np.float64)
    if score.ndim != 2 or corners.shape != (len(score), 4) or len(keys) != len(score):
        raise ValueError(
            f"found {len(keys)} keys, boxes {corners.shape} and scores {score.shape}, "
            "expected (K,), (K, 4) and (K, classes)"
        )
    if rule.best_alone:
        rows, classes = np.arange(len(score)), score.argmax(axis=1)
    else:
        rows, classes = np.divmod(np.arange(score.size), score.shape[1])
    of_rows = score[rows, classes]
    if rule.above is not None:
        taken = of_rows.astype(np.float32) > np.float32(rule.above)
        rows, classes, of_rows = rows[taken], classes[taken], of_rows[taken]
    corners = corners[rows]
    if rule.decimals is not None:
        corners = corners.astype(np.float32).astype(np.float64).round(rule.decimals)
        of_rows = of_rows.astype(np.float64).round(rule.decimals)
    return Boxes([keys[row] for row in rows.tolist()], corners, classes + first_id, of_rows)


def ava_extremes(matches: Matches, truth: Boxes, persons: Sequence[str]) -> tuple[MeanPrecision, MeanPrecision]:
    """Return the curves of all moments if the missing ones were all wrong, and if they were all right.

    Right: each ground truth box of a missing moment is found before everything else. Wrong: none is, and every person
    that the detector found at a missing moment is a false detection of each class before everything else; a network
    cannot do worse, since it gives a box one score a class. How many persons there are decides how low that is, and
    the detector's file tells it without the frames. Where it is not known, no bound above 0 holds.

    Args:
        matches: Those of the moments that were scored, with the ground truth of these moments alone.
        truth: Ground truth of the missing moments.
        persons: The key, `video,%04d`, of each of the detector's boxes at missing moments.
    Returns: (worst, best), over the videos of `matches` and those that are missing whole.
    Raises: ValueError for ground truth that `match` does not take.
    """
    rows = known_rows(truth, matches.names)
    of_truth, of_persons = [video_of(key) for key in rows.keys], [video_of(key) for key in persons]
    known = set(matches.videos)
    videos = (*matches.videos, *sorted({*of_truth, *of_persons} - known))
    positions = {video: position for position, video in enumerate(videos)}
    truth_videos = np.array([positions[video] for video in of_truth], np.int64)
    truths = np.pad(matches.truths, ((0, 0), (0, len(videos) - len(known))))
    np.add.at(truths, (rows.classes, truth_videos), 1)
    whole = replace(matches, videos=videos, truths=truths)
    classes = len(matches.names)
    best = _with_first(whole, rows.classes, truth_videos, right=True)
    worst = _with_first(
        whole,
        np.tile(np.arange(classes), len(of_persons)),
        np.repeat(np.array([positions[video] for video in of_persons], np.int64), classes),
        right=False,
    )
    return worst.curves(), best.curves()


class BoxArithmetic:
    """Judges runs by boxes, under the rule of one evaluation, as `Arithmetic` says."""

    def __init__(self, rule: BoxRule) -> None:
        """Take the rule of an evaluation."""
        self._rule = rule

    def measure(self, run: Joined) -> list[Number]:
        return measured(self._matches(run, _moments(run))[1].curves())

    def pair(self, first: Joined | Ranks, second: Joined | Ranks) -> Pair | None:
        return paired(first, second, self._curves_of_both)

    def compare(
        self, run: Joined, published: Mapping[str, float], names: Sequence[str], *, tolerance: float
    ) -> Findings:
        """Return what the scores say; the ground truth's own label map names the classes."""
        truth, matches = self._matches(run, _moments(run))
        curves = matches.curves()
        extremes = None
        if run.missing:
            gone = [run.truth.names[index] for index in run.missing]
            persons = [name for name, index in zip(gone, run.missing, strict=True) for _ in _boxes(run)[index]]
            extremes = ava_extremes(matches, _rows(truth, frozenset(gone)), persons)
        return Findings(
            comparisons=[compared(run, published, curves, extremes, tolerance=tolerance)],
            classes=per_class(truth.names.values(), matches.truths.sum(axis=1), curves),
        )

    def _curves_of_both(self, first: Joined, second: Joined, _: set[str]) -> tuple[MeanPrecision, MeanPrecision]:
        """Rank the detections at the moments that count for both."""
        moments = _moments(first) & _moments(second)
        return self._matches(first, moments)[1].curves(), self._matches(second, moments)[1].curves()

    def _matches(self, run: Joined, moments: frozenset[str]) -> tuple[AvaTruth, Matches]:
        """Return AVA's truth, and which detections are right at some moments; every video of these counts.

        Raises: DataError if nothing is there to find.
        """
        truth, persons = _ava_truth(run), _boxes(run)
        keys: list[str] = []
        boxes: list[Box] = []
        scores = []
        entries = [entry for entry in run.entries.values() if entry.name in moments]
        for entry, of_boxes in sorted(read_scores(entries), key=lambda pair: pair[0].index):
            expected = len(persons[entry.index])
            if expected != len(of_boxes):
                raise DataError(f"{entry.name}: found scores of {len(of_boxes)} boxes, expected {expected}")
            keys += [entry.name] * expected
            boxes += persons[entry.index]
            scores.append(of_boxes)
        rows = _rows(truth, moments)
        if not scores or not len(rows.labels):
            raise DataError(f"{run.identity.record}: no scored moment has a box to find")
        videos = sorted({video_of(moment) for moment in moments})
        detected = detected_boxes(keys, boxes, np.concatenate(scores), self._rule, first_id=truth.first_id)
        return truth, match(rows, detected, truth.names, videos=videos, rule=self._rule)


official, mmaction2, multisports = BoxArithmetic(OFFICIAL), BoxArithmetic(MMACTION2), BoxArithmetic(MULTISPORTS)


def _moments(run: Joined) -> frozenset[str]:
    """Return the moments that count: the scored ones, and those of the ground truth at which nobody was detected.

    Moments that are missing do not: all that is there would count as not found. Of a sample, nor does what is not in
    it, since nobody can tell whether somebody was detected there.
    """
    truth = _ava_truth(run)
    scored = frozenset(run.truth.names[index] for index in run.scored)
    if run.identity.sample is not None:
        return scored
    return scored | (frozenset(truth.keys) - frozenset(run.truth.names))


def _ava_truth(run: Joined) -> AvaTruth:
    if run.truth.ava is None:
        raise DataError(f"{run.identity.record}: its data.json has no boxes to find; the run cannot be judged")
    return msgspec.convert(run.truth.ava, AvaTruth, str_keys=True)


def _boxes(run: Joined) -> list[list[Box]]:
    """Return the boxes that each sample is scored at."""
    boxes = run.truth.boxes
    if boxes is None or len(boxes) != len(run.truth.names):
        raise DataError(
            f"{run.identity.record}: its data.json does not tell which boxes were scored, so the run cannot be "
            "judged.\n  Run `videohub verify` again, into another folder."
        )
    return boxes


def _rows(truth: AvaTruth, moments: frozenset[str]) -> Boxes:
    """Return the ground truth at some moments."""
    rows = [row for row, key in enumerate(truth.keys) if key in moments]
    return Boxes(
        [truth.keys[row] for row in rows],
        np.array([truth.boxes[row] for row in rows], dtype=np.float64).reshape(-1, 4),
        [truth.labels[row] for row in rows],
    )


def _with_first(matches: Matches, classes: np.ndarray, videos: np.ndarray, *, right: bool) -> Matches:
    """Add detections that come before all others."""
    return replace(
        matches,
        classes=np.concatenate([matches.classes, classes]),
        video_of=np.concatenate([matches.video_of, videos]),
        scores=np.concatenate([matches.scores, np.full(len(classes), np.inf)]),
        hits=np.concatenate([matches.hits, np.full(len(classes), right)]),
    )
