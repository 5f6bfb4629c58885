"""Multi-label mean average precision: the original's numbers, arithmetic by hand, and the definition row by row."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.metrics import generated, prose
from videohub.metrics import average_precisions, multilabel_curves, multilabel_map

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"


@pytest.mark.parametrize(
    ("scores", "each", "mean"), [("scores", "ap", "map"), ("scores_ties", "ap_ties", "map_with_ties")]
)
def test_the_original_s_numbers_come_out(scores, each, mean):
    arrays = np.load(GOLDEN / "multilabel_map_a.npz")
    facts = json.loads((GOLDEN / "multilabel_map_a.json").read_text())
    found = average_precisions(arrays[scores], arrays["labels"])
    assert found.dtype == np.float64
    assert np.flatnonzero(np.isnan(found)).tolist() == facts["classes_without_positives"]
    np.testing.assert_allclose(found, arrays[each], rtol=0, atol=1e-9)
    assert abs(multilabel_map(arrays[scores], arrays["labels"]) - facts[mean]) <= 1e-9


def test_precision_is_summed_where_recall_rises():
    assert average_precisions([[0.9], [0.8], [0.7]], [[1], [0], [1]])[0] == pytest.approx((1 + 2 / 3) / 2)
    assert average_precisions([[0.9], [0.8], [0.7]], [[0], [1], [1]])[0] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_equal_scores_share_one_threshold():
    assert average_precisions([[0.9], [0.9], [0.1]], [[1], [0], [0]]).tolist() == [1 / 2]
    assert average_precisions([[0.9], [0.9], [0.9]], [[1], [0], [1]])[0] == pytest.approx(2 / 3)


def test_classes_that_no_video_has_are_left_out_of_the_mean():
    scores, labels = [[0.9, 0.3], [0.8, 0.5]], [[0, 0], [1, 0]]
    np.testing.assert_equal(average_precisions(scores, labels), [1 / 2, np.nan])
    assert multilabel_map(scores, labels) == 1 / 2


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_every_class_is_as_the_definition_says(digits):
    for seed in range(20):
        scores, labels = generated.multilabel(seed, digits=digits)
        expected = [prose.average_precision(*pair) for pair in zip(scores.T, labels.T, strict=True)]
        np.testing.assert_allclose(average_precisions(scores, labels), np.array(expected, float), rtol=1e-12)


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
