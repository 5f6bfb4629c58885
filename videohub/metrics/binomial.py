"""How far chance moves a count of hits: of one list, of two models on it, and while it is still being scored."""

from __future__ import annotations

import math
from bisect import bisect_left

_Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution
_SLACK = 1e-9  # log-gamma of 100,000 is right to 1e-10; what is on the edge stays in


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of an accuracy, in per cent; with every hit it ends at 100, with none at 0.

    Raises: ValueError unless 0 <= hits <= count and count > 0.
    """
    if not 0 <= hits <= count or count == 0:
        raise ValueError(f"found {hits} hits of {count}, expected 0 <= hits <= count and a count above 0")
    share, z2 = hits / count, _Z_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    low, high = centre - half, centre + half
    return (0.0 if hits == 0 else 100 * low), (100.0 if hits == count else 100 * high)  # whatever the rounding


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


def hits_sequence(hits: int, seen: int, total: int, level: float = 0.95) -> tuple[int, int]:
    """Return the least and the most hits that the whole list can have, given those of the videos seen so far.

    With probability `level` the true number lies in the range at every moment from the first video to the last, so
    one may look after each video and stop because of what one sees. This holds only if the list is gone through in
    random order. When all videos are seen, the range is the number of hits.

    Args:
        hits: Hits among the videos seen.
        seen: Videos seen.
        total: Videos on the list.
        level: Confidence, between 0 and 1.
    Raises: ValueError unless 0 <= hits <= seen <= total and 0 < level < 1.
    Source: Waudby-Smith & Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020: a number of
        hits is excluded once its probability has fallen from prior to posterior by the factor 1 - level; here with
        the uniform prior, which is the beta-binomial one with both parameters 1. The ratio of posterior and prior is a
        martingale for the true number.
    """
    if not 0 <= hits <= seen <= total or not 0 < level < 1:
        raise ValueError(
            f"found {hits} hits of {seen} seen of {total} at level {level}, "
            "expected 0 <= hits <= seen <= total and 0 < level < 1"
        )
    if not seen:
        return 0, total
    misses = seen - hits

    def likely(number: int) -> bool:
        """Say whether the list may hold this number of hits: its likelihood over the mean of all numbers'."""
        left = total - number
        likelihood = _ln(number) - _ln(number - hits) + _ln(left) - _ln(left - misses) - _ln(total) + _ln(total - seen)
        mean = _ln(hits) + _ln(misses) - _ln(seen + 1)
        return likelihood - mean > math.log(1 - level) - _SLACK

    # the likelihood rises up to this number, which is likely itself, and falls after it
    peak = min(hits * (total + 1) // seen, total - misses)
    below, above = range(hits, peak), range(peak + 1, total - misses + 1)
    return (
        hits + bisect_left(below, True, key=likely),
        peak + bisect_left(above, True, key=lambda number: not likely(number)),
    )


def _ln(number: int) -> float:
    """Return the logarithm of a factorial."""
    return math.lgamma(number + 1)
