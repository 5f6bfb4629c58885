"""Does a recomputed accuracy agree with the published one?"""

from __future__ import annotations

from typing import Literal

import msgspec

from videohub.metrics import wilson_interval

TOLERANCE = 0.3  # points; what the zoo's maintainers put down to the conversion of weights (their issue 28)
RESOLUTION = 5.0  # points; an interval wider than ± this agrees with too much to mean anything

Answer = Literal["consistent", "inconsistent", "insufficient data"]


class Comparison(msgspec.Struct, frozen=True):
    """One published accuracy beside the recomputed one; all in per cent.

    `interval` is what chance allows at 95 %, on the videos that could be scored; `bounds` add what the missing videos
    could do if they were all wrong or all right.
    """

    metric: str
    published: float
    recomputed: float
    interval: tuple[float, float]
    bounds: tuple[float, float]
    answer: Answer
    reason: str


def compare(metric: str, published: float, *, hits: int, scored: int, missing: int) -> Comparison:
    """Compare an accuracy with the published one.

    Args:
        metric: Its name, for the report.
        published: What the source states, in per cent.
        hits: Videos that count as right.
        scored: Videos that were scored.
        missing: Videos that are listed but could not be scored.
    Raises: ValueError if nothing was scored.
    """
    interval = wilson_interval(hits, scored)
    low, high = wilson_interval(hits, scored + missing)[0], wilson_interval(hits + missing, scored + missing)[1]
    half = (high - low) / 2
    gap = published - 100 * hits / scored
    found = f"{metric} is {abs(gap):.2f} points {'below' if gap > 0 else 'above'} the published {published:.2f}"
    answer: Answer
    if not low - TOLERANCE <= published <= high + TOLERANCE:
        answer, reason = "inconsistent", f"{found}, and neither chance nor the missing videos explain that"
    elif half > RESOLUTION:
        answer = "insufficient data"
        reason = f"{found}, but {scored} scored and {missing} missing videos leave it open by ± {half:.1f} points"
    elif not interval[0] - TOLERANCE <= published <= interval[1] + TOLERANCE:
        answer, reason = "insufficient data", f"{found}; the {missing} missing videos could explain that"
    else:
        answer, reason = "consistent", f"{found}; chance allows {interval[0]:.2f} to {interval[1]:.2f}"
    return Comparison(
        metric=metric,
        published=published,
        recomputed=100 * hits / scored,
        interval=interval,
        bounds=(low, high),
        answer=answer,
        reason=reason,
    )
