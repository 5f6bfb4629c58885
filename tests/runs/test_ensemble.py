"""Views join as the original joins them, and the same way on every machine."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.runs.made import MADE_BY, identity, protocol_of
from videohub.metrics import topk_accuracy
from videohub.protocols import ScoreRule
from videohub.runs import Truth, join, join_views, open_run

SUM = ScoreRule(activation="softmax", join="sum")


@pytest.mark.parametrize("how", ["sum", "max"])
def test_kept_views_join_into_the_original_s_video_scores_and_accuracies(golden, tmp_path, how):
    arrays = np.load(golden / "metrics" / "ensemble_a.npz")
    facts = json.loads((golden / "metrics" / "ensemble_a.json").read_text())
    views = arrays["view_scores"].reshape(facts["videos"], facts["views"], facts["classes"])
    protocol = protocol_of(10, 3, join=how)
    truth = Truth(names=[str(index) for index in range(40)], classes=[[int(label)] for label in arrays["labels"]])
    run = open_run(tmp_path / "run", identity(protocol=protocol, num_classes=facts["classes"]), truth)
    with run.writer(MADE_BY) as writer:
        for index in reversed(range(40)):
            writer.append(index, str(index), None, views[index])
    indexes, scores = join([run.folder]).video_scores()
    assert indexes.tolist() == list(range(40))
    assert np.abs(scores - arrays[f"video_{how}"]).max() <= (1e-5 if how == "sum" else 0)
    found = topk_accuracy(scores, arrays["labels"])
    assert {f"top{k}": f"{value:.2f}" for k, value in found.items()} == facts["results"][how]


def test_a_sum_is_taken_one_view_after_another_in_single_precision():
    ones_after_2_24 = np.array([[2.0**24]] + [[1.0]] * 30, dtype=np.float32)  # 2**24 + 1 rounds to 2**24, each time
    assert join_views(ones_after_2_24, SUM).tolist() == [2.0**24]
    assert join_views(ones_after_2_24[::-1], SUM).tolist() == [2.0**24 + 30]


def test_joining_leaves_the_views_as_they_were():
    views = np.array([[0.25, 0.5], [0.5, 0.125]], dtype=np.float32)
    assert join_views(views, SUM).tolist() == [0.75, 0.625]
    assert join_views(views, ScoreRule(activation="softmax", join="max")).tolist() == [0.5, 0.5]
    assert views.tolist() == [[0.25, 0.5], [0.5, 0.125]]
