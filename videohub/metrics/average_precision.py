"""Multi-label mean average precision, as Charades is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from videohub.metrics.curves import MeanPrecision, Ranking, plain


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


def average_precisions(scores: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Return the average precision of each class, (classes,) float64; NaN for classes that no video has.

    Arguments and errors are those of `multilabel_map`, but labels may be all 0.
    """
    return multilabel_curves(scores, labels).classes()


def multilabel_curves(scores: ArrayLike, labels: ArrayLike) -> MeanPrecision:
    """Rank the videos for each class once, for `bootstrap_interval` and its kind; arguments as above."""
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


def _ranking(scores: np.ndarray, right: np.ndarray) -> Ranking:
    """Rank the videos by their score for one class."""
    order = np.argsort(scores, kind="stable")[::-1]
    sorted_scores = scores[order]
    hits = np.flatnonzero(right[order])
    last = np.flatnonzero(np.append(sorted_scores[1:] != sorted_scores[:-1], True))  # row of each distinct score
    return Ranking(order, hits, np.unique(last[np.searchsorted(last, hits)]), right.astype(np.float64))
