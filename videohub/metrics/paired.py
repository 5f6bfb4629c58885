"""Two models on the same videos: how much better is one, and can that be chance?"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from videohub.metrics.curves import MeanPrecision
from videohub.metrics.intervals import drawn_weights, percentiles_around, wilson_interval


class PairedAccuracies(msgspec.Struct, frozen=True):
    """Which of two models was right on how many videos, and what follows; `difference` is the first's accuracy minus
    the second's in points, with its 95 % interval; `p_value` is McNemar's.
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    difference: float
    interval: tuple[float, float]
    p_value: float


class PairedMaps(msgspec.Struct, frozen=True):
    """The first model's mean average precision minus the second's, as a fraction, with its 95 % interval."""

    difference: float
    interval: tuple[float, float]


def paired_accuracies(first: ArrayLike, second: ArrayLike) -> PairedAccuracies:
    """Compare two models by their hits on the same videos in the same order, (N,) bool each, as `topk_hits` gives them.

    Raises: ValueError unless both are (N,) bool with N > 0.
    """
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape or one.ndim != 1 or not len(one) or one.dtype != bool or other.dtype != bool:
        raise ValueError(
            f"found hits {one.shape} {one.dtype} and {other.shape} {other.dtype}, expected (N,) bool twice, N > 0"
        )
    both, first_only, second_only = int((one & other).sum()), int((one & ~other).sum()), int((~one & other).sum())
    neither = len(one) - both - first_only - second_only
    return PairedAccuracies(
        both=both,
        first_only=first_only,
        second_only=second_only,
        neither=neither,
        difference=100 * (first_only - second_only) / len(one),
        interval=newcombe_interval(both, first_only, second_only, neither),
        p_value=mcnemar(first_only, second_only),
    )


def newcombe_interval(both: int, first_only: int, second_only: int, neither: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two paired accuracies, in points.

    Raises: ValueError if a count is below 0 or all are 0.
    Source: Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
        data", Statistics in Medicine 17, 1998, method 10: the Wilson intervals of the two accuracies, put together
        with their correlation, from which half a video is taken where it is positive.
    """
    count = both + first_only + second_only + neither
    if min(both, first_only, second_only, neither) < 0 or not count:
        raise ValueError(
            f"found counts {both}, {first_only}, {second_only}, {neither}, expected none below 0 and not all 0"
        )
    right, other_right = both + first_only, both + second_only
    one, other = 100 * right / count, 100 * other_right / count
    low, high = wilson_interval(right, count)
    other_low, other_high = wilson_interval(other_right, count)
    margins = right * (count - right) * other_right * (count - other_right)
    together = float(both * neither - first_only * second_only)
    if together > 0:
        together = max(together - count / 2, 0.0)
    phi = together / math.sqrt(margins) if margins else 0.0
    down, other_up = one - low, other_high - other
    up, other_down = high - one, other - other_low
    return (
        one - other - math.sqrt(max(0.0, down**2 - 2 * phi * down * other_up + other_up**2)),
        one - other + math.sqrt(max(0.0, up**2 - 2 * phi * up * other_down + other_down**2)),
    )


def mcnemar(first_only: int, second_only: int) -> float:
    """Return the exact two-sided p-value of McNemar's test: how likely is so uneven a split, were both equally good?

    Each video on which only one model is right is then a fair coin. Counted in whole numbers, so nothing is lost
    however many videos there are.

    Raises: ValueError if a count is below 0.
    """
    if min(first_only, second_only) < 0:
        raise ValueError(f"found counts {first_only} and {second_only}, expected none below 0")
    count = first_only + second_only
    tail = term = 1  # ways for 0 heads
    for heads in range(1, min(first_only, second_only) + 1):
        term = term * (count - heads + 1) // heads
        tail += term
    return min(1.0, 2 * tail / 2**count)


def paired_maps(first: MeanPrecision, second: MeanPrecision, *, resamples: int = 1000, seed: int = 0) -> PairedMaps:
    """Compare two models by mean average precision, with a bootstrap that draws the same videos for both.

    Args:
        first, second: Curves over the same videos in the same order, with the same truth. For AVA give `match` the
            list of videos.
        resamples, seed: As of `bootstrap_interval`, whose shift of the percentiles is used here too.
    Raises: ValueError if the videos or their truth differ, or no class has anything to find.
    """
    same = first.videos == second.videos and len(first.rankings) == len(second.rankings)
    if not same or any(
        not np.array_equal(one.truths, other.truths) for one, other in zip(first.rankings, second.rankings, strict=True)
    ):
        raise ValueError("the two were not measured on the same videos, classes and ground truth, in the same order")
    difference = first.mean() - second.mean()
    drawn = [first.means(weights) - second.means(weights) for weights in drawn_weights(first.videos, resamples, seed)]
    low, high = percentiles_around(difference, np.concatenate(drawn))
    interval = (max(-1.0, low), min(1.0, high)) if first.videos > 1 else (-1.0, 1.0)
    return PairedMaps(difference=difference, interval=interval)
