"""From scores to numbers: accuracies, and how far chance can have moved them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

_Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution


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
    """Return for each k whether each video's label is among its k best classes, (N,) bool.

    Equal scores are ranked by class number, so that the answer does not depend on the machine.
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
    rank = (score > own).sum(axis=1) + ((score == own) & earlier).sum(axis=1)
    return {k: rank < k for k in ks}


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of an accuracy, in per cent.

    Raises: ValueError unless 0 <= hits <= count and count > 0.
    """
    if not 0 <= hits <= count or count == 0:
        raise ValueError(f"found {hits} hits of {count}, expected 0 <= hits <= count and a count above 0")
    share, z2 = hits / count, _Z_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)
