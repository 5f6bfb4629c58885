"""Wrong labels are found before they cost a run: by the folders that videos lie in, and by classes that never occur."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from videohub import metrics
from videohub.data.samples import AvaTruth, DataSet, ImageFile, Sample, VideoFile
from videohub.preflight.findings import Classes, Folders
from videohub.preflight.list_checks import (
    compare_folders,
    count_classes,
    judge_classes,
    judge_folders,
    judge_truth,
)

NAMES = (
    "abseiling",
    "air drumming",
    "massaging person's head",
    "petting animal (not cat)",
    "tying knot (not on a tie)",
)
FOLDERS = (
    "abseiling",
    "air_drumming",
    "massaging_person's_head",
    "petting animal (not cat)",
    "tying_knot_(not_on_a_tie)",
)


def samples(labels: dict[str, list[int]], kind: type[VideoFile | ImageFile] = VideoFile) -> list[Sample]:
    """Videos in folders, with labels."""
    return [
        Sample(f"{folder}/{number}.mp4", kind(Path(folder) / f"{number}.mp4"), (label,))
        for folder, these in labels.items()
        for number, label in enumerate(these)
    ]


def judged(labels: dict[str, list[int]]) -> tuple[Folders | None, list[tuple[str, int, bool]]]:
    videos = samples(labels)
    folders = compare_folders(videos, lambda: NAMES)
    return folders, [(one.text, one.count, one.fatal) for one in judge_folders(folders, videos, lambda: NAMES)]


def test_folders_called_as_classes_in_any_spelling_prove_the_order():
    assert judged({folder: [number] * 2 for number, folder in enumerate(FOLDERS)}) == (Folders(10, 10, None, None), [])


def test_classes_may_be_named_in_any_script():
    videos = samples({"吃苹果": [0], "喝水": [0]})
    assert compare_folders(videos, lambda: ("吃苹果", "喝水")) == Folders(2, 1, None, None)


def test_labels_that_count_from_one_are_recognised():
    folders, findings = judged({folder: [number + 1] * 2 for number, folder in enumerate(FOLDERS)})
    assert folders == Folders(10, 0, 1, None)
    assert findings == [
        (
            "10 of 10 samples in folders called as classes are have another class's label: labels are 1 too high; "
            "they count from 0",
            10,
            True,
        )
    ]


def test_another_order_makes_the_data_unusable_and_names_examples():
    videos = samples({folder: [4 - number] * 2 for number, folder in enumerate(FOLDERS)})
    folders = compare_folders(videos, lambda: NAMES)
    assert folders == Folders(10, 2, None, None)  # the middle one stays
    (finding,) = judge_folders(folders, videos, lambda: NAMES)
    assert finding.fatal
    assert finding.text.endswith("the list's classes are in another order than the network's")
    assert finding.samples["abseiling/0.mp4"] == "label 4 is 'tying knot (not on a tie)'"
    assert len(finding.samples) == 8


def test_one_wrong_label_is_a_remark():
    _, findings = judged({"abseiling": [0, 0, 0, 1], "air drumming": [1, 1]})
    assert findings == [("1 of 6 samples in folders called as classes are have another class's label", 1, False)]


def test_few_samples_are_not_enough_to_condemn_a_list():
    _, findings = judged({"abseiling": [1], "air drumming": [0]})
    assert [fatal for _, _, fatal in findings] == [False]


@pytest.mark.parametrize(
    "labels", [{"videos": [0, 1, 2]}, {"part1": [0, 1], "part2": [0, 1]}, {"dQw4": [1], "aBc1": [0], "x": [1]}]
)
def test_folders_that_are_not_classes_tell_nothing(labels):
    assert judged(labels) == (None, [])


def test_names_are_not_asked_for_where_all_videos_lie_in_one_folder():
    def unasked() -> tuple[str, ...]:
        raise AssertionError

    assert compare_folders(samples({"videos": [0, 1]}), unasked) is None


def test_folders_of_other_names_ascend_with_their_labels():
    assert judged({"n01440764": [0, 0], "n01443537": [1]}) == (Folders(0, 0, None, True), [])
    folders, findings = judged({"n01440764": [449, 449], "n01443537": [3]})
    assert folders == Folders(0, 0, None, False)
    assert findings == [
        (
            "labels do not ascend with the names of the folders that the videos lie in; classes are in sorted order",
            3,
            False,
        )
    ]


def test_classes_are_counted_by_output():
    truths = {"one": (0, 2), "two": (2,), "none": ()}
    videos = [Sample(name, VideoFile(Path(name)), truth) for name, truth in truths.items()]
    assert count_classes(DataSet(videos), 4) == Classes([1, 0, 2, 0], [1, 3])


def test_avas_classes_are_those_of_the_ground_truth_whose_ids_begin_at_one():
    truth = AvaTruth({1: "bend", 3: "crouch"}, ["v,0902", "v,0903", "v,0903"], [(0, 0, 1, 1)] * 3, [3, 3, 1])
    assert count_classes(DataSet([], truth), 3) == Classes([1, 0, 2], [])
    behind_background = msgspec.structs.replace(truth, first_id=0)  # output 0 is for no action, and never right
    assert count_classes(DataSet([], behind_background), 4) == Classes([0, 1, 0, 2], [])


def test_a_whole_data_set_without_some_classes_is_remarked_on_and_a_part_is_not():
    classes = Classes([9, 0, 8, 0], [1, 3])
    assert [one.text for one in judge_classes(classes, 20, averaged=False)] == [
        "2 classes are never right (numbers 1, 3): this is not the whole set, or its labels mean something else"
    ]
    assert judge_classes(classes, 19, averaged=False) == []
    assert [one.text for one in judge_classes(classes, 3, averaged=True)] == [
        "2 classes are never right (numbers 1, 3): the mean leaves them out"
    ]


BOXES = AvaTruth(keys=["a,1"], boxes=[(0.0, 0.0, 1.0, 1.0)], labels=[1], names={1: "stand"}, first_id=1)


@pytest.mark.parametrize(
    ("metric", "truths", "says"),
    [
        ("topk", [(0,), (4,)], None),
        (
            "topk",
            [(0,), (1, 2)],
            "of 2 samples 1 cannot be judged by the metric topk, such as 1: found 2 right classes",
        ),
        ("topk", [(), ()], "of 2 samples 2 cannot be judged by the metric topk, such as 0: found 0 right classes"),
        ("topk", [(0,), (5,)], "such as 1: found class 5, expected a whole number from 0 to 4"),
        ("topk", [(0.5,)], "such as 0: found class 0.5, expected a whole number from 0 to 4"),
        ("multilabel_map", [(), (1, 2)], None),
        ("multilabel_map", [(-1, 2)], "such as 0: found class -1, expected a whole number from 0 to 4"),
        ("multilabel_map", [(), ()], "the lists name no right class for any of 2 samples"),
        ("ava_map", [(0,)], "the metric ava_map judges boxes, and the lists say what is right for whole samples"),
    ],
)
def test_what_a_metric_cannot_judge_makes_the_data_unusable(metric, truths, says):
    data = DataSet([Sample(str(number), VideoFile(Path("x")), truth) for number, truth in enumerate(truths)])
    findings = judge_truth(data, 5, metrics.of(metric))
    assert [finding.fatal for finding in findings] == ([] if says is None else [True])
    assert all(says in finding.text for finding in findings)


def test_boxes_are_for_a_metric_of_boxes_alone():
    data = DataSet([Sample("a,1", VideoFile(Path("x")), ())], ava=BOXES)
    assert judge_truth(data, 5, metrics.of("ava_map")) == []
    (finding,) = judge_truth(data, 5, metrics.of("topk"))
    assert finding.text == "the metric topk judges whole samples, and the lists say what is right for boxes"
