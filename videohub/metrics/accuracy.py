"""Top-k accuracy: how often the right class is among the k best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def topk_accuracy(scores: ArrayLike, labels: ArrayLike, ks: Sequence[int] = (1, 5)) -> dict[int, float]:
    """Return the per cent of videos whose label is among the k best classes, for each k.

    Args:
        scores: Video scores (N, classes).
        labels: True classes (N,).
        ks: How many best classes count.
    Raises: ValueError for empty or mismatching arrays, scores that are not finite, labels that are no class.
    """
    hits = topk_hits(scores, labels, ks)
    return {k: 100 * float(hit.mean()) for k, hit in hits.items()}


def topk_hits(scores: ArrayLike, labels: ArrayLike, ks: Sequence[int] = (1, 5)) -> dict[int, np.ndarray]:
    """Return for each k whether each video's label is among its k best classes, (N,) bool; arguments as above."""
    rank = ranks(scores, labels)
    return {k: rank < k for k in ks}


def ranks(scores: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Return how many classes are ranked before each video's label, (N,) int; 0 is best.

    Equal scores are ranked by class number, so that the answer does not depend on the machine.

    Args:
        scores: Video scores (N, classes).
        labels: True classes (N,).
    Raises: ValueError for empty or mismatching arrays, scores that are not finite, labels that are no class.
    """
    score, label = np.asarray(scores), np.asarray(labels)
    if score.ndim != 2 or label.shape != score.shape[:1] or not len(label):
        raise ValueError(f"found scores {score.shape} and labels {label.shape}, expected (N, classes) and (N,), N > 0")
    if not np.isfinite(score).all():
        raise ValueError(
            f"{int((~np.isfinite(score).all(axis=1)).sum())} of {len(label)} rows of scores are not finite"
        )
    if label.min() < 0 or label.max() >= score.shape[1]:
        raise ValueError(f"found labels {label.min()} to {label.max()}, expected 0 to {score.shape[1] - 1}")
    own = score[np.arange(len(label)), label][:, None]
    earlier = np.arange(score.shape[1]) < label[:, None]
    rank: np.ndarray = (score > own).sum(axis=1) + ((score == own) & earlier).sum(axis=1)
    return rank
