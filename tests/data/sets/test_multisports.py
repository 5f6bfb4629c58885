"""MultiSports: people at the frames of videos, from its publisher's pickle, worked out by hand."""

from __future__ import annotations

import json
import os
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from tests.data.sets.detectors import MULTISPORTS, detector, ground_truth, pickled
from videohub.data import sets
from videohub.data.samples import AvaTruth, KeyFrame, Sample, VideoFile
from videohub.data.sampling import keyframe_indices
from videohub.data.sets.box_files import WHOLE_FRAME
from videohub.errors import DataError, UnsafeFileError, UsageError

LISTS = Path(__file__).resolve().parents[2] / "golden" / "detection_lists.json"
ONE, TWO = "football/v_one_c001", "basketball/v_two_c002"
LABELS = ["football shoot", "aerobic kick jump", "basketball pass"]
TUBES = {
    ONE: {
        2: [[[3, 128, 72, 640, 360], [4, 128, 72, 640, 720]]],
        0: [[[4, 0, 0, 1280, 720]], [[1, 64, 36, 128, 72]]],
    },
    TWO: {1: [[[7, 0, 0, 640, 360]]]},
}
BOXES = {"v_one_c001,4": [[0.1, 0.1, 0.5, 0.5, 0.95], [0, 0, 1, 1, 0.2]], "v_one_c001, 1": [[0.2, 0.2, 0.3, 0.3, 0.4]]}
FILES = {
    "trainval/multisports_GT.pkl": ground_truth(TUBES, LABELS),
    f"annotations/{MULTISPORTS.boxes}": pickled(BOXES),
    f"trainval/{ONE}.mp4": b"",
}
RECORD = detector("multisports", MULTISPORTS, shift=0, metric="frame_map", classes=3)


@pytest.fixture
def of(put):
    def of(**changed):
        return sets.read(put({**FILES, **changed}), root=None, record=RECORD)

    return of


def test_frames_with_somebody_in_them_are_scored_in_the_order_of_the_tubes(of, tmp_path):
    one, two = (VideoFile(tmp_path / "trainval" / f"{video}.mp4") for video in (ONE, TWO))
    assert of().samples == [
        Sample(f"{ONE},0003", KeyFrame(one, 2, (WHOLE_FRAME,)), ()),
        Sample(f"{ONE},0004", KeyFrame(one, 3, ((0.1, 0.1, 0.5, 0.5),)), ()),
        Sample(f"{ONE},0001", KeyFrame(one, 0, ((0.2, 0.2, 0.3, 0.3),)), ()),  # the best one
        Sample(f"{TWO},0007", KeyFrame(two, 6, (WHOLE_FRAME,)), ()),  # whose class is not judged
    ]


def test_frames_and_boxes_are_those_of_the_original_s_own_tool_and_class(put):
    facts = json.loads(LISTS.read_text())["multisports"]
    sizes = {video: tuple(size) for video, size in facts["resolution"].items()}
    tubes = {video: {int(label): of for label, of in of.items()} for video, of in facts["tubes"].items()}
    folder = put({
        "multisports_GT.pkl": ground_truth(tubes, facts["labels"], resolution=sizes, nframes=facts["nframes"]),
        "val.recall_96.13.pkl": pickled(facts["proposals"]),
    })  # fmt: skip
    samples = sets.read(folder, root=None, record=RECORD).samples
    assert len(samples) == len(facts["samples"]) > 5
    for sample, (moment, boxes, frames) in zip(samples, facts["samples"], strict=True):
        assert (sample.name, [list(box) for box in sample.source.boxes]) == (moment.replace(".mp4,", ","), boxes)
        length = facts["nframes"][sample.name.rpartition(",")[0]]
        assert keyframe_indices(sample.source.centre, frames=4, sampling_rate=16, num_frames=length) == frames


def test_boxes_to_find_are_fractions_of_the_frame_and_those_of_six_classes_do_not_count(of):
    assert of().ava == AvaTruth(
        names={1: "football shoot", 3: "basketball pass"},
        keys=[f"{ONE},0003", f"{ONE},0004", f"{ONE},0004", f"{ONE},0001"],
        boxes=[(0.1, 0.1, 0.5, 0.5), (0.1, 0.1, 0.5, 1.0), (0.0, 0.0, 1.0, 1.0), (0.05, 0.05, 0.1, 0.1)],
        labels=[3, 3, 1, 1],
    )


def test_what_is_odd_is_told(of, tmp_path):
    boxes = tmp_path / "annotations" / MULTISPORTS.boxes
    assert of().notes == (
        "classes that are not judged, as in the original, 1 in all: aerobic kick jump",
        f"frames without a box of 0.9 or more, where the best one is scored, 1 in all: {ONE},0001",
        f"frames that {boxes} does not have, where the whole frame is scored, 2 in all: {ONE},0003, {TWO},0007",
    )


def test_who_names_one_of_the_pickles_means_the_data_set_around_it(of, tmp_path):
    result = of()
    for file in ("trainval/multisports_GT.pkl", f"annotations/{MULTISPORTS.boxes}"):
        assert sets.read(tmp_path / file, root=None, record=RECORD).samples == result.samples


def test_boxes_are_read_as_their_publisher_and_as_mmaction2_name_them(of, put, tmp_path):
    result = of()
    (tmp_path / "annotations" / MULTISPORTS.boxes).unlink()
    theirs = {f"{ONE}.mp4,0004": BOXES["v_one_c001,4"], f"{ONE}.mp4,0001": BOXES["v_one_c001, 1"]}
    put({"MultiSports_box/val.recall_96.13.pkl": pickled(theirs, protocol=2)})
    assert sets.read(tmp_path, root=None, record=RECORD).samples == result.samples


def test_videos_lie_below_the_root_or_where_releases_have_them(of, put, tmp_path):
    assert of().samples[0].source.frames.path == tmp_path / "trainval" / f"{ONE}.mp4"
    put([f"elsewhere/{TWO}.mp4"])
    result = sets.read(tmp_path, root=tmp_path / "elsewhere", record=RECORD)
    assert result.samples[-1].source.frames.path == tmp_path / "elsewhere" / f"{TWO}.mp4"


def test_numbers_of_numpy_are_numbers(of):
    sizes = {video: (np.int64(720), np.int64(1280)) for video in TUBES}
    lengths = {video: np.int32(100) for video in TUBES}
    changed = ground_truth(TUBES, LABELS, resolution=sizes, nframes=lengths)
    assert of(**{"trainval/multisports_GT.pkl": changed}).ava == of().ava


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"labels": LABELS[:2]}, "found 2 labels, expected the 3 of slow_r50_4x16_ava22"),
        ({"test_videos": []}, "test_videos is no list of a list of videos"),
        ({"test_videos": [["football/v_none"]]}, "'football/v_none' is not in its gttubes"),
        ({"gttubes": [1]}, "has no gttubes, expected the dict of MultiSports' ground truth"),
        ({"gttubes": {ONE: {9: []}, TWO: {}}}, "found tubes of class 9, expected lists for 0 to 2"),
        ({"gttubes": {ONE: {}, TWO: {}}}, "the videos of test_videos have no box"),
        ({"gttubes": {ONE: {0: [np.zeros((1, 4))]}, TWO: {}}}, r"found an array \(1, 4\), expected an array of 5"),
        ({"gttubes": {ONE: {0: [np.full((1, 5), 101.0)]}, TWO: {}}}, "a box at a frame that is none of 1 to 100"),
        ({"gttubes": {ONE: {0: [np.full((1, 5), np.inf)]}, TWO: {}}}, "1 of 1 rows are not finite"),
        ({"resolution": {ONE: 720, TWO: 720}}, "its resolution is 720, expected height and width"),
        ({"nframes": {ONE: "long", TWO: 100}}, "found 'long', expected a number of 1 or more"),
    ],
)
def test_a_ground_truth_that_cannot_be_used_is_refused(of, others, message):
    with pytest.raises(DataError, match=message):
        of(**{"trainval/multisports_GT.pkl": ground_truth(TUBES, **{"labels": LABELS, **others})})


class Evil:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_nothing_in_a_ground_truth_ever_runs(of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeFileError, match=r"multisports_GT\.pkl: the pickle asks for posix\.mkdir"):
        of(**{"trainval/multisports_GT.pkl": pickle.dumps({"labels": LABELS, "gttubes": Evil()})})
    assert not (tmp_path / "ran").exists()


def test_a_damaged_pickle_is_read_or_refused_and_nothing_else(put, tmp_path):
    random.seed(7)
    put(FILES)
    files = {name: FILES[name] for name in FILES if name.endswith(".pkl")}
    outcomes = set()
    for _ in range(300):
        name, content = random.choice(list(files.items()))
        damaged = bytearray(content)
        for _ in range(random.choice((1, 2, 5))):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        if random.random() < 0.2:
            del damaged[random.randrange(len(damaged)) :]
        put({**files, name: bytes(damaged)})
        try:
            sets.read(tmp_path, root=None, record=RECORD)
            outcomes.add("read")
        except (DataError, UnsafeFileError) as error:
            outcomes.add(type(error).__name__)
    assert outcomes == {"read", "DataError", "UnsafeFileError"}


def test_missing_files_are_named_with_the_places(put):
    folder = put({f"trainval/{ONE}.mp4": b""})
    with pytest.raises(UsageError, match=r"there is no ground truth; looked for\n  .*/multisports_GT\.pkl"):
        sets.read(folder, root=None, record=RECORD)
