"""Which detections are right: boxes are matched here, once; curves and intervals only count afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videohub.metrics.ava_files import Boxes
from videohub.metrics.mean_average_precision import MeanPrecision, Ranking, envelope


@dataclass(frozen=True)
class BoxRule:
    """What an evaluation makes of detections before it ranks them; as it stands here, AVA's official code."""

    best_alone: bool = False  # of a box, only the most likely of all outputs is a detection
    above: float | None = None  # only what has a higher score is one
    decimals: int | None = None  # with which boxes and scores are written down
    single: bool = False  # differences and areas of boxes are single precision
    by_score: bool = False  # of those of a moment and class, the more likely one chooses its box first; or the earlier
    flat_dropped: bool = True  # those without extent are left out; or they are wrong
    empty_ignored: bool = False  # detections at moments at which nothing is to be found are left out; or they are wrong
    earlier_first: bool = False  # of equal scores; or the later one
    undetected_counted: bool = True  # a class without any detection counts, as 0; or it is left out


OFFICIAL = BoxRule()
# Source: AVAMetric and ava_eval of mmaction2 1.2. Scores above 0.002 are written into a csv, with four decimals.
MMACTION2 = BoxRule(
    above=0.002, decimals=4, single=True, by_score=True, flat_dropped=False, empty_ignored=True,
    undetected_counted=False,
)  # fmt: skip
# Source: frameAP and MultiSportsMetric of mmaction2 1.2: each box is a detection of its most likely class alone, and
# the most likely detection of all videos comes first.
MULTISPORTS = BoxRule(best_alone=True, by_score=True, flat_dropped=False, earlier_first=True)


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of each detection."""

    names: dict[int, str]  # label id -> name, in the order of the label map
    videos: tuple[str, ...]
    classes: np.ndarray  # (detections,) position in `names`
    video_of: np.ndarray  # (detections,) position in `videos`
    scores: np.ndarray  # (detections,)
    hits: np.ndarray  # (detections,) bool: found a box of its class that no earlier detection had taken
    truths: np.ndarray  # (classes, videos) how many boxes there were to find
    rule: BoxRule = OFFICIAL

    def curves(self) -> MeanPrecision:
        """Rank the detections of each class by score.

        Of equal scores the later row goes first, as in the official code, which reverses an ascending sort; or the
        earlier one, if the rule says so. Sorts that leave it open, as numpy's fastest does, are stable here.
        """
        first = self.rule.earlier_first
        order = np.lexsort((-self.scores if first else self.scores, self.classes))  # stable
        ends = np.searchsorted(self.classes[order], np.arange(1, len(self.names) + 1))
        rankings = []
        for begin, end, truths in zip([0, *ends[:-1]], ends, self.truths, strict=True):
            best_first = order[begin:end] if first else order[begin:end][::-1]
            hits = np.flatnonzero(self.hits[best_first])
            if begin == end and not self.rule.undetected_counted:
                truths = np.zeros_like(truths)
            rankings.append(Ranking(self.video_of[best_first], hits, hits, truths.astype(np.float64)))
        return MeanPrecision(tuple(rankings), envelope)


def match(
    ground_truth: Boxes,
    detections: Boxes,
    names: dict[int, str],
    *,
    iou: float = 0.5,
    videos: Sequence[str] | None = None,
    rule: BoxRule = OFFICIAL,
) -> Matches:
    """Decide which detections are right; `videohub.metrics.ava.evaluate` tells the arguments and how boxes match.

    Args:
        videos: The videos to count by, in their order; by default those of the rows, sorted. Two results can be
            compared video by video only if both were given the same ones.
        rule: In what an evaluation differs from AVA's official one; what concerns single rows is done.
    Raises: ValueError for arrays that do not fit each other or are not finite.
    """
    if not 0 < iou <= 1:
        raise ValueError(f"found iou {iou}, expected more than 0 and at most 1")
    if detections.scores is None:
        raise ValueError("found detections without scores, expected one for each row")
    truth, boxes = known_rows(ground_truth, names), known_rows(detections, names)
    scores = np.asarray(detections.scores, np.float64)
    if scores.shape != (len(detections.labels),) or not np.isfinite(scores).all():
        raise ValueError(f"found scores {scores.shape} for {len(detections.labels)} detections, or some not finite")
    if rule.flat_dropped:
        boxes = boxes.only((boxes.boxes[:, 0] < boxes.boxes[:, 2]) & (boxes.boxes[:, 1] < boxes.boxes[:, 3]))
    if rule.empty_ignored:
        asked = set(truth.keys)
        boxes = boxes.only(np.array([key in asked for key in boxes.keys], bool))
    if rule.by_score:
        boxes = boxes.ordered(np.argsort(-scores[boxes.places], kind="stable"))
    as_compared = np.float32 if rule.single else np.float64

    frames: dict[str, int] = {}
    truth_frames, box_frames = _numbered(truth.keys, frames), _numbered(boxes.keys, frames)
    of_frames = [video_of(key) for key in frames]
    listed = tuple(sorted(set(of_frames)) if videos is None else videos)
    positions = {video: position for position, video in enumerate(listed)}
    if unknown := set(of_frames) - positions.keys():
        raise ValueError(f"found rows of {len(unknown)} videos that are not listed, {min(unknown)!r} for one")
    of_frames_at = np.array([positions[video] for video in of_frames], np.int64)
    truths = np.zeros((len(names), len(listed)), np.int64)
    np.add.at(truths, (truth.classes, of_frames_at[truth_frames]), 1)
    return Matches(
        names=dict(names),
        videos=listed,
        classes=boxes.classes,
        video_of=of_frames_at[box_frames],
        scores=scores[boxes.places],
        hits=_hits(
            truth_frames * len(names) + truth.classes,
            truth.boxes.astype(as_compared),
            box_frames * len(names) + boxes.classes,
            boxes.boxes.astype(as_compared),
            iou,
        ),
        truths=truths,
        rule=rule,
    )


def video_of(key: str) -> str:
    """Return the video of a moment, `video,%04d`."""
    return key.rpartition(",")[0]


@dataclass(frozen=True, eq=False)
class KnownRows:
    """Rows whose label has a name."""

    keys: Sequence[str]
    boxes: np.ndarray  # (rows, 4) float64
    classes: np.ndarray  # (rows,) position among the names
    places: np.ndarray  # (rows,) where each row stood

    def only(self, rows: np.ndarray) -> KnownRows:
        """Return some of the rows, which (rows,) bool marks."""
        if rows.all():
            return self
        return self.ordered(np.flatnonzero(rows))

    def ordered(self, rows: np.ndarray) -> KnownRows:
        """Return rows by their numbers."""
        keys = [self.keys[row] for row in rows.tolist()]
        return KnownRows(keys, self.boxes[rows], self.classes[rows], self.places[rows])


def known_rows(boxes: Boxes, names: dict[int, str]) -> KnownRows:
    """Check the arrays and return the rows whose label has a name.

    Raises: ValueError for arrays that do not fit each other or are not finite, or if there are no names.
    """
    labels, corners = np.asarray(boxes.labels), np.asarray(boxes.boxes, np.float64)
    corners = corners if corners.size else corners.reshape(0, 4)
    if corners.shape != (len(labels), 4) or len(boxes.keys) != len(labels) or not names:
        raise ValueError(
            f"found {len(boxes.keys)} keys, boxes {corners.shape}, labels {labels.shape} and {len(names)} names, "
            "expected (N,), (N, 4), (N,) and some names"
        )
    if not np.isfinite(corners).all():
        raise ValueError(f"{int((~np.isfinite(corners).all(axis=1)).sum())} of {len(corners)} boxes are not finite")
    ids = np.array(list(names), np.int64)
    ascending = np.argsort(ids)
    classes = ascending[np.searchsorted(ids[ascending], labels).clip(max=len(ids) - 1)]
    return KnownRows(boxes.keys, corners, classes, np.arange(len(labels))).only(ids[classes] == labels)


def _numbered(keys: Sequence[str], numbers: dict[str, int]) -> np.ndarray:
    """Return each key's number; new keys are added to `numbers`."""
    return np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), np.int64, len(keys))


def _hits(
    truth_groups: np.ndarray, truth: np.ndarray, box_groups: np.ndarray, boxes: np.ndarray, iou: float
) -> np.ndarray:
    """Return which detected boxes are right, (boxes,) bool; only boxes of one group, a moment and a class, can meet."""
    hits = np.zeros(len(boxes), bool)
    order = np.argsort(truth_groups, kind="stable")
    first = np.searchsorted(truth_groups[order], box_groups, side="left")
    counts = np.searchsorted(truth_groups[order], box_groups, side="right") - first
    near = np.flatnonzero(counts)
    if not len(near):
        return hits
    # one row for each pair of a detected box and one to find, the latter in the order of the file
    starts = np.cumsum(counts[near]) - counts[near]
    within = np.arange(counts[near].sum()) - np.repeat(starts, counts[near])
    pairs = order[np.repeat(first[near], counts[near]) + within]
    overlaps = _overlaps(np.repeat(boxes[near], counts[near], axis=0), truth[pairs])
    best = np.maximum.reduceat(overlaps, starts)
    level = np.flatnonzero(overlaps == np.repeat(best, counts[near]))
    chosen = pairs[level[np.searchsorted(level, starts)]]  # the first of several best
    close = best >= iou
    _, earliest = np.unique(chosen[close], return_index=True)
    hits[near[close][earliest]] = True
    return hits


def _overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return intersection over union of boxes (N, 4), row by row.

    Of single precision, what is shared is multiplied in double precision, as mmaction2 does.
    """
    sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    shared = np.prod(np.maximum(sides, 0).astype(np.float64), axis=1)
    union = np.prod(one[:, 2:] - one[:, :2], axis=1) + np.prod(other[:, 2:] - other[:, :2], axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
