"""Numbers from scores, against the original's and against arithmetic by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from videohub.benchmark import join_views
from videohub.metrics import topk_accuracy, topk_hits, wilson_interval

GOLDEN = Path(__file__).parent / "golden" / "metrics"


@pytest.fixture(scope="module")
def ensemble():
    return np.load(GOLDEN / "ensemble_a.npz"), json.loads((GOLDEN / "ensemble_a.json").read_text())


@pytest.mark.parametrize("how", ["sum", "max"])
def test_views_join_into_the_original_s_video_scores_and_accuracies(ensemble, how):
    arrays, facts = ensemble
    views = torch.from_numpy(arrays["view_scores"]).reshape(facts["videos"], facts["views"], facts["classes"])
    scores = torch.stack([join_views(video, how) for video in views]).numpy()
    assert np.abs(scores - arrays[f"video_{how}"]).max() <= (1e-5 if how == "sum" else 0)
    found = topk_accuracy(scores, arrays["labels"])
    assert {f"top{k}": f"{value:.2f}" for k, value in found.items()} == facts["results"][how]


def test_a_label_counts_when_fewer_than_k_classes_score_higher():
    scores = [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]
    assert topk_accuracy(scores, [2, 0], ks=(1, 2, 3)) == {1: 50.0, 2: 100.0, 3: 100.0}
    assert topk_accuracy(scores, [0, 2], ks=(1, 2, 3)) == {1: 0.0, 2: 0.0, 3: 100.0}


def test_equal_scores_are_ranked_by_class_number():
    hits = topk_hits(np.zeros((4, 4)), [0, 1, 2, 3], ks=(1, 2))
    assert hits[1].tolist() == [True, False, False, False]
    assert hits[2].tolist() == [True, True, False, False]


@pytest.mark.parametrize(("scores", "labels"), [([], []), ([[1.0, 2.0]], [0, 1]), ([1.0, 2.0], [0, 1])])
def test_arrays_that_do_not_fit_are_refused(scores, labels):
    with pytest.raises(ValueError, match="expected"):
        topk_accuracy(scores, labels)


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
