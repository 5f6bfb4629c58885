"""AVA's mean average precision: the official code's numbers, cases by hand, and the rules row by row."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.metrics import generated, prose
from videohub.errors import DataError
from videohub.metrics.ava import ava_extremes, ava_map, detected_boxes, evaluate
from videohub.metrics.ava_files import Boxes
from videohub.metrics.matching import OFFICIAL, match

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
NAMES = {1: "stand", 2: "sit"}
BOX = (0.1, 0.1, 0.5, 0.5)
NEAR = (0.1, 0.1, 0.5, 0.45)  # overlaps BOX by 7/8
FAR = (0.6, 0.6, 0.9, 0.9)


def boxes(*rows):
    """(moment, box, label) or (moment, box, label, score) a row."""
    scores = np.array([row[3] for row in rows]) if rows and len(rows[0]) > 3 else None
    return Boxes([row[0] for row in rows], np.array([row[1] for row in rows]), [row[2] for row in rows], scores)


def per_class(truth, found):
    return evaluate(boxes(*truth), boxes(*found), NAMES).per_class


@pytest.fixture(params=["ava_a", "ava_b"])
def golden(request):
    facts = json.loads((GOLDEN / f"{request.param}.json").read_text())
    return facts, {name: GOLDEN / file for name, file in facts["files"].items()}


def test_the_official_numbers_come_out(golden):
    facts, files = golden
    result = ava_map(
        str(files["groundtruth"]), files["detections"], label_map=files["labelmap"], exclusions=files["excluded"]
    )
    assert abs(result.map - facts["mAP"]) <= 1e-9
    assert list(result.per_class) == list(facts["label_ids"])
    for name, expected in facts["per_class_AP"].items():
        assert result.per_class[name] == (None if expected is None else pytest.approx(expected, abs=1e-9))


@pytest.mark.parametrize("turned", ["neither", "detections", "groundtruth", "both"])
def test_the_order_of_the_rows_counts_as_the_rules_say(golden, turned, tmp_path):
    facts, files = golden
    for name in ("detections", "groundtruth"):
        if turned in (name, "both"):
            lines = files[name].read_text().splitlines(keepends=True)
            files[name] = tmp_path / files[name].name
            files[name].write_text("".join(reversed(lines)))
    expected = prose.ava(
        list(prose.rows(files["groundtruth"], files["excluded"])),
        list(prose.rows(files["detections"], files["excluded"])),
        facts["label_ids"].values(),
    )
    result = ava_map(
        files["groundtruth"], files["detections"], label_map=files["labelmap"], exclusions=files["excluded"]
    )
    assert list(result.per_class.values()) == [
        None if value is None else pytest.approx(value, abs=1e-12) for value in expected.values()
    ]
    moved = abs(result.map - facts["mAP"]) > 1e-3
    assert moved == (turned in ("detections", "both"))


def test_the_first_row_takes_the_box_whatever_its_score():
    truth = [("v,0902", BOX, 1)]
    better, worse = ("v,0902", NEAR, 1, 0.9), ("v,0902", BOX, 1, 0.8)
    assert per_class(truth, [better, worse])["stand"] == 1
    assert per_class(truth, [worse, better])["stand"] == 1 / 2  # the better score is now a false detection


def test_a_detection_never_falls_back_to_its_second_best_box():
    truth = [("v,0902", BOX, 1), ("v,0902", (0.1, 0.1, 0.5, 0.4), 1)]
    result = [
        ("v,0902", BOX, 1, 0.9),
        ("v,0902", (0.1, 0.1, 0.5, 0.46), 1, 0.8),
    ]  # 0.9 of the first, 0.83 of the second
    assert per_class(truth, result)["stand"] == 1 / 2  # one of two boxes, at precision 1


def test_of_two_boxes_that_overlap_equally_the_first_row_is_taken():
    twice = [("v,0902", BOX, 1), ("v,0902", BOX, 1)]
    result = [("v,0902", BOX, 1, 0.9), ("v,0902", BOX, 1, 0.8)]
    assert per_class(twice, result)["stand"] == 1 / 2  # both look at the first


def test_an_overlap_of_exactly_the_threshold_counts():
    truth, half = [("v,0902", (0.0, 0.0, 1.0, 1.0), 1)], ("v,0902", (0.0, 0.0, 1.0, 0.5), 1, 0.9)
    assert per_class(truth, [half])["stand"] == 1
    assert evaluate(boxes(*truth), boxes(half), NAMES, iou=0.51).map == 0


def test_boxes_of_other_moments_and_classes_are_not_looked_at():
    truth = [("v,0902", BOX, 1)]
    for result in (("v,0903", BOX, 1, 0.9), ("w,0902", BOX, 1, 0.9), ("v,0902", BOX, 2, 0.9)):
        assert per_class(truth, [result]) == {"stand": 0, "sit": None}


def test_a_detection_at_a_moment_without_ground_truth_is_wrong():
    result = [("w,0902", FAR, 1, 0.9), ("v,0902", BOX, 1, 0.8)]
    assert per_class([("v,0902", BOX, 1)], result)["stand"] == 1 / 2


def test_a_detection_without_extent_is_dropped_and_not_wrong():
    result = [
        ("v,0902", (0.5, 0.1, 0.5, 0.5), 1, 0.9),
        ("v,0902", (0.1, 0.5, 0.5, 0.1), 1, 0.9),
        ("v,0902", BOX, 1, 0.8),
    ]
    assert per_class([("v,0902", BOX, 1)], result)["stand"] == 1


def test_unknown_labels_are_ignored_on_both_sides():
    result = [("v,0902", BOX, 99, 0.9), ("v,0902", BOX, 1, 0.8)]
    assert per_class([("v,0902", BOX, 1), ("v,0902", FAR, 99)], result) == {"stand": 1, "sit": None}


def test_a_class_counts_if_it_has_ground_truth():
    result = evaluate(
        boxes(("v,0902", BOX, 1), ("v,0902", BOX, 2)), boxes(("v,0902", BOX, 1, 0.5)), {1: "stand", 2: "sit", 3: "run"}
    )
    assert result.per_class == {"stand": 1, "sit": 0, "run": None}
    assert result.map == 1 / 2


def test_precision_is_made_monotone():
    # by score: wrong, right, right of 2: precisions 0, 1/2, 2/3; both steps of recall count at 2/3
    result = [("v,0903", FAR, 1, 0.9), ("v,0902", BOX, 1, 0.8), ("v,0903", BOX, 1, 0.7)]
    assert per_class([("v,0902", BOX, 1), ("v,0903", BOX, 1)], result)["stand"] == pytest.approx(2 / 3)


def test_of_equal_scores_the_later_row_goes_first():
    right, wrong = ("v,0902", BOX, 1, 0.5), ("v,0902", FAR, 1, 0.5)
    assert per_class([("v,0902", BOX, 1)], [wrong, right])["stand"] == 1
    assert per_class([("v,0902", BOX, 1)], [right, wrong])["stand"] == 1 / 2


@pytest.mark.parametrize("digits", [1, 8])
def test_every_class_is_as_the_rules_say(digits):
    for seed in range(40):
        truth, result = generated.ava(seed, digits=digits)
        expected = prose.ava(generated.as_rows(truth), generated.as_rows(result), generated.NAMES)
        each = evaluate(truth, result, generated.NAMES).per_class
        assert list(each.values()) == [
            None if value is None else pytest.approx(value, abs=1e-12) for value in expected.values()
        ]


def test_no_detection_at_all_is_a_result():
    none = Boxes([], np.empty((0, 4)), [], np.empty(0))
    assert evaluate(boxes(("v,0902", BOX, 1)), none, NAMES).map == 0


def test_a_network_s_output_becomes_rows_box_by_box():
    rows = detected_boxes(["v,0902", "v,0903"], [BOX, FAR], [[0.1, 0.2], [0.3, 0.4]], OFFICIAL)
    assert rows.keys == ["v,0902", "v,0902", "v,0903", "v,0903"]
    assert rows.labels.tolist() == [1, 2, 1, 2]
    assert rows.scores.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert rows.boxes.tolist() == [list(BOX), list(BOX), list(FAR), list(FAR)]
    with pytest.raises(ValueError, match="found 1 keys"):
        detected_boxes(["v,0902"], [BOX, FAR], [[0.1, 0.2], [0.3, 0.4]], OFFICIAL)


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        (boxes(("v,0902", BOX, 9)), boxes(("v,0902", BOX, 1, 0.5)), "none of 2 classes has anything to find"),
        (boxes(("v,0902", BOX, 1)), boxes(("v,0902", BOX, 1)), "without scores"),
        (boxes(("v,0902", BOX, 1)), boxes(("v,0902", BOX, 1, float("nan"))), "not finite"),
        (boxes(("v,0902", (0.1, 0.1, 0.5, float("inf")), 1)), boxes(("v,0902", BOX, 1, 0.5)), "1 of 1 boxes are not"),
        (Boxes(["v,0902"], [BOX, FAR], [1, 1]), boxes(("v,0902", BOX, 1, 0.5)), r"found 1 keys, boxes \(2, 4\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(truth, found, message):
    with pytest.raises(ValueError, match=message):
        evaluate(truth, found, NAMES)


def test_a_threshold_of_no_overlap_and_no_names_are_refused():
    truth, result = boxes(("v,0902", BOX, 1)), boxes(("v,0902", BOX, 1, 0.5))
    with pytest.raises(ValueError, match="found iou 0, expected more than 0"):
        evaluate(truth, result, NAMES, iou=0)
    with pytest.raises(ValueError, match="0 names"):
        evaluate(truth, result, {})


def test_files_of_two_versions_are_noticed(tmp_path):
    for name, text in (("gt.csv", "v,902,0,0,1,1,7\n"), ("found.csv", ""), ("map", 'item { name: "stand" id: 1 }')):
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=r"gt\.csv: no row has a label id of .*one version of AVA\?"):
        ava_map(tmp_path / "gt.csv", tmp_path / "found.csv", label_map=tmp_path / "map")


def test_weights_of_one_change_no_bit():
    truth, result = generated.ava(2)
    matches = match(truth, result, generated.NAMES)
    means = matches.curves().means(np.ones((len(matches.videos), 4)))
    assert set(means.tolist()) == {evaluate(truth, result, generated.NAMES).map}


@pytest.mark.parametrize(("videos", "moments"), [(5, 24), (3, 200), (40, 60)])
def test_a_weight_of_k_is_k_copies_of_the_video(videos, moments):
    for seed in range(5):
        truth, result = generated.ava(seed, videos=videos, moments=moments)
        matches = match(truth, result, generated.NAMES)
        weights = np.random.default_rng(seed).integers(0, 4, len(matches.videos))
        weights[matches.truths.any(axis=0).argmax()] = 2  # something to find is left
        counts = dict(zip(matches.videos, weights.tolist(), strict=True))
        copies = evaluate(generated.repeated(truth, counts), generated.repeated(result, counts), generated.NAMES).map
        assert matches.curves().means(weights[:, None].astype(float))[0] == pytest.approx(copies, rel=1e-12)


def test_videos_can_be_listed_beforehand():
    truth, result = boxes(("v,0902", BOX, 1)), boxes(("w,0902", BOX, 1, 0.5))
    assert match(truth, result, NAMES).videos == ("v", "w")
    assert match(truth, result, NAMES, videos=["w", "x", "v"]).truths.tolist() == [[0, 0, 1], [0, 0, 0]]
    with pytest.raises(ValueError, match="1 videos that are not listed, 'w' for one"):
        match(truth, result, NAMES, videos=["v"])


# --- what missing moments could do ------------------------------------------------------------------------------------


def test_missing_moments_are_found_first_or_their_people_are_all_wrong():
    truth = Boxes(["v,0902", "v,0903"], [BOX, BOX], [1, 1])
    scored = match(Boxes(["v,0902"], [BOX], [1]), Boxes(["v,0902"], [BOX], [1], [0.5]), NAMES)
    missing = Boxes(truth.keys[1:], truth.boxes[1:], truth.labels[1:])
    worst, best = ava_extremes(scored, missing, ["v,0903", "v,0903", "v,0903"])
    assert best.classes().tolist()[0] == 1
    assert worst.classes().tolist()[0] == 1 / 2 * 1 / 4  # one of two boxes, after three people
    assert np.isnan(worst.classes()[1])


def test_a_video_that_is_missing_whole_can_be_drawn_too():
    scored = match(Boxes(["v,0902"], [BOX], [1]), Boxes(["v,0902"], [BOX], [1], [0.5]), NAMES)
    worst, best = ava_extremes(scored, Boxes(["w,0902"], [BOX], [2]), ["u,0902"])
    assert worst.videos == best.videos == 3
    assert worst.classes().tolist() == [1 / 2, 0]
    assert best.classes().tolist() == [1, 1]


def test_whatever_a_network_says_at_missing_moments_stays_within():
    random = np.random.default_rng(0)
    for seed in range(20):
        truth, result = generated.ava(seed)
        gone = random.choice(sorted(set(truth.keys)), 2, replace=False)
        parts = [
            Boxes([boxes.keys[row] for row in rows], boxes.boxes[rows], boxes.labels[rows],
                  None if boxes.scores is None else boxes.scores[rows])
            for boxes in (truth, result)
            for rows in (np.flatnonzero(~np.isin(boxes.keys, gone)), np.flatnonzero(np.isin(boxes.keys, gone)))
        ]  # fmt: skip
        kept_truth, missing, kept_found, unseen = parts
        # each person is one box, with one score for each class
        persons = [(key, box) for key, box in zip(unseen.keys, unseen.boxes, strict=True)]
        people, corners = [key for key, _ in persons], [box for _, box in persons]
        worst, best = ava_extremes(match(kept_truth, kept_found, generated.NAMES), missing, people)
        for _ in range(5):
            rows = [
                (key, box, label, random.choice([0.001, 0.3, 0.5, 0.999]))
                for key, box in zip(people, corners, strict=True)
                for label in generated.NAMES
            ]
            whole = Boxes(
                [*kept_found.keys, *(row[0] for row in rows)],
                np.concatenate([kept_found.boxes, np.array([row[1] for row in rows]).reshape(-1, 4)]),
                np.concatenate([kept_found.labels, np.array([row[2] for row in rows], np.int64)]),
                np.concatenate([kept_found.scores, [row[3] for row in rows]]),
            )
            assert worst.mean() - 1e-12 <= evaluate(truth, whole, generated.NAMES).map <= best.mean() + 1e-12
