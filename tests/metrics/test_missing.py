"""What missing videos could do to a mean average precision, against all that they could have been."""

import itertools

import numpy as np
import pytest

from tests.metrics import generated
from videohub.metrics import (
    Boxes,
    ava_extremes,
    bootstrap_bounds,
    bootstrap_interval,
    evaluate,
    match,
    multilabel_curves,
    multilabel_extremes,
    multilabel_map,
)


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
    assert bootstrap_bounds(worst, best, resamples=50) == interval


def test_scores_of_any_size_leave_room_above_and_below():
    worst, best = multilabel_extremes([[1e300], [-1e300]], [[1], [0]], [[1], [0]])
    assert (worst.mean(), best.mean()) == (pytest.approx((1 / 2 + 2 / 4) / 2), 1)


def test_missing_labels_have_to_fit():
    with pytest.raises(ValueError, match=r"found missing labels \(1, 1\), expected \(M, 2\)"):
        multilabel_extremes([[0.1, 0.2]], [[1, 0]], [[1]])
    with pytest.raises(ValueError, match="rows of scores are not finite"):
        multilabel_extremes([[0.1, float("nan")]], [[1, 0]], [[1, 0]])


BOX = (0.1, 0.1, 0.5, 0.5)
NAMES = {1: "stand", 2: "sit"}


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
        truth, found = generated.ava(seed)
        gone = random.choice(sorted(set(truth.keys)), 2, replace=False)
        parts = [
            Boxes([boxes.keys[row] for row in rows], boxes.boxes[rows], boxes.labels[rows],
                  None if boxes.scores is None else boxes.scores[rows])
            for boxes in (truth, found)
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
