"""Two models on the same videos, against published examples and arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tests.metrics import generated
from videohub.metrics import (
    bootstrap_interval,
    match,
    mcnemar,
    multilabel_curves,
    paired_accuracies,
    paired_maps,
    wilson_interval,
)
from videohub.metrics.binomial import newcombe_interval


def hits(both, first_only, second_only, neither):
    pairs = [(True, True)] * both + [(True, False)] * first_only + [(False, True)] * second_only
    return np.array(pairs + [(False, False)] * neither).T


def test_newcombe_s_interval_is_that_of_the_textbook():
    # Fagerland, Lydersen & Laake, "Statistical Analysis of Contingency Tables", 2017, chapter 8, complete response
    # before and after consolidation therapy; -0.0621 (-0.1186 to -0.0046), as their R package contingencytables has it
    found = paired_accuracies(*hits(59, 6, 16, 80))
    assert found.difference == pytest.approx(-6.21, abs=0.005)
    assert found.interval == pytest.approx((-11.86, -0.46), abs=0.005)
    assert (found.both, found.first_only, found.second_only, found.neither) == (59, 6, 16, 80)


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


@pytest.mark.parametrize(
    ("first", "second"), [([True], [True, False]), ([], []), ([1, 0], [0, 1]), ([[True]], [[True]])]
)
def test_hits_have_to_be_of_the_same_videos(first, second):
    with pytest.raises(ValueError, match=r"expected \(N,\) bool twice"):
        paired_accuracies(first, second)


def test_counts_have_to_make_sense():
    with pytest.raises(ValueError, match="expected none below 0"):
        mcnemar(-1, 2)
    for counts in ((0, 0, 0, 0), (3, -1, 1, 1)):
        with pytest.raises(ValueError, match="none below 0 and not all 0"):
            newcombe_interval(*counts)


@pytest.fixture(params=["charades", "ava"])
def pair(request):
    """Curves of a model, and of one that is worse."""
    if request.param == "charades":
        scores, labels = generated.multilabel(0, videos=150)
        noise = np.random.default_rng(0).normal(size=scores.shape)
        return multilabel_curves(scores, labels), multilabel_curves(scores + noise, labels)
    matches = match(*generated.ava(0, videos=25, moments=300), generated.NAMES)
    return replace(matches, scores=matches.scores + 0.05 * matches.hits).curves(), matches.curves()


def test_the_same_videos_are_drawn_for_both(pair):
    better, worse = pair
    found = paired_maps(better, worse, resamples=300)
    assert found.difference == better.mean() - worse.mean()
    assert 0 < found.interval[0] < found.difference < found.interval[1]
    turned = paired_maps(worse, better, resamples=300)
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_a_model_is_as_good_as_itself(pair):
    found = paired_maps(pair[0], pair[0], resamples=50)
    assert (found.difference, found.interval) == (0, (0, 0))


def test_the_difference_is_known_better_than_either_number(pair):
    def width(interval):
        return interval[1] - interval[0]

    either = [width(bootstrap_interval(curves, resamples=300)) for curves in pair]
    assert width(paired_maps(*pair, resamples=300).interval) < min(either)


def test_results_on_other_videos_are_not_compared():
    scores, labels = generated.multilabel(0)
    curves = multilabel_curves(scores, labels)
    for other in (multilabel_curves(scores[1:], labels[1:]), multilabel_curves(scores, ~labels),
                  multilabel_curves(scores[:, 1:], labels[:, 1:])):  # fmt: skip
        with pytest.raises(ValueError, match="not measured on the same videos"):
            paired_maps(curves, other)


def test_one_video_tells_nothing_of_a_difference():
    curves = multilabel_curves([[0.5, 0.1]], [[1, 0]])
    assert paired_maps(curves, curves).interval == (-1, 1)
