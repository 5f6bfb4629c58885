"""Multi-label mean average precision, as Charades is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from videohub.errors import DataError
from videohub.metrics.mean_average_precision import (
    MeanPrecision,
    Ranking,
    compared,
    measured,
    paired,
    per_class,
    plain,
)
from videohub.metrics.metric import AtClips, Findings, Number, Pair, Ranks
from videohub.runs import Joined


def multilabel_map(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean average precision over the classes that some video has, as a fraction.

    Args:
        scores: Video scores (N, classes).
        labels: Which classes each video has (N, classes), 0 or 1.
    Raises: ValueError for empty or mismatching arrays, scores that are not finite, labels other than 0 and 1, or if
        no video has any class.
    Source: the reference's multi-label meter: average precision without interpolation, the sum over distinct scores
        of precision times the rise of recall, so equal scores share one threshold; classes without a positive video
        are left out of the mean.
    """
    return multilabel_curves(scores, labels).mean()


def multilabel_curves(scores: ArrayLike, labels: ArrayLike) -> MeanPrecision:
    """Rank the videos for each class once, for `bootstrap_interval` and its kind.

    Arguments and errors are those of `multilabel_map`, but labels may be all 0.
    """
    score, label = np.asarray(scores), np.asarray(labels)
    if score.ndim != 2 or label.shape != score.shape or not score.size:
        raise ValueError(
            f"found scores {score.shape} and labels {label.shape}, expected (N, classes) twice, neither of them 0"
        )
    if not np.isfinite(score).all():
        raise ValueError(
            f"{int((~np.isfinite(score).all(axis=1)).sum())} of {len(score)} rows of scores are not finite"
        )
    if not np.isin(label, (0, 1)).all():
        raise ValueError(f"found labels {label.min()} to {label.max()}, expected 0 and 1 alone")
    return MeanPrecision(
        tuple(_ranking(one, right.astype(bool)) for one, right in zip(score.T, label.T, strict=True)), plain
    )


def multilabel_extremes(
    scores: ArrayLike, labels: ArrayLike, missing: ArrayLike
) -> tuple[MeanPrecision, MeanPrecision]:
    """Return the curves of the whole list if all missing videos were wrong, and if all were right.

    Right: in each class that a missing video has it comes before every scored one, in the others after. Wrong: the
    other way round, one by one, since equal scores would share the precision of the last. No scores of the missing
    videos give a lower or a higher mean.

    Args:
        scores: Scores of the videos that were scored (N, classes).
        labels: Which classes they have (N, classes), 0 or 1.
        missing: Which classes the missing videos have (M, classes); M may be 0.
    Returns: (worst, best); their videos are the scored ones, then the missing ones.
    Raises: ValueError for what `multilabel_map` does not take.
    """
    score, label, absent = np.asarray(scores), np.asarray(labels), np.asarray(missing)
    multilabel_curves(score, label)  # its checks
    if absent.ndim != 2 or absent.shape[1] != score.shape[1] or not np.isin(absent, (0, 1)).all():
        raise ValueError(f"found missing labels {absent.shape}, expected (M, {score.shape[1]}) of 0 and 1")
    # ranks instead of scores, so that there is always room above and below
    ranks = np.stack([np.unique(one, return_inverse=True)[1] for one in score.T], axis=1)
    has = absent.astype(bool)
    best = np.where(has, len(score), -1)
    worst = np.where(has, -np.cumsum(has, axis=0), len(score))
    every = np.concatenate([label, absent])
    return (
        multilabel_curves(np.concatenate([ranks, worst]), every),
        multilabel_curves(np.concatenate([ranks, best]), every),
    )


def measure(run: Joined) -> list[Number]:
    """Return the mean average precision of a run; see `Arithmetic`."""
    return measured(multilabel_curves(_read(run)[-1], _some_truth(run)))


def pair(first: Joined | Ranks, second: Joined | Ranks) -> Pair | None:
    """Compare two runs; see `Arithmetic`."""
    return paired(first, second, lambda one, other, both: (_curves_among(one, both), _curves_among(other, both)))


def compare(run: Joined, published: Mapping[str, float], names: Sequence[str], *, tolerance: float) -> Findings:
    """Return what the scores say, and with fewer clips."""
    labels = _some_truth(run)
    each_clip = _read(run)
    scores = each_clip[-1]
    curves = multilabel_curves(scores, labels)
    extremes = multilabel_extremes(scores, labels, _truth(run, run.missing)) if run.missing else None
    return Findings(
        comparisons=[compared(run, published, curves, extremes, tolerance=tolerance)],
        classes=per_class(names, labels.sum(axis=0), curves),
        by_clips=[
            AtClips(number, {"mAP": 100 * multilabel_map(scores, labels)})
            for number, scores in enumerate(each_clip, start=1)
        ],
    )


def _read(run: Joined) -> np.ndarray:
    """Return the scores by number of clips, (clips, N, classes) float32."""
    row_of = {index: row for row, index in enumerate(run.scored)}
    scores = np.empty((run.identity.scoring.clips, len(row_of), run.identity.num_classes), np.float32)
    for index, of_clips in run.by_clips():
        scores[:, row_of[index]] = of_clips
    return scores


def _some_truth(run: Joined) -> np.ndarray:
    """Return the classes of the scored videos, as `_truth`. Raises: DataError if none of them has any."""
    labels = _truth(run, run.scored)
    if not labels.any():
        raise DataError(f"{run.identity.record}: none of the {len(labels)} scored videos has any class")
    return labels


def _truth(run: Joined, indexes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return which classes samples have, (N, classes), 0 or 1."""
    labels = np.zeros((len(indexes), run.identity.num_classes), dtype=np.int64)
    for row, index in enumerate(indexes):
        labels[row, run.truth.classes[index]] = 1
    return labels


def _curves_among(run: Joined, common: set[str]) -> MeanPrecision:
    """Return the curves over some videos, ordered by name."""
    indexes, scores = run.video_scores()
    names = [run.truth.names[index] for index in indexes]
    rows = sorted((row for row, name in enumerate(names) if name in common), key=lambda row: names[row])
    return multilabel_curves(scores[rows], _truth(run, indexes[rows]))


def _ranking(scores: np.ndarray, right: np.ndarray) -> Ranking:
    """Rank the videos by their score for one class."""
    order = np.argsort(scores, kind="stable")[::-1]
    sorted_scores = scores[order]
    hits = np.flatnonzero(right[order])
    last = np.flatnonzero(np.append(sorted_scores[1:] != sorted_scores[:-1], True))  # row of each distinct score
    return Ranking(order, hits, np.unique(last[np.searchsorted(last, hits)]), right.astype(np.float64))
