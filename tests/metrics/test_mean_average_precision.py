"""Intervals of a mean average precision, by what bootstraps have to hold."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.metrics import generated
from videohub.metrics import multilabel_curves
from videohub.metrics.matching import match
from videohub.metrics.mean_average_precision import (
    bootstrap_difference,
    bootstrap_interval,
    compared,
    drawn_weights,
    percentiles_around,
)


def test_as_many_videos_are_drawn_as_there_are():
    blocks = list(drawn_weights(7, 600, seed=0))
    weights = np.concatenate(blocks, axis=1)
    assert weights.shape == (7, 600)
    assert (weights.sum(axis=0) == 7).all()
    assert weights.mean(axis=1) == pytest.approx(np.ones(7), abs=4 * np.sqrt(6 / 7 / 600))  # a binomial's deviation


def test_percentiles_lie_around_the_measured_value():
    assert percentiles_around(0.5, np.linspace(0.6, 0.8, 201)) == pytest.approx((0.405, 0.595))
    assert percentiles_around(0.5, np.array([0.6, np.nan, 0.8])) == pytest.approx((0.405, 0.595))


@pytest.fixture(params=["charades", "ava"])
def curves(request):
    if request.param == "charades":
        return multilabel_curves(*generated.multilabel(0, videos=120))
    truth, result = generated.ava(0, videos=20, moments=120)
    return match(truth, result, generated.NAMES).curves()


def test_a_seed_draws_the_same_videos(curves):
    one = bootstrap_interval(curves, resamples=300, seed=4)
    assert one == bootstrap_interval(curves, resamples=300, seed=4)
    assert one != bootstrap_interval(curves, resamples=300, seed=5)


def test_the_measured_value_lies_inside(curves):
    low, high = bootstrap_interval(curves, resamples=300)
    assert 0 < low < curves.mean() < high < 1


def test_one_video_tells_nothing_of_chance():
    assert bootstrap_interval(multilabel_curves([[0.5, 0.1]], [[1, 0]])) == (0, 1)


def test_a_number_without_chance_has_no_width():
    curves = multilabel_curves([[0.9], [0.1]] * 20, [[1], [0]] * 20)
    assert bootstrap_interval(curves, resamples=100) == (1, 1)


def test_bounds_reach_from_the_worst_to_the_best():
    scores, labels = generated.multilabel(0, videos=60)
    worst, measured, best = (multilabel_curves(each, labels) for each in (-scores, scores, labels))
    run = SimpleNamespace(scored=range(58), missing=range(58, 60))
    result = compared(run, {"mAP": 50.0}, measured, (worst, best), tolerance=0.0)
    assert result.interval == tuple(100 * end for end in bootstrap_interval(measured))
    assert result.bounds == (100 * bootstrap_interval(worst)[0], 100 * bootstrap_interval(best)[1])


def test_at_least_one_resample_is_drawn():
    with pytest.raises(ValueError, match="found 0 resamples"):
        bootstrap_interval(multilabel_curves([[0.5], [0.1]], [[1], [0]]), resamples=0)


def test_the_interval_holds_what_so_many_videos_give_on_average():
    """As often as 95 % intervals may miss it; plain percentiles lie too high, as copies of a video flatter a curve."""
    sets = [multilabel_curves(*generated.multilabel(seed, videos=300, classes=10)) for seed in range(200)]
    expected = np.mean([curves.mean() for curves in sets])
    intervals = [bootstrap_interval(curves, resamples=200) for curves in sets[:80]]
    held = np.mean([low <= expected <= high for low, high in intervals])
    assert held >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 80)


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
    low, high = bootstrap_difference(better, worse, resamples=300)
    assert 0 < low < better.mean() - worse.mean() < high
    assert bootstrap_difference(worse, better, resamples=300) == pytest.approx((-high, -low))


def test_a_model_is_as_good_as_itself(pair):
    assert bootstrap_difference(pair[0], pair[0], resamples=50) == (0, 0)


def test_the_difference_is_known_better_than_either_number(pair):
    def width(interval):
        return interval[1] - interval[0]

    either = [width(bootstrap_interval(curves, resamples=300)) for curves in pair]
    assert width(bootstrap_difference(*pair, resamples=300)) < min(either)


def test_results_on_other_videos_are_not_compared():
    scores, labels = generated.multilabel(0)
    curves = multilabel_curves(scores, labels)
    for other in (multilabel_curves(scores[1:], labels[1:]), multilabel_curves(scores, ~labels),
                  multilabel_curves(scores[:, 1:], labels[:, 1:])):  # fmt: skip
        with pytest.raises(ValueError, match="not measured on the same videos"):
            bootstrap_difference(curves, other)


def test_one_video_tells_nothing_of_a_difference():
    curves = multilabel_curves([[0.5, 0.1]], [[1, 0]])
    assert bootstrap_difference(curves, curves) == (-1, 1)
