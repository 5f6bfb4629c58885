"""Multi-label mean average precision: the original's numbers, arithmetic by hand, and the definition row by row."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from tests.metrics import generated, prose
from videohub.metrics import multilabel_curves, multilabel_map
from videohub.metrics.mean_average_precision import bootstrap_interval
from videohub.metrics.multilabel import multilabel_extremes

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"


def classes(scores, labels):
    return multilabel_curves(scores, labels).classes()


@pytest.mark.parametrize(
    ("scores", "each", "mean"), [("scores", "ap", "map"), ("scores_ties", "ap_ties", "map_with_ties")]
)
def test_the_original_s_numbers_come_out(scores, each, mean):
    arrays = np.load(GOLDEN / "multilabel_map_a.npz")
    facts = json.loads((GOLDEN / "multilabel_map_a.json").read_text())
    result = classes(arrays[scores], arrays["labels"])
    assert result.dtype == np.float64
    assert np.flatnonzero(np.isnan(result)).tolist() == facts["classes_without_positives"]
    np.testing.assert_allclose(result, arrays[each], rtol=0, atol=1e-9)
    assert abs(multilabel_map(arrays[scores], arrays["labels"]) - facts[mean]) <= 1e-9


def test_precision_is_summed_where_recall_rises():
    assert classes([[0.9], [0.8], [0.7]], [[1], [0], [1]])[0] == pytest.approx((1 + 2 / 3) / 2)
    assert classes([[0.9], [0.8], [0.7]], [[0], [1], [1]])[0] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_equal_scores_share_one_threshold():
    assert classes([[0.9], [0.9], [0.1]], [[1], [0], [0]]).tolist() == [1 / 2]
    assert classes([[0.9], [0.9], [0.9]], [[1], [0], [1]])[0] == pytest.approx(2 / 3)


def test_classes_that_no_video_has_are_left_out_of_the_mean():
    scores, labels = [[0.9, 0.3], [0.8, 0.5]], [[0, 0], [1, 0]]
    np.testing.assert_equal(classes(scores, labels), [1 / 2, np.nan])
    assert multilabel_map(scores, labels) == 1 / 2


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_every_class_is_as_the_definition_says(digits):
    for seed in range(20):
        scores, labels = generated.multilabel(seed, digits=digits)
        expected = [prose.average_precision(*pair) for pair in zip(scores.T, labels.T, strict=True)]
        np.testing.assert_allclose(classes(scores, labels), np.array(expected, float), rtol=1e-12)


def test_single_precision_scores_are_summed_in_double():
    scores, labels = generated.multilabel(1, videos=200)
    single = scores.astype(np.float32)
    assert multilabel_map(single, labels) == multilabel_map(single.astype(np.float64), labels)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[0.1, 0.2]], [[1]], r"found scores \(1, 2\) and labels \(1, 1\)"),
        ([0.1, 0.2], [1, 0], "expected"),
        (np.empty((0, 3)), np.empty((0, 3)), "neither of them 0"),
        ([[0.1, float("inf")]], [[1, 0]], "1 of 1 rows of scores are not finite"),
        ([[0.1, 0.2]], [[2, 0]], "found labels 0 to 2, expected 0 and 1 alone"),
        ([[0.1, 0.2]], [[0, 0]], "none of 2 classes has anything to find"),
    ],
)
def test_what_has_no_mean_is_refused(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        multilabel_map(scores, labels)


def test_weights_of_one_change_no_bit():
    scores, labels = generated.multilabel(3, videos=300, classes=12, digits=1)
    means = multilabel_curves(scores, labels).means(np.ones((300, 5)))
    assert set(means.tolist()) == {multilabel_map(scores, labels)}


@pytest.mark.parametrize("digits", [1, 8])
@pytest.mark.parametrize("videos", [4, 30, 200])  # few and many beside the hits: both ways of adding up
def test_a_weight_of_k_is_k_copies_of_the_video(videos, digits):
    for seed in range(5):
        scores, labels = generated.multilabel(seed, videos=videos, digits=digits)
        counts = np.random.default_rng(seed).integers(0, 4, videos)
        copies = multilabel_map(np.repeat(scores, counts, axis=0), np.repeat(labels, counts, axis=0))
        weights = np.stack([np.ones(videos), counts], axis=1)
        assert multilabel_curves(scores, labels).means(weights)[1] == pytest.approx(copies, rel=1e-13)


# --- what missing videos could do, against all that they could have been --------------------------------------------


def test_missing_videos_come_first_or_last():
    scores, labels = [[0.9], [0.8], [0.7]], [[1], [0], [1]]
    worst, best = multilabel_extremes(scores, labels, [[1], [0]])
    assert best.mean() == pytest.approx((1 + 1 + 3 / 4) / 3)  # + + - + -
    assert worst.mean() == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 3)  # - + - + +


def test_no_scores_of_the_missing_videos_reach_further():
    scores, labels = np.array([[3.0], [2.0], [2.0], [1.0]]), np.array([[0], [1], [0], [1]])
    # above, between, at and below the scores that are there, and twice at each end
    places = (-2, -1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4)
    for missing in itertools.product((0, 1), repeat=2):
        every = np.concatenate([labels, np.array(missing)[:, None]])
        means = [
            multilabel_map(np.concatenate([scores, np.array(chosen)[:, None]]), every)
            for chosen in itertools.product(places, repeat=2)
        ]
        worst, best = multilabel_extremes(scores, labels, np.array(missing)[:, None])
        assert worst.mean() == pytest.approx(min(means), abs=1e-12)
        assert best.mean() == pytest.approx(max(means), abs=1e-12)


def test_a_class_that_only_missing_videos_have_counts():
    worst, best = multilabel_extremes([[0.9, 0.5]], [[1, 0]], [[0, 1]])
    assert best.mean() == 1
    assert worst.classes().tolist() == [1 / 2, 1 / 2]


def test_nothing_missing_leaves_the_number_and_its_interval():
    scores, labels = generated.multilabel(0, digits=1)
    worst, best = multilabel_extremes(scores, labels, np.empty((0, 6)))
    assert worst.mean() == best.mean() == multilabel_map(scores, labels)
    interval = bootstrap_interval(multilabel_curves(scores, labels), resamples=50)
    assert [bootstrap_interval(curves, resamples=50) for curves in (worst, best)] == [interval, interval]


def test_scores_of_any_size_leave_room_above_and_below():
    worst, best = multilabel_extremes([[1e300], [-1e300]], [[1], [0]], [[1], [0]])
    assert (worst.mean(), best.mean()) == (pytest.approx((1 / 2 + 2 / 4) / 2), 1)


def test_missing_labels_have_to_fit():
    with pytest.raises(ValueError, match=r"found missing labels \(1, 1\), expected \(M, 2\)"):
        multilabel_extremes([[0.1, 0.2]], [[1, 0]], [[1]])
    with pytest.raises(ValueError, match="rows of scores are not finite"):
        multilabel_extremes([[0.1, float("nan")]], [[1, 0]], [[1, 0]])
