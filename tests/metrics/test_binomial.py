"""Wilson's interval is that of the formula; a confidence sequence holds at every moment, and closes at the end."""

from functools import cache

import numpy as np
import pytest

from videohub.metrics.binomial import hits_sequence, mcnemar, newcombe_interval, wilson_interval

TOTAL = 40
LEVEL = 0.9


@cache
def table():
    """The range after each (seen, hits), as two arrays; where hits exceed seen, everything."""
    low, high = np.zeros((TOTAL + 1, TOTAL + 1), int), np.full((TOTAL + 1, TOTAL + 1), TOTAL)
    for seen in range(TOTAL + 1):
        for hits in range(seen + 1):
            low[seen, hits], high[seen, hits] = hits_sequence(hits, seen, TOTAL, LEVEL)
    return low, high


def test_it_starts_open_and_closes_when_all_are_seen():
    assert hits_sequence(0, 0, 50) == (0, 50)
    for hits in range(51):
        assert hits_sequence(hits, 50, 50) == (hits, hits)


def test_it_knows_what_is_seen():
    for seen in range(TOTAL + 1):
        for hits in range(seen + 1):
            low, high = hits_sequence(hits, seen, TOTAL, LEVEL)
            assert hits <= low <= high <= TOTAL - (seen - hits)


def test_a_short_list_is_as_worked_out_by_hand():
    # 2 hits of 2 seen of 3: the likelihood of 3 hits is 1, of 2 hits 1/3 (2/3 · 1/2), of fewer 0; their mean 1/3
    assert hits_sequence(2, 2, 3, 0.5) == (2, 3)
    # 1 hit of 1 seen of 4: likelihoods 0, 1/4, 1/2, 3/4, 1 and mean 1/2; kept where the ratio is above 1 - level
    assert hits_sequence(1, 1, 4, 0.4) == (2, 4)
    assert hits_sequence(1, 1, 4, 0.6) == (1, 4)


def test_hits_and_misses_are_alike():
    for hits, seen in ((0, 10), (3, 10), (25, 30), (39, 40)):
        low, high = hits_sequence(hits, seen, TOTAL)
        assert hits_sequence(seen - hits, seen, TOTAL) == (TOTAL - high, TOTAL - low)


def test_it_errs_at_any_moment_no_more_often_than_allowed():
    low, high = table()
    random = np.random.default_rng(0)
    for right in (0, 1, 7, 20, 33, 40):
        outcomes = np.arange(TOTAL) < right
        paths = np.cumsum(random.permuted(np.tile(outcomes, (2000, 1)), axis=1), axis=1)
        seen = np.arange(1, TOTAL + 1)
        missed = ((right < low[seen, paths]) | (right > high[seen, paths])).any(axis=1)
        assert missed.mean() <= 1 - LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 2000)


def test_it_errs_no_more_often_than_allowed_exactly():
    """The chance of a path that never errs, added up over all paths, for every true number of hits."""
    low, high = table()
    for right in range(TOTAL + 1):
        held = {0: 1.0}  # hits so far -> chance to be there without having erred
        for seen in range(TOTAL):
            after: dict[int, float] = {}
            for hits, chance in held.items():
                hit = (right - hits) / (TOTAL - seen)
                for more, share in ((1, hit), (0, 1 - hit)):
                    if share > 0 and low[seen + 1, hits + more] <= right <= high[seen + 1, hits + more]:
                        after[hits + more] = after.get(hits + more, 0.0) + chance * share
            held = after
        assert sum(held.values()) >= LEVEL


def test_it_narrows_on_a_list_of_kinetics_size():
    low, high = hits_sequence(7700, 10_000, 19_761)
    assert low < 0.77 * 19_761 < high
    assert high - low < 0.03 * 19_761


@pytest.mark.parametrize(
    ("hits", "seen", "total", "level"), [(3, 2, 5, 0.95), (-1, 2, 5, 0.95), (1, 6, 5, 0.95), (1, 2, 5, 1), (1, 2, 5, 0)]
)
def test_counts_and_levels_have_to_make_sense(hits, seen, total, level):
    with pytest.raises(ValueError, match="expected 0 <= hits <= seen <= total and 0 < level < 1"):
        hits_sequence(hits, seen, total, level)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (8, 10, 49.02, 94.33),  # (0.8 + z²/20 ± z √(0.016 + z²/400)) / (1 + z²/10), z = 1.96
        (0, 10, 0.0, 27.75),  # z² / (10 + z²)
        (10, 10, 72.25, 100.0),
        (500, 1000, 46.91, 53.09),
    ],
)
def test_wilson_intervals_are_those_of_the_formula(hits, count, low, high):
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=0.005)


def test_an_interval_needs_a_count():
    for hits, count in ((0, 0), (3, 2), (-1, 5)):
        with pytest.raises(ValueError, match="expected 0 <= hits <= count"):
            wilson_interval(hits, count)


def test_newcombe_s_interval_is_that_of_the_textbook():
    # Fagerland, Lydersen & Laake, "Statistical Analysis of Contingency Tables", 2017, chapter 8, complete response
    # before and after consolidation therapy; -0.0621 (-0.1186 to -0.0046), as their R package contingencytables has it
    assert newcombe_interval(59, 6, 16, 80) == pytest.approx((-11.86, -0.46), abs=0.005)


def test_without_correlation_the_wilson_intervals_are_added_like_errors():
    # 25 each: both accuracies are 50 with ± w, so the difference has ± w √2
    low, high = wilson_interval(50, 100)
    assert newcombe_interval(25, 25, 25, 25) == pytest.approx((-(high - low) / 2 * 2**0.5, (high - low) / 2 * 2**0.5))


def test_turning_the_models_turns_the_difference():
    low, high = newcombe_interval(700, 60, 40, 200)
    assert newcombe_interval(700, 40, 60, 200) == pytest.approx((-high, -low))


def test_models_that_are_always_right_together_still_leave_some_room():
    assert newcombe_interval(10, 0, 0, 0) == pytest.approx((-27.75, 27.75), abs=0.005)  # Wilson's 72.25 for 10 of 10
    low, high = newcombe_interval(500, 0, 0, 500)
    assert -0.2 < low < 0 < high < 0.2  # correlated fully, but for half a video


def test_mcnemar_counts_coins():
    assert mcnemar(1, 7) == 2 * (1 + 8) / 2**8
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert mcnemar(6, 16) == pytest.approx(0.052479, abs=5e-7)  # 2 · 110056 / 2²²
    assert mcnemar(5, 5) == mcnemar(0, 0) == mcnemar(0, 1) == 1


@pytest.mark.parametrize(
    ("first_only", "second_only", "expected"),
    [  # scipy 1.17, scipy.stats.binomtest(first_only, first_only + second_only).pvalue
        (10_000, 10_300, 0.035852359736159044),
        (300, 800, 1.6284063577953254e-53),
        (2000, 3000, 0.0),
    ],
)
def test_mcnemar_is_exact_for_thousands(first_only, second_only, expected):
    assert mcnemar(first_only, second_only) == pytest.approx(expected, rel=1e-9)


def test_a_split_beyond_all_numbers_is_no_error():
    assert mcnemar(0, 5000) == 0


def test_counts_have_to_make_sense():
    with pytest.raises(ValueError, match="expected none below 0"):
        mcnemar(-1, 2)
    for counts in ((0, 0, 0, 0), (3, -1, 1, 1)):
        with pytest.raises(ValueError, match="none below 0 and not all 0"):
            newcombe_interval(*counts)
