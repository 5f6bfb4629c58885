"""When a recomputed number agrees with the published one; expectations are worked out by hand, or by trying all."""

from functools import partial

import numpy as np
import pytest

from videohub.metrics import verdict
from videohub.metrics.binomial import hits_sequence

# With what the zoo's maintainers allow.
compare_accuracy = partial(verdict.compare_accuracy, tolerance=0.3)
compare_map = partial(verdict.compare_map, tolerance=0.3)
settled = partial(verdict.settled, tolerance=0.3)


def answer(published, hits, scored, missing=0):
    return compare_accuracy("top1", published, hits=hits, scored=scored, missing=missing)


@pytest.mark.parametrize(
    ("published", "hits", "scored", "missing", "expected"),
    [
        (77.0, 7700, 10_000, 0, "consistent"),  # interval 76.2 – 77.8
        (77.9, 7700, 10_000, 0, "consistent"),  # outside the interval, inside the source's ± 0.3
        (78.5, 7700, 10_000, 0, "inconsistent"),
        (75.0, 7700, 10_000, 0, "inconsistent"),  # too good is not what was published either
        (77.0, 8, 10, 0, "insufficient data"),  # 49 – 94 agrees with anything
        (20.0, 8, 10, 0, "inconsistent"),  # but not with this
        (77.0, 7392, 9600, 400, "consistent"),  # 4 % missing: 73.0 – 78.7
        (78.4, 7392, 9600, 400, "insufficient data"),  # the missing 400 could lift 77.0 to 78.7
        (82.0, 7392, 9600, 400, "inconsistent"),  # not even then
        (77.0, 3850, 5000, 5000, "insufficient data"),  # half is missing: anything from 37 to 89
    ],
)
def test_a_verdict_follows_from_counts(published, hits, scored, missing, expected):
    assert answer(published, hits, scored, missing).answer == expected


def test_a_published_hundred_is_met_by_a_hundred_whatever_the_number_of_videos():
    """Without a tolerance: the interval's end is the published number, not a rounding below it."""
    for videos in (10, 30, 400, 1000, 1999):
        for published, hits in ((100.0, videos), (0.0, 0)):
            result = compare_accuracy("top-5", published, hits=hits, scored=videos, missing=0, tolerance=0.0)
            assert result.answer == ("consistent" if videos > 35 else "insufficient data"), (videos, published)


def test_a_comparison_gives_its_numbers_and_reasons():
    result = answer(77.0, 7392, 9600, 400)
    assert result.recomputed == pytest.approx(77.0)
    assert result.interval == pytest.approx((76.15, 77.83), abs=0.01)  # 77.0 ± 0.84
    assert result.bounds == pytest.approx((73.04, 78.71), abs=0.02)  # 73.92 - 0.88 and 77.92 + 0.80
    assert result.reason.startswith("top1 is the published 77.00;")


def test_reasons_name_the_direction_and_what_could_explain_it():
    assert "1.00 points below the published 78.00" in answer(78.0, 7700, 10_000).reason
    assert (
        "2.00 points above the published 75.00, and chance does not explain that" in answer(75.0, 7700, 10_000).reason
    )
    assert "neither chance nor the 400 missing explain that" in answer(82.0, 7392, 9600, 400).reason
    assert "the 400 missing could explain that" in answer(78.4, 7392, 9600, 400).reason


def test_nothing_scored_is_no_comparison():
    with pytest.raises(ValueError, match="count above 0"):
        answer(77.0, 0, 0, 5)


def test_a_comparison_tells_the_tolerance_it_allowed():
    assert answer(77.0, 7700, 10_000).tolerance == 0.3


# --- mean average precision ------------------------------------------------------------------------------------------


def map_answer(published, interval, bounds=None, missing=0):
    return compare_map(
        "mAP",
        published,
        recomputed=39.0,
        interval=interval,
        bounds=bounds or interval,
        scored=1863 - missing,
        missing=missing,
        videos=1863 - missing,
    )


@pytest.mark.parametrize(
    ("published", "interval", "bounds", "missing", "expected"),
    [
        (38.9, (38.0, 40.0), None, 0, "consistent"),
        (40.2, (38.0, 40.0), None, 0, "consistent"),  # outside the interval, inside the source's ± 0.3
        (40.4, (38.0, 40.0), None, 0, "inconsistent"),
        (37.6, (38.0, 40.0), None, 0, "inconsistent"),
        (40.4, (38.0, 40.0), (35.0, 41.0), 20, "insufficient data"),  # the missing 20 could explain it
        (42.0, (38.0, 40.0), (35.0, 41.0), 20, "inconsistent"),
        (39.0, (38.0, 40.0), (30.0, 42.0), 99, "insufficient data"),  # ± 6 agrees with anything
        (39.0, (30.0, 48.0), None, 0, "insufficient data"),
    ],
)
def test_a_verdict_on_a_mean_follows_from_its_intervals(published, interval, bounds, missing, expected):
    assert map_answer(published, interval, bounds, missing).answer == expected


def test_means_and_accuracies_are_judged_by_one_rule():
    for published in (73.0, 76.0, 77.0, 78.0, 78.4, 79.5, 82.0):
        result = answer(published, 7392, 9600, 400)
        again = compare_map("top1", published, recomputed=result.recomputed, interval=result.interval,
                            bounds=result.bounds, scored=9600, missing=400, videos=9600)  # fmt: skip
        assert again == result


def test_bounds_hold_at_least_what_needs_no_missing_video():
    assert map_answer(39.0, (38.0, 40.0), (38.1, 39.9)).bounds == (38.0, 40.0)


def test_a_bootstrap_of_few_videos_decides_nothing():
    """Two films of a thousand key frames: whichever is drawn, the mean hardly moves, and yet it is two films."""
    for videos, expected in ((2, "insufficient data"), (29, "insufficient data"), (30, "inconsistent")):
        result = compare_map("mAP", 29.1, recomputed=39.0, interval=(38.5, 39.5), bounds=(38.5, 39.5), scored=2000,
                            missing=0, videos=videos)  # fmt: skip
        assert result.answer == expected
        assert ("the chance in" in result.reason) == (videos < 30)


def test_a_mean_of_no_video_is_no_comparison():
    with pytest.raises(ValueError, match="found 0 scored videos"):
        compare_map("mAP", 39.0, recomputed=0.0, interval=(0.0, 1.0), bounds=(0.0, 1.0), scored=0, missing=5, videos=0)


# --- before all videos are scored ------------------------------------------------------------------------------------


def settled_by_looking_at_all(published, hits, failed, seen, total, level):
    """The rule itself: one answer for every pair of final numbers that both confidence sequences allow."""
    each = 1 - (1 - level) / 2
    low, high = hits_sequence(hits, seen, total, each)
    few, many = hits_sequence(failed, seen, total, each)
    answers = set()
    for fail in range(few, many + 1):
        for hit in range(low, min(high, total - (seen - hits - failed) - fail) + 1):
            scored = total - fail
            answers.add(
                compare_accuracy("top1", published, hits=hit, scored=scored, missing=fail).answer if scored else None
            )
            if len(answers) > 1:
                return None
    return answers.pop() if answers else None


@pytest.mark.parametrize("published", [0.0, 30.0, 77.0, 100.0])
def test_an_answer_is_settled_if_no_final_numbers_change_it(published):
    given = set()
    for total in (5, 11):
        for seen in range(total + 1):
            for failed in range(seen + 1):
                for hits in range(seen - failed + 1):
                    counts = {"hits": hits, "failed": failed, "seen": seen, "total": total, "level": 0.8}
                    expected = settled_by_looking_at_all(published, **counts)
                    assert settled(published, **counts) == expected, counts
                    given.add(expected)
    assert {None, "inconsistent", "insufficient data"} <= given


def test_an_answer_is_settled_likewise_where_few_videos_decide():
    """A list on which all three answers occur: at 99 %, 300 videos leave ± 1.3 points."""
    random = np.random.default_rng(0)
    given = []
    for _ in range(150):
        seen = int(random.integers(150, 301))
        failed = int(random.choice([0, 0, 1, 3, 20, 90]))
        hits = max(0, int((seen - failed) * random.choice([0.4, 0.9, 0.96, 0.99, 0.99, 1.0])))
        counts = {"hits": hits, "failed": failed, "seen": seen, "total": 300, "level": 0.9}
        expected = settled_by_looking_at_all(99.0, **counts)
        assert settled(99.0, **counts) == expected, counts
        given.append(expected)
    assert {None, "consistent", "inconsistent", "insufficient data"} == set(given)


def test_inconsistent_from_below_and_from_above_are_not_one_answer():
    """Nothing is known yet; the ends of what is possible are both inconsistent, the middle is not."""
    for total in (50, 20_000):
        assert settled(50.0, hits=0, failed=0, seen=0, total=total) is None
        assert settled(50.0, hits=1, failed=0, seen=2, total=total) is None


def test_when_all_videos_are_seen_the_answer_is_the_final_one():
    for published, hits, failed in ((77.0, 7392, 400), (78.4, 7392, 400), (82.0, 7392, 400), (77.0, 3850, 5000)):
        final = answer(published, hits, 10_000 - failed, failed).answer
        assert settled(published, hits=hits, failed=failed, seen=10_000, total=10_000) == final
    assert settled(77.0, hits=0, failed=10, seen=10, total=10) is None  # there will be no number at all


def test_a_wrong_model_is_found_out_early():
    assert settled(77.0, hits=350, failed=0, seen=500, total=19_761) is None
    assert settled(77.0, hits=1400, failed=0, seen=2000, total=19_761) == "inconsistent"
    assert settled(77.0, hits=1540, failed=0, seen=2000, total=19_761) is None


def test_settled_answers_are_those_of_the_whole_list_as_often_as_stated():
    random = np.random.default_rng(0)
    total, level, wrong, early = 120, 0.8, 0, 0
    final = answer(97.0, 108, 118, 2).answer
    for _ in range(100):
        order = random.permutation(total)
        right, lost = np.cumsum(order < 108), np.cumsum(order >= 118)
        for seen in range(total):
            result = settled(
                97.0, hits=int(right[seen]), failed=int(lost[seen]), seen=seen + 1, total=total, level=level
            )
            if result is not None:
                wrong += result != final
                early += seen + 1 < total
                break
    assert wrong / 100 <= 1 - level + 3 * (level * (1 - level) / 100) ** 0.5
    assert early > 50


def test_counts_have_to_make_sense():
    for counts in ({"hits": 3, "failed": 3, "seen": 5}, {"hits": 3, "failed": 0, "seen": 11},
                   {"hits": 1, "failed": 0, "seen": 5, "level": 1.0}):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            settled(50.0, total=10, **counts)
