"""Every data set of the zoo in its true list format, verified to the end and computed again the plain way."""

from __future__ import annotations

import csv
import json

import msgspec
import numpy as np
import pytest
import torch

import videohub
from tests.verification import datasets
from videohub import metrics, runs
from videohub.data import sets
from videohub.data.decoded import decode
from videohub.data.views import views_of
from videohub.metrics import binomial
from videohub.verification import evaluate, verify


def written(name, folder):
    """A data set of one of the tiny records, and the arguments that name it."""
    extra = (videohub.record(name),) if videohub.record(name).protocol.detection else ()
    data, options = datasets.WRITE[name](folder / "data", *extra)
    return data, options


def unpublished(name):
    """A record like one of one's own: nobody has published a number for it."""
    return msgspec.structs.replace(videohub.record(name), published=())


@torch.no_grad()
def plain_scores(name, data, root):
    """Probabilities of every view, one view at a time through the plain module: (V, classes), or (K, 80) for boxes."""
    record, model = videohub.record(name), videohub.load(name)
    activation = (
        torch.sigmoid if record.protocol.scores.activation == "sigmoid" else lambda logits: logits.softmax(dim=1)
    )
    for sample in sets.read(data, root=root, record=record).samples:
        views = views_of(decode(sample.source, record.protocol, record.clip), record.protocol)
        if views.boxes is None:
            yield sample, torch.cat([activation(model(view[None])) for view in views.stack()]).numpy()
        else:
            boxes = torch.cat([torch.zeros(len(views.boxes), 1), views.boxes], dim=1)
            yield sample, activation(model(views[0][None], boxes)).numpy()


@pytest.mark.parametrize("name", sorted(datasets.WRITE))
def test_every_view_is_scored_as_the_plain_network_scores_it(zoo, tmp_path, name):
    data, options = written(name, tmp_path)
    report = verify(name, data, out=tmp_path / "run", workers=1, **options)
    joined = runs.join([tmp_path / "run"])
    assert joined.pending == []
    assert report.counts.scored == len(joined.truth.names) == report.counts.listed > 3
    for (sample, expected), entry in zip(
        plain_scores(name, data, options.get("root")), joined.entries.values(), strict=True
    ):
        assert (entry.name, entry.failure) == (sample.name, None)
        assert entry.scores.shape == expected.shape
        assert np.abs(entry.scores - expected).max() < 1e-5


@pytest.mark.parametrize("name", ["tiny_kinetics", "tiny_ssv2", "tiny_imagenet"])
def test_an_accuracy_counts_the_videos_whose_class_has_the_largest_sum(zoo, tmp_path, name):
    data, options = written(name, tmp_path)
    report = verify(name, data, workers=0, **options)
    right = [
        int(scores.sum(axis=0).argmax()) == sample.truth[0]
        for sample, scores in plain_scores(name, data, options.get("root"))
    ]
    assert report.comparisons[0].metric == "top-1"
    assert report.comparisons[0].recomputed == pytest.approx(100 * np.mean(right))
    result = evaluate(unpublished(name), data, workers=0, **options)
    assert [number.metric for number in result.numbers] == ["top-1", "top-5"]
    assert result.numbers[0].value == pytest.approx(100 * np.mean(right))
    assert result.numbers[0].interval == pytest.approx(binomial.wilson_interval(sum(right), len(right)))


def test_charades_takes_the_maximum_over_views_and_averages_over_classes(zoo, tmp_path):
    data, options = written("tiny_charades", tmp_path)
    report = verify("tiny_charades", data, workers=0, **options)
    scored = list(plain_scores("tiny_charades", data, options["root"]))
    precisions = []
    for right in range(157):
        labels = [right in sample.truth for sample, _ in scored]
        if any(labels):
            order = sorted(range(4), key=lambda video: -scored[video][1].max(axis=0)[right])  # no two scores are equal
            hits = [labels[video] for video in order]
            result = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
            precisions.append(sum(result) / sum(hits))
    assert len(precisions) == 5  # classes 0 to 3, one a video, and 5
    assert report.comparisons[0].recomputed == pytest.approx(100 * np.mean(precisions))
    (number,) = evaluate(unpublished("tiny_charades"), data, workers=0, **options).numbers
    assert (number.metric, number.value) == ("mAP", pytest.approx(100 * np.mean(precisions)))
    assert number.interval[0] <= number.value <= number.interval[1]


def test_ava_is_judged_as_its_csv_files_would_be(zoo, tmp_path):
    record = videohub.record("tiny_ava")
    data, options = written("tiny_ava", tmp_path)
    report = verify("tiny_ava", data, workers=0, **options)
    rows = [
        [*sample.name.split(","), *box, label + 1, score]
        for sample, scores in plain_scores("tiny_ava", data, options["root"])
        for box, of_box in zip(sample.source.boxes, scores, strict=True)
        for label, score in enumerate(of_box)
    ]
    with (tmp_path / "detections.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    lists, detection = data / "annotations", record.protocol.detection
    expected = metrics.ava_map(lists / detection.ground_truth, tmp_path / "detections.csv",
                               label_map=lists / detection.label_map)  # fmt: skip
    assert report.comparisons[0].recomputed == pytest.approx(100 * expected.map)
    (number,) = evaluate(unpublished("tiny_ava"), data, workers=0, **options).numbers
    assert (number.metric, number.value) == ("mAP", pytest.approx(100 * expected.map))
    assert {entry.name for entry in report.classes} == {"sit", "stand", "watch (a person)"}


def test_mmaction2s_ava_is_judged_as_the_file_that_it_writes(zoo, tmp_path):
    """A row a box and action, of more than 0.002, with four decimals; read in the order of their scores."""
    detection = videohub.record("tiny_mma_ava").protocol.detection
    data, options = written("tiny_mma_ava", tmp_path)
    report = verify("tiny_mma_ava", data, workers=0, **options)
    rows = [
        [*sample.name.split(","), *(f"{side:.4f}" for side in box), action, f"{score:.4f}"]
        for sample, scores in plain_scores("tiny_mma_ava", data, options["root"])
        for box, of_box in zip(sample.source.boxes, scores.tolist(), strict=True)
        for action, score in enumerate(of_box)
        if action and score > 0.002  # output 0 is for no action, and output k for action id k
    ]
    with (tmp_path / "detections.csv").open("w", newline="") as file:
        csv.writer(file).writerows(sorted(rows, key=lambda row: -float(row[-1])))
    lists = data / "annotations"
    expected = metrics.ava_map(lists / detection.ground_truth, tmp_path / "detections.csv",
                               label_map=lists / detection.label_map)  # fmt: skip
    assert 0 < len(rows) < 8 * 80  # some are that improbable
    named = {"sit": 11, "stand": 12, "watch (a person)": 80}
    seen = [expected.per_class[name] for name, action in named.items() if action in {row[6] for row in rows}]
    assert len(seen) == 2  # a class that no row names counts for nothing
    assert report.comparisons[0].recomputed == pytest.approx(100 * sum(seen) / len(seen))
    assert {entry.name for entry in report.classes} == {"sit", "stand", "watch (a person)"}


@pytest.mark.parametrize(("name", "as_files"), [("tiny_ssv2", {"webm": True}), ("tiny_charades", {"mp4": True})])
def test_the_videos_themselves_do_as_well_as_their_frames(zoo, tmp_path, name, as_files):
    data, options = datasets.WRITE[name](tmp_path / "data", **as_files)
    report = verify(name, data, workers=1, **options)
    assert (report.counts.scored, report.counts.failed) == (4, 0)


def test_the_report_of_a_run_is_written_beside_its_scores(zoo, tmp_path):
    data, _ = written("tiny_kinetics", tmp_path)
    verify("tiny_kinetics", data, out=tmp_path / "run", workers=0)
    assert json.loads((tmp_path / "run" / "report.json").read_text())["record"] == "tiny_kinetics"
    assert "6 of 6 videos scored" in (tmp_path / "run" / "report.md").read_text()
    assert "<svg" in (tmp_path / "run" / "report.html").read_text()
