"""The scores of every video as arrays: values by hand, of one right class, of several, of shards and of boxes."""

from __future__ import annotations

import numpy as np
import pytest

import videohub
from tests.reporting import kept
from videohub import metrics
from videohub.errors import UsageError

NAMES = ("walk", "run", "jump", "fall")
SAMPLES = [
    ("a.mp4", [0], [[0.5, 0.25, 0.25, 0], [0.25, 0.5, 0.25, 0]]),
    ("broken.mp4", [1], "no such file"),
    ("b.mp4", [3], [[0, 0.25, 0.5, 0.25], [0, 0, 0.75, 0.25]]),
    ("later.mp4", [2], None),
]


def test_scores_are_those_of_all_views_in_the_order_of_the_list(tmp_path):
    """The protocol of Kinetics adds the views up."""
    kept.kept(tmp_path / "run", kept.record(labels=NAMES), SAMPLES)
    result = videohub.video_scores(tmp_path / "run")
    assert result.names.tolist() == ["a.mp4", "b.mp4"]
    assert result.scores.tolist() == [[0.75, 0.75, 0.5, 0], [0, 0.25, 1.25, 0.5]]
    assert result.targets.tolist() == [0, 3]
    assert (result.scores.dtype, result.targets.dtype) == (np.float32, np.int64)
    assert result.classes == list(NAMES)
    assert result.missing == ["broken.mp4", "later.mp4"]
    assert result.scores.argmax(axis=1).tolist() == [0, 2]  # of equally high scores the first
    assert metrics.topk_accuracy(result.scores, result.targets, ks=(1, 2)) == {1: 50, 2: 100}


def test_where_several_classes_may_be_right_targets_are_ones_and_zeros(tmp_path):
    """The protocol of Charades takes the highest of the views."""
    samples = [("a", [0, 2], [[0.5, 0.1, 0.25, 0], [0.25, 0, 0.75, 0]]), ("none", [], [[0, 0, 0, 1], [0, 0, 0, 0]])]
    kept.kept(tmp_path / "run", kept.record("multilabel_map"), samples)
    result = videohub.video_scores(tmp_path / "run")
    assert result.targets.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]
    assert result.scores.tolist() == [[0.5, np.float32(0.1), 0.75, 0], [0, 0, 0, 1]]
    assert result.classes == ["class 0", "class 1", "class 2", "class 3"]  # a label set that nobody knows


def test_shards_are_one_run_and_each_video_stands_there_once(tmp_path):
    of = kept.record(labels=NAMES)
    (name, right, scores), (later, *_) = SAMPLES[0], SAMPLES[3]
    for shard, samples in (
        ("one", [(name, right, scores), (later, [2], None)]),
        ("two", [(name, right, None), (later, [2], [[0, 0, 1, 0], [0, 0, 1, 0]])]),
    ):
        kept.kept(tmp_path / shard, of, samples)
    result = videohub.video_scores(tmp_path / "two", tmp_path / "one")
    assert (result.names.tolist(), result.missing) == ([name, later], [])
    assert result.scores.tolist() == [[0.75, 0.75, 0.5, 0], [0, 0, 2, 0]]


def test_scores_of_boxes_are_refused(tmp_path):
    of = kept.record("ava_map")
    kept.kept(tmp_path / "run", of, [("a,0902", [], [[0.5, 0.25, 0.25, 0]])], boxes=[[(0, 0, 1, 1)]], ava={})
    with pytest.raises(UsageError, match="small: was scored box by box, so there are no scores of whole videos"):
        videohub.video_scores(tmp_path / "run")
