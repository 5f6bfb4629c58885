"""Does a recomputed number agree with the published one, and can one tell before all videos are scored?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Literal

import msgspec

from videohub.metrics.binomial import hits_sequence, wilson_interval

FEWEST = 30  # videos; drawn again and again, fewer than that show less chance than there is
RESOLUTION = 5.0  # points; an interval wider than ± this agrees with too much to mean anything

# What `compare_accuracy` and `compare_map` decide by, and a report after them, for those who cite a verdict.
RULE = (
    "A number is inconsistent if the published one lies outside bounds and tolerance; else insufficient data if the "
    f"bounds are wider than {2 * RESOLUTION:g} points, if the published one lies outside interval and tolerance, or if "
    f"a mean average precision comes from fewer than {FEWEST} videos; else consistent. The first number's answer is "
    "the verdict; but insufficient data if the run was made otherwise than the published number, or if it is "
    "consistent and videos are still to be scored."
)

Verdict = Literal["consistent", "inconsistent", "insufficient data"]


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published number beside the recomputed one; all in per cent.

    `interval` is what chance allows at 95 %, on the videos that could be scored; `bounds` add what the missing videos
    could do if they were all wrong or all right. `tolerance` is what the number's source allows its own files, in
    points, on top of both; 0 where it states nothing of that kind.
    """

    metric: str
    published: float
    recomputed: float
    interval: tuple[float, float]
    bounds: tuple[float, float]
    tolerance: float
    answer: Verdict
    reason: str


def compare_accuracy(
    metric: str, published: float, *, hits: int, scored: int, missing: int, tolerance: float
) -> Comparison:
    """Compare an accuracy with the published one, in per cent; `hits` of those `scored` count as right.

    Raises: ValueError if nothing was scored.
    """
    interval, bounds = _intervals(hits, scored, missing)
    return _comparison(metric, published, 100 * hits / scored, interval, bounds, scored, missing, tolerance)


def compare_map(
    metric: str,
    published: float,
    *,
    recomputed: float,
    interval: tuple[float, float],
    bounds: tuple[float, float],
    scored: int,
    missing: int,
    videos: int,
    tolerance: float,
) -> Comparison:
    """Compare a mean average precision with the published one, in per cent.

    Args:
        interval, bounds: Of bootstraps; without missing videos, both are the same.
        missing: Videos that are listed but could not be scored, or were left out of a sample: a mean average
            precision of fewer videos is another quantity, a higher one, so these are never to be passed over.
        videos: Videos that the bootstrap drew from; in AVA a video is many samples. Fewer than `FEWEST` say nothing.
    Raises: ValueError if nothing was scored.
    """
    if scored < 1:
        raise ValueError(f"found {scored} scored videos, expected a count above 0")
    # the two ends are bootstraps of their own; what needs no missing video is possible with them too
    wider = min(interval[0], bounds[0]), max(interval[1], bounds[1])
    comparison = _comparison(metric, published, recomputed, interval, wider, scored, missing, tolerance)
    if videos >= FEWEST:
        return comparison
    reason = f"{gap(metric, published, recomputed)}; the chance in {videos} videos cannot be told, it takes {FEWEST}"
    return msgspec.structs.replace(comparison, answer="insufficient data", reason=reason)


def gap(metric: str, published: float, recomputed: float) -> str:
    """Put into words how far a recomputed number lies from the published one; both in per cent."""
    points = f"{abs(recomputed - published):.2f}"
    if points == "0.00":
        return f"{metric} is the published {published:.2f}"
    return f"{metric} is {points} points {'below' if recomputed < published else 'above'} the published {published:.2f}"


def settled(
    published: float, *, hits: int, failed: int, seen: int, total: int, level: float = 0.95, tolerance: float
) -> Verdict | None:
    """Return the verdict that `compare_accuracy` will give for the whole list, if it can no longer change, else None.

    With probability `level` no verdict that is returned at any moment of a run differs from the final one, provided
    that the list is gone through in random order. When all videos are seen, it is the final one.

    Args:
        hits, failed: Videos that were right, and that could not be scored, of those seen.
        seen: Videos tried so far, of the list's `total`.
        level: Confidence, half of the error for the hits and half for the failures.
    Returns: None also while it is possible that no video at all can be scored.
    Raises: ValueError unless hits + failed <= seen <= total, none below 0, and 0 < level < 1.
    """
    if hits + failed > seen or not 0 < level < 1:
        raise ValueError(
            f"found {hits} hits and {failed} failures among {seen} videos at level {level}, "
            "expected hits + failures <= videos and 0 < level < 1"
        )
    each = (1 + level) / 2
    final_hits, final_failed = hits_sequence(hits, seen, total, each), hits_sequence(failed, seen, total, each)
    room = total - (seen - hits - failed)  # what is wrong already is neither a hit nor a failure
    possible: set[Verdict] = set()
    for hit, fail in _rim(final_hits, final_failed, room, published, total):
        if fail == total:
            return None
        possible.add(_verdict(published, *_intervals(hit, total - fail, fail), tolerance))
        if len(possible) > 1:
            return None
    return possible.pop() if possible else None


def _rim(
    hits: tuple[int, int], failed: tuple[int, int], room: int, published: float, total: int
) -> Iterator[tuple[int, int]]:
    """Yield the outermost of the pairs within two ranges whose sum is at most `room`.

    They decide for the pairs inside. At a given number of failures, the verdict runs with more hits from inconsistent
    over consistent to inconsistent again, insufficient data between; so the two inconsistent ends reach the rim, and
    what is consistent runs through from few failures on. More failures only widen the bounds and narrow what is
    consistent, so where the rim is consistent with the most failures, the inside is too.
    """
    low, high = hits[0], min(hits[1], room - failed[0])
    few, many = failed[0], min(failed[1], room - hits[0])
    if low > high or few > many:
        return

    def most(fail: int) -> int:
        return min(high, room - fail)

    # the corners, and where the published number lies, disagree first
    for fail in (few, many):
        expected = round(published / 100 * (total - fail))
        yield from ((hit, fail) for hit in (low, most(fail), max(low, min(expected, most(fail)))))
    yield from ((hit, fail) for fail in (few, many) for hit in range(low, most(fail) + 1))
    yield from chain.from_iterable(((low, fail), (most(fail), fail)) for fail in range(few, many + 1))


def _intervals(hits: int, scored: int, missing: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the interval and the bounds of an accuracy."""
    worst, best = (wilson_interval(right, scored + missing) for right in (hits, hits + missing))
    return wilson_interval(hits, scored), (worst[0], best[1])


def _verdict(published: float, interval: tuple[float, float], bounds: tuple[float, float], tolerance: float) -> Verdict:
    """Decide."""
    if not bounds[0] - tolerance <= published <= bounds[1] + tolerance:
        return "inconsistent"
    if bounds[1] - bounds[0] > 2 * RESOLUTION:
        return "insufficient data"
    if not interval[0] - tolerance <= published <= interval[1] + tolerance:
        return "insufficient data"
    return "consistent"


def _comparison(
    metric: str,
    published: float,
    recomputed: float,
    interval: tuple[float, float],
    bounds: tuple[float, float],
    scored: int,
    missing: int,
    tolerance: float,
) -> Comparison:
    """Put the verdict into words."""
    verdict, half = _verdict(published, interval, bounds, tolerance), (bounds[1] - bounds[0]) / 2
    distance = gap(metric, published, recomputed)
    if verdict == "inconsistent":
        cause = f"neither chance nor the {missing} missing explain" if missing else "chance does not explain"
        reason = f"{distance}, and {cause} that"
    elif verdict == "consistent":
        reason = f"{distance}; chance allows {interval[0]:.2f} to {interval[1]:.2f}"
    elif half > RESOLUTION:
        reason = f"{distance}, but {scored} scored and {missing} missing leave it open by ± {half:.1f} points"
    else:
        reason = f"{distance}; the {missing} missing could explain that"
    return Comparison(metric, published, recomputed, interval, bounds, tolerance, verdict, reason)
