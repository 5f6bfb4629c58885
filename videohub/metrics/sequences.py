"""How many hits a whole list will have, judged while it is being scored, at any moment and as often as one likes."""

from __future__ import annotations

import math
from collections.abc import Callable

_SLACK = 1e-9  # log-gamma of 100,000 is right to 1e-10; what is on the edge stays in


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

    # the likelihood rises up to this number and falls after it
    peak = min(hits * (total + 1) // seen, total - misses)
    return _first(likely, hits, peak), -_first(lambda number: likely(-number), misses - total, -peak)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the first number of low to high for which a property holds that, once it does, holds up to high."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _ln(number: int) -> float:
    """Return the logarithm of a factorial."""
    return math.lgamma(number + 1)
