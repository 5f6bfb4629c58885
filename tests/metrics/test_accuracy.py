"""Top-k accuracy, against the original's and against arithmetic by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from videohub.metrics.accuracy import ranks, topk_accuracy
from videohub.metrics.metric import PerClass
from videohub.protocols import ScoreRule
from videohub.runs import join_views

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"


@pytest.fixture(scope="module")
def ensemble():
    return np.load(GOLDEN / "ensemble_a.npz"), json.loads((GOLDEN / "ensemble_a.json").read_text())


@pytest.mark.parametrize("how", ["sum", "max"])
def test_views_join_into_the_original_s_video_scores_and_accuracies(ensemble, how):
    arrays, facts = ensemble
    rule = ScoreRule(activation="softmax", join=how)
    views = arrays["view_scores"].reshape(facts["videos"], facts["views"], facts["classes"])
    scores = np.stack([join_views(video, rule) for video in views])
    assert np.abs(scores - arrays[f"video_{how}"]).max() <= (1e-5 if how == "sum" else 0)
    result = topk_accuracy(scores, arrays["labels"])
    assert {f"top{k}": f"{value:.2f}" for k, value in result.items()} == facts["results"][how]


def test_a_label_counts_when_fewer_than_k_classes_score_higher():
    scores = [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]
    assert topk_accuracy(scores, [2, 0], ks=(1, 2, 3)) == {1: 50.0, 2: 100.0, 3: 100.0}
    assert topk_accuracy(scores, [0, 2], ks=(1, 2, 3)) == {1: 0.0, 2: 0.0, 3: 100.0}


def test_equal_scores_are_ranked_by_class_number():
    assert ranks(np.zeros((4, 4)), [0, 1, 2, 3]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("scores", "labels"), [([], []), ([[1.0, 2.0]], [0, 1]), ([1.0, 2.0], [0, 1])])
def test_arrays_that_do_not_fit_are_refused(scores, labels):
    with pytest.raises(ValueError, match="expected"):
        topk_accuracy(scores, labels)


def test_scores_that_are_no_numbers_and_labels_that_are_no_class_are_refused():
    with pytest.raises(ValueError, match="1 of 2 rows of scores are not finite"):
        ranks([[0.1, float("nan")], [0.5, 0.5]], [0, 1])
    with pytest.raises(ValueError, match="found labels 0 to 2, expected 0 to 1"):
        ranks([[0.1, 0.2], [0.5, 0.5]], [0, 2])


def test_a_rank_counts_the_classes_that_come_before():
    assert ranks([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]], [0, 0, 1]).tolist() == [2, 0, 1]


def test_a_class_has_the_interval_of_its_accuracy():
    """Wilson's of one hit in one: z² = 3.8415, its centre (1 + z²/2) / (1 + z²), as far from 1 as from 1 / (1 + z²)."""
    assert PerClass("a", 1, 1, 100.0).interval == pytest.approx((20.65, 100), abs=0.01)
    assert PerClass("a", 0, 0, None).interval is None
    assert PerClass("a", 40, None, 31.5).interval is None
