"""Mean average precision of boxes as mmaction2 has it, for AVA and for MultiSports: its own numbers, and its rules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from videohub.metrics import of
from videohub.metrics.ava import detected_boxes
from videohub.metrics.ava_files import Boxes
from videohub.metrics.matching import MMACTION2, MULTISPORTS, BoxRule, match

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
NAMES = {1: "stand", 2: "sit", 3: "walk"}
BOX = (0.1, 0.1, 0.5, 0.5)
NEAR = (0.1, 0.1, 0.5, 0.45)  # overlaps BOX by 7/8
FAR = (0.6, 0.6, 0.9, 0.9)


def judged(truth, moments, names, rule):
    """Return the mean and each class's average precision; a moment is (name, boxes, scores of each output)."""
    keys = [key for key, boxes, _ in moments for _ in boxes]
    boxes = [box for _, of_moment, _ in moments for box in of_moment]
    scores = np.array([row for _, _, rows in moments for row in rows], np.float32)
    result = detected_boxes(keys, boxes, scores, rule)
    right = Boxes([row[0] for row in truth], [row[1] for row in truth], [row[2] for row in truth])
    curves = match(right, result, names, rule=rule).curves()
    each = [None if np.isnan(value) else float(value) for value in curves.classes()]
    return curves.mean(), dict(zip(names.values(), each, strict=True))


def test_ava_is_judged_as_mmaction2_judges_it():
    facts = json.loads((GOLDEN / "ava_mmaction2_a.json").read_text())
    names = {int(number): name for number, name in facts["names"].items()}
    moments = [(key, boxes, np.array(scores)[:, 1:]) for key, boxes, scores in facts["moments"]]  # without background
    mean, each = judged(facts["truth"], moments, names, MMACTION2)
    assert each == {name: value and pytest.approx(value, abs=1e-9) for name, value in facts["per_class"].items()}
    assert mean == pytest.approx(facts["mAP"], abs=1e-9)
    official, _ = judged(facts["truth"], moments, names, BoxRule())
    assert abs(official - mean) > 1e-3  # another number than AVA's own code has


def test_frames_of_multisports_are_judged_as_mmaction2_judges_them():
    facts = json.loads((GOLDEN / "frame_map_a.json").read_text())
    names = {number + 1: name for number, name in enumerate(facts["labels"]) if name in facts["per_class"]}
    truth = [
        (f"{video},{int(row[0]):04}", np.array(row[1:]) / [width, height, width, height], int(label) + 1)
        for video, (height, width) in facts["resolution"].items()
        for label, tubes in facts["tubes"][video].items()
        for tube in tubes
        for row in tube
    ]
    mean, each = judged(truth, facts["moments"], names, MULTISPORTS)
    assert each == {name: value and pytest.approx(value, abs=1e-9) for name, value in facts["per_class"].items()}
    assert mean == pytest.approx(facts["mAP"], abs=1e-9)
    assert len(names) == 5  # of 7: two of the six classes that are not judged


def ava_of(truth, *moments):
    return judged(truth, moments, NAMES, MMACTION2)[1]


def test_the_most_likely_detection_chooses_its_box_first():
    truth = [("v,0902", BOX, 1)]
    worse_first = ("v,0902", [BOX, NEAR], [[0.4, 0, 0], [0.9, 0, 0]])
    assert ava_of(truth, worse_first)["stand"] == 1
    assert judged(truth, [worse_first], NAMES, BoxRule())[1]["stand"] == 1 / 2  # by AVA's own code, the first row does


def test_scores_up_to_the_threshold_are_no_detections_and_their_class_is_left_out():
    truth = [("v,0902", BOX, 1), ("v,0902", BOX, 2)]
    exactly = float(np.float32(0.002))
    each = ava_of(truth, ("v,0902", [BOX], [[0.9, exactly, 0]]))
    assert each == {"stand": 1, "sit": None, "walk": None}
    above = float(np.nextafter(np.float32(0.002), np.float32(1)))
    assert ava_of(truth, ("v,0902", [BOX], [[0.9, above, 0]]))["sit"] == 1


def test_scores_are_compared_with_four_decimals():
    truth = [("v,0902", BOX, 1), ("w,0902", BOX, 1)]
    right = ("v,0902", [BOX], [[0.50001, 0, 0]])
    wrong = ("w,0902", [FAR], [[0.49999, 0, 0]])
    # both are 0.5, and of equal scores the later row goes first: wrong, right, of 2 to find
    assert ava_of(truth, right, wrong)["stand"] == 1 / 4
    assert judged(truth, [right, wrong], NAMES, BoxRule())[1]["stand"] == 1 / 2


def test_detections_at_moments_without_anything_to_find_are_ignored():
    moments = [("v,0903", [BOX], [[0.9, 0, 0]]), ("v,0902", [BOX], [[0.8, 0, 0]])]
    assert ava_of([("v,0902", BOX, 1)], *moments)["stand"] == 1
    assert ava_of([("v,0902", BOX, 1), ("v,0903", FAR, 2)], *moments)["stand"] == 1 / 2  # of another class there is
    assert judged([("v,0902", BOX, 1)], moments, NAMES, MULTISPORTS)[1]["stand"] == 1 / 2


def test_boxes_without_extent_are_wrong():
    truth = [("v,0902", BOX, 1)]
    flat = ("v,0902", [(0.1, 0.1, 0.1, 0.5), BOX], [[0.9, 0, 0], [0.8, 0, 0]])
    assert ava_of(truth, flat)["stand"] == 1 / 2
    assert judged(truth, [flat], NAMES, BoxRule())[1]["stand"] == 1


def test_a_box_of_multisports_is_a_detection_of_its_most_likely_class_alone():
    truth = [("v,0001", BOX, 1), ("v,0001", BOX, 2)]
    mean, each = judged(truth, [("v,0001", [BOX], [[0.5, 0.4, 0.1]])], NAMES, MULTISPORTS)
    assert (mean, each) == (1 / 2, {"stand": 1, "sit": 0, "walk": None})  # a class that nobody detects counts as 0
    # the most likely output is that of a class without a name: nothing is detected
    mean, each = judged(truth, [("v,0001", [BOX], [[0.3, 0.2, 0.5]])], {1: "stand", 2: "sit"}, MULTISPORTS)
    assert (mean, each) == (0, {"stand": 0, "sit": 0})


def test_of_equal_scores_the_earlier_row_goes_first_in_multisports():
    truth = [("v,0001", BOX, 1)]
    right, wrong = ("v,0001", [BOX], [[0.5, 0.1, 0]]), ("v,0002", [FAR], [[0.5, 0.1, 0]])
    assert judged(truth, [right, wrong], NAMES, MULTISPORTS)[1]["stand"] == 1
    assert judged(truth, [wrong, right], NAMES, MULTISPORTS)[1]["stand"] == 1 / 2


def test_video_map_is_refused_with_the_reason():
    (begin,) = of("frame_map").refused
    assert begin == "v-mAP"
    assert "tubes" in of("frame_map").refused[begin]
    assert of("ava_map_mmaction2").refused == {}
