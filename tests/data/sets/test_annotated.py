"""AVA and AVA-Kinetics as mmaction2 reads them: annotated moments, boxes of a pickle, and its quirks, by hand."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.data.sets.detectors import AVA, detector, pickled
from videohub.data import sets
from videohub.data.samples import AvaTruth, FrameList
from videohub.data.sampling import keyframe_indices
from videohub.data.sets.ava_kinetics import CLIPS
from videohub.data.sets.box_files import WHOLE_FRAME, read_proposals
from videohub.errors import DataError, UnsafeFileError, UsageError

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "views_wider" / "mmaction2"
LISTS = GOLDEN.parents[1] / "detection_lists.json"
FILM, CLIP = "film_000001", "abcdefghijk_000010_000020"
LABEL_MAP = 'item {\n  name: "stand"\n  id: 12\n}\nitem {\n  name: "watch (a person)"\n  id: 80\n}\n'
TRUTH = (
    f"{FILM},0904,0.1,0.1,0.5,0.5,12,0\n"
    f"{FILM},0902,0.2,0.2,0.6,0.6,80,0\n"
    f"{FILM},0902,0.2,0.2,0.6,0.6,7,0\n"  # of a class that is not judged
    f"{FILM},0903,0.1,0.1,0.2,0.2,7,0\n"  # only such a class: it is scored, too
    f"{FILM},0905,0.3,0.3,0.4,0.4,12,0\n"
)
BOXES = {
    f"{FILM},0902": [[0.1, 0.2, 0.3, 0.4, 0.9], [0.5, 0.2, 0.7, 0.4, 0.8999], [0.0, 0.0, 1.0, 1.0, 0.95]],
    f"{FILM},0903": [[0.1, 0.1, 0.2, 0.2, 0.5], [0.2, 0.2, 0.3, 0.3, 0.4], [0.3, 0.3, 0.4, 0.4, 0.5]],
    f"{FILM},0905": [[0, 0, 1, 1, 1]],
}
FILES = {
    f"annotations/{AVA.boxes}": pickled(BOXES),
    f"annotations/{AVA.ground_truth}": TRUTH,
    f"annotations/{AVA.exclusions}": f"{FILM},0905\n",
    f"annotations/{AVA.label_map}": LABEL_MAP,
}
IN_AVA = detector("ava_v2.2", AVA, shift=1, metric="ava_map_mmaction2")
JOINED = detector("ava_kinetics", AVA, shift=-1, metric="ava_map_mmaction2")


def images(*videos: str, count: int = 3) -> list[str]:
    return [f"rawframes/{video}/img_{number:05}.jpg" for video in videos for number in range(1, count + 1)]


@pytest.fixture
def of(put):
    """Read files as a record's test does."""

    def of(files, record=IN_AVA, *, pictures=("film_000001",)):
        folder = put({**files, **dict.fromkeys(images(*pictures), b"")})
        return sets.read(folder, root=None, record=record)

    return of


def test_annotated_moments_are_scored_in_the_order_of_the_rows(of):
    result = of(FILES)
    assert [sample.name for sample in result.samples] == [f"{FILM},0904", f"{FILM},0902", f"{FILM},0903"]
    assert [sample.source.centre for sample in result.samples] == [120, 60, 90]
    assert [sample.source.boxes for sample in result.samples] == [
        (WHOLE_FRAME,),  # a moment that the file of boxes does not have
        ((0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 1.0, 1.0)),  # 0.9 and more
        ((0.1, 0.1, 0.2, 0.2), (0.3, 0.3, 0.4, 0.4)),  # nobody is sure: the best, which are two
    ]


def test_rows_of_excluded_moments_count_as_not_found(of):
    assert of(FILES).ava == AvaTruth(
        names={12: "stand", 80: "watch (a person)"},
        keys=[f"{FILM},0904", f"{FILM},0902", f"{FILM},0905"],
        boxes=[(0.1, 0.1, 0.5, 0.5), (0.2, 0.2, 0.6, 0.6), (0.3, 0.3, 0.4, 0.4)],
        labels=[12, 80, 12],
    )


def test_what_is_odd_is_told(of, tmp_path):
    boxes = tmp_path / "annotations" / AVA.boxes
    assert of(FILES).notes == (
        "clips lie 1 image after the annotated moment, as in the original",
        f"moments without a box of 0.9 or more, where the best one is scored, 1 in all: {FILM},0903",
        f"moments that {boxes} does not have, where the whole frame is scored, 1 in all: {FILM},0904",
        "left out: excluded moments, whose rows of the ground truth count as not found, as in the original, 1 in all: "
        f"{FILM},0905",
        "key frames beyond the end of their images, whose last one is shown; the original fails there, 3 in all: "
        f"{FILM},0904, {FILM},0902, {FILM},0903",
    )


def test_images_are_numbered_from_one_to_the_last_that_is_there(of, put):
    put([f"rawframes/{FILM}/img_00005.jpg", f"rawframes/{FILM}/img_00000.jpg", f"rawframes/{FILM}/notes.txt"])
    source = of(FILES).samples[0].source.frames
    assert source.names.split("\n") == [f"{FILM}/img_{number:05}.jpg" for number in range(1, 6)]
    assert source.folder.name == "rawframes"


def test_a_frame_list_is_taken_where_there_is_one(of, put):
    rows = "".join(f'{FILM} 0 {frame} {FILM}/{FILM}_{frame + 1:06}.jpg ""\n' for frame in range(4))
    folder = put({"frame_lists/val.csv": f"original_vido_id video_id frame_id path labels\n{rows}"})
    put([f"frames/{FILM}/{FILM}_000001.jpg"])
    result = of(FILES, pictures=())
    assert result.samples[0].source.frames == FrameList(
        folder / "frames", "\n".join(f"{FILM}/{FILM}_{frame:06}.jpg" for frame in range(1, 5))
    )
    by_name = sets.read(folder / "frame_lists" / "val.csv", root=None, record=IN_AVA)
    assert by_name.samples == result.samples
    for name in (AVA.ground_truth, AVA.boxes):  # whoever names one of the annotations means the data set around it
        assert sets.read(folder / "annotations" / name, root=None, record=IN_AVA).samples == result.samples


@pytest.mark.parametrize(
    ("video", "seconds"),
    [
        (FILM, (900, 1800)),
        (CLIP, (10, 20)),
        ("-a_b_c_d_ef_000012_000022", (12, 22)),
        ("of_another_", (900, 1800)),  # eleven letters
        ("longer_id_without", None),
        ("short_one", (900, 1800)),  # fewer than two underscores
    ],
)
def test_the_name_of_a_clip_says_when_it_begins(video, seconds):
    if seconds is None:
        with pytest.raises(DataError, match="expected an id of 11 letters, or one with seconds"):
            CLIPS.seconds(video)
    else:
        assert CLIPS.seconds(video) == seconds


def test_clips_of_kinetics_are_counted_from_their_own_beginning(of, tmp_path):
    truth = f"{CLIP},0012,0.1,0.1,0.5,0.5,12,0\n{TRUTH}"
    boxes = {**BOXES, "abcdefghijk,0012": [[-0.01, 0, 1.01, 1, 0.95]]}  # which AVA-Kinetics does not refuse
    files = {**FILES, f"annotations/{AVA.ground_truth}": truth, f"annotations/{AVA.boxes}": pickled(boxes)}
    result = of(files, JOINED, pictures=(FILM, CLIP))
    first = result.samples[0]
    assert (first.name, first.source.centre, first.source.boxes) == (f"{CLIP},0012", 60, ((-0.01, 0, 1.01, 1),))
    assert result.notes[:3] == (
        "videos that begin at the second in their names, whose boxes stand under the name without it, 1 in all: "
        f"{CLIP}",
        f"no clip goes beyond image 27000 of its video: the original takes the range of the last row, of {FILM}",
        "clips lie 1 image before the annotated moment, as in the original",
    )


def test_no_clip_goes_beyond_the_range_of_the_last_row(of):
    truth = f"{TRUTH}{CLIP},0012,0.1,0.1,0.5,0.5,12,0\n"
    result = of({**FILES, f"annotations/{AVA.ground_truth}": truth}, JOINED, pictures=())
    assert f"no clip goes beyond image 300 of its video: the original takes the range of the last row, of {CLIP}" in (
        result.notes
    )


def test_images_are_cut_at_that_range(put):
    truth = f"{TRUTH}{CLIP},0012,0.1,0.1,0.5,0.5,12,0\n"
    folder = put({**FILES, f"annotations/{AVA.ground_truth}": truth, f"rawframes/{FILM}/img_00400.jpg": b""})
    first = sets.read(folder, root=None, record=JOINED).samples[0]
    assert len(first.source.frames) == 300
    assert len(sets.read(folder, root=None, record=IN_AVA).samples[0].source.frames) == 400


@pytest.mark.parametrize(("name", "record"), [("ava", IN_AVA), ("kinetics", JOINED), ("kinetics_last_clip", JOINED)])
def test_samples_boxes_and_images_are_those_of_the_original_s_own_classes(put, name, record):
    facts = json.loads(LISTS.read_text())[name]
    written = {
        AVA.ground_truth: facts["ground_truth"],
        AVA.exclusions: "".join(f"{moment}\n" for moment in facts["excluded"]),
        AVA.boxes: pickled(facts["proposals"], protocol=2),
        AVA.label_map: LABEL_MAP,
    }
    videos = {row.split(",")[0] for row in facts["ground_truth"].splitlines()}
    last = {video: 300 if video.count("_") > 2 else 27_000 for video in videos}
    folder = put({f"annotations/{file}": text for file, text in written.items()})
    put([f"rawframes/{video}/img_{number:05}.jpg" for video, number in last.items()])
    samples = sets.read(folder, root=None, record=record).samples
    assert len(samples) == len(facts["samples"]) > 5
    for sample, (moment, boxes, numbers) in zip(samples, facts["samples"], strict=True):
        assert (sample.name, [list(box) for box in sample.source.boxes]) == (moment, boxes)
        images = sample.source.frames.names.split("\n")
        indices = keyframe_indices(sample.source.centre + record.protocol.frames.shift, frames=4, sampling_rate=16,
                                   num_frames=len(images))  # fmt: skip
        result = [images[index] for index in indices]
        assert result == [f"{moment.split(',')[0]}/img_{number:05}.jpg" for number in numbers]


@pytest.mark.parametrize("name", ["test_avi__avakinetics4x16", "test_avi__ava8x8", "test_avi__multisports4x16"])
def test_the_boxes_that_are_scored_are_the_original_s(name, tmp_path):
    facts, expected = json.loads((GOLDEN / f"{name}.json").read_text()), np.load(GOLDEN / f"{name}.npz")
    file = tmp_path / "boxes.pkl"
    file.write_bytes(pickled({key: rows for key, rows in facts["proposals"].items() if rows}, protocol=2))
    name_of = CLIPS.proposal if "kinetics" in name else str
    boxes, _ = read_proposals(file, facts["samples"], threshold=0.9, name_of=name_of, within=True)
    for view, sample in enumerate(facts["samples"]):
        count = facts["boxes_per_view"][view]
        assert np.array(boxes[sample]).tolist() == expected["ori_boxes"][view][:count].tolist()


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (pickle.dumps([1]), "a pickle of a list, expected a dict of boxes by moment"),
        (pickle.dumps({f"{FILM},0902": [1.0]}), "found a list, expected an array of 4 or 5 columns"),
        (pickled({f"{FILM},0902": [[0.1, 0.2, 0.3]]}), r"found an array \(1, 3\), expected an array of 4 or 5"),
        (
            pickle.dumps({f"{FILM},0902": np.zeros((1, 5), np.complex64)}),
            "found an array of complex64, expected real num",
        ),
        (pickled({f"{FILM},0902": np.zeros((0, 5))}), "an array without rows"),
        (pickled({f"{FILM},0902": [[0, 0, 1, 1, np.nan]]}), "1 of 1 rows are not finite"),
        (pickled({f"{FILM},0902": [[0, 0, 1.01, 1, 1]]}), r"a box \[0.0, 0.0, 1.01, 1.0\].*the original refuses boxes"),
        (pickled(BOXES)[:-40], "pickle"),
    ],
)
def test_a_file_of_boxes_that_cannot_be_used_is_refused(of, boxes, message):
    with pytest.raises(DataError, match=message):
        of({**FILES, f"annotations/{AVA.boxes}": boxes})


class Evil:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_nothing_in_a_file_of_boxes_ever_runs(of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeFileError, match=r"asks for posix\.mkdir .*which annotations do not need"):
        of({**FILES, f"annotations/{AVA.boxes}": pickle.dumps({f"{FILM},0902": Evil()})})
    assert not (tmp_path / "ran").exists()


def test_all_missing_files_are_named_at_once(put):
    folder = put({f"annotations/{AVA.label_map}": LABEL_MAP})
    with pytest.raises(UsageError) as error:
        sets.read(folder, root=None, record=IN_AVA)
    assert f"\n  {AVA.boxes}\n  {AVA.exclusions}\n  {AVA.ground_truth}\n  looked for them in " in str(error.value)


def test_a_protocol_without_a_label_map_is_refused(put):
    unnamed = msgspec.structs.replace(IN_AVA.protocol.detection, label_map=None)
    protocol = msgspec.structs.replace(IN_AVA.protocol, detection=unnamed)
    with pytest.raises(DataError, match="names no label map"):
        sets.read(put(FILES), root=None, record=msgspec.structs.replace(IN_AVA, protocol=protocol))
