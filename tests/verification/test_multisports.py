"""MultiSports from its videos to a verdict: key frames that are decoded, and frame mAP once more as its prose tells."""

from __future__ import annotations

import shutil
from collections import defaultdict

import msgspec
import numpy as np
import pytest
import torch

import videohub
from tests.data.sets.detectors import MULTISPORTS, ground_truth, pickled
from tests.metrics.prose import iou
from tests.verification import datasets
from videohub import preflight, registry
from videohub.data.decoded import decode
from videohub.data.samples import KeyFrame, VideoFile
from videohub.data.views import views_of
from videohub.registry import writer

LABELS = [f"class {number}" for number in range(79)] + ["basketball save"]
VIDEOS = ["football/v_one_c001", "basketball/v_two_c002"]
FRAMES = (1, 9, 40)  # the first, one, and the last
BOXES = [[0.1, 0.2, 0.5, 0.9], [0.55, 0.2, 0.9, 0.9]]


@pytest.fixture
def record(zoo, tmp_path, monkeypatch):
    """The tiny network for AVA, tested on MultiSports with the softmax of its outputs."""
    tiny = videohub.record("tiny_ava")
    rule = msgspec.structs.replace(tiny.protocol.frames, fps=25, shift=0, boxes="as_given")
    protocol = msgspec.structs.replace(
        tiny.protocol, name="sports", dataset="multisports", frames=rule, metric="frame_map", detection=MULTISPORTS,
        scores=msgspec.structs.replace(tiny.protocol.scores, activation="softmax"),
    )  # fmt: skip
    shutil.copy(zoo.parent / "tiny_ava.pyth", tmp_path)
    checkpoint = msgspec.structs.replace(tiny.checkpoint, url=(tmp_path / "tiny_ava.pyth").as_uri())
    made = msgspec.structs.replace(
        tiny, name="tiny_sports", upstream_name="TINY_SPORTS", protocol=protocol, labels=None, checkpoint=checkpoint,
        dataset=registry.default().datasets["multisports"],
    )  # fmt: skip
    (tmp_path / "own.yaml").write_text(writer.text([made]), encoding="utf-8")
    monkeypatch.setenv("VIDEOHUB_REGISTRY", f"{zoo}:{tmp_path / 'own.yaml'}")
    return made


@pytest.fixture
def scored(record, tmp_path):
    """The videos, and what the plain network says of each box: {(video, frame, box): (most likely class, score)}."""
    model, text = videohub.load(record.name), {}
    for number, video in enumerate(VIDEOS):
        path = tmp_path / "data" / "trainval" / f"{video}.mp4"
        datasets.video(path, number)
        for frame in FRAMES:
            source = KeyFrame(VideoFile(path), frame - 1, tuple(map(tuple, BOXES)))
            views = views_of(decode(source, record.protocol, record.clip), record.protocol)
            with torch.no_grad():
                rows = torch.cat([torch.zeros(len(BOXES), 1), views.boxes], dim=1)
                scores = model(views[0][None], rows).softmax(dim=1)
            for box, (score, label) in enumerate(zip(*(each.tolist() for each in scores.max(dim=1)), strict=True)):
                text[video, frame, box] = label, score
    return text


def frame_ap(found, truth):
    """Average precision of the detections (score, moment, box) of one class, and the boxes to find at each moment."""
    hits, taken, total = [], set(), sum(map(len, truth.values()))
    for _, moment, box in sorted(found, key=lambda row: -row[0]):
        overlaps = [iou(box, other) for other in truth.get(moment, [])]
        best = int(np.argmax(overlaps)) if overlaps else -1
        right = best >= 0 and overlaps[best] >= 0.5 and (moment, best) not in taken
        if right:
            taken.add((moment, best))
        hits.append(right)
    precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank in range(len(hits))]
    return sum(max(precisions[rank:]) for rank, hit in enumerate(hits) if hit) / total


def test_frames_are_scored_and_judged_by_the_most_likely_class_of_each_box(record, scored, tmp_path):
    tubes, truth = defaultdict(lambda: defaultdict(list)), defaultdict(lambda: defaultdict(list))
    for number, ((video, frame, box), (label, _)) in enumerate(sorted(scored.items())):
        right = label if number % 3 else 5  # of some boxes the network is wrong
        pixels = (np.array(BOXES[box]) * [1280, 720, 1280, 720]).tolist()
        tubes[video][right].append([[frame, *pixels]])
        truth[right][video, frame].append(BOXES[box])
    data = tmp_path / "data"
    (data / "trainval" / "multisports_GT.pkl").write_bytes(ground_truth(tubes, LABELS))
    boxes = {f"{video.split('/')[1]},{frame}": [[*box, 0.95] for box in BOXES] for video in VIDEOS for frame in FRAMES}
    (data / MULTISPORTS.boxes).write_bytes(pickled(boxes))
    result = defaultdict(list)
    for (video, frame, box), (label, score) in scored.items():
        result[label].append((score, (video, frame), BOXES[box]))
    expected = np.mean([frame_ap(result[label], of_label) for label, of_label in truth.items()])
    assert 0 < expected < 1

    report = videohub.verify(record.name, data, out=tmp_path / "run", workers=1)
    assert report.counts.scored == len(VIDEOS) * len(FRAMES)
    assert report.comparisons[0].metric == "mAP"
    assert report.comparisons[0].recomputed == pytest.approx(100 * expected, abs=1e-4)
    assert {each.name for each in report.classes} == set(LABELS[:-1])

    check = preflight.check(record.name, data)
    assert (check.keyframes.videos, check.keyframes.key_frames, check.keyframes.boxes) == (2, 6, 12)
    assert check.notes == ["classes that are not judged, as in the original, 1 in all: basketball save"]
    assert check.missing == check.unreadable == 0
    (rate,) = [finding.text for finding in check.findings if finding.kind == "frame rate"]
    assert rate.startswith("6 of 6 key frames do not run at the 25 frames a second")  # ours have 30
