"""AVA: key frames with the boxes of a detector, and the truth that they are judged by, worked out by hand."""

from __future__ import annotations

import msgspec
import pytest

from videohub import registry
from videohub.data import sets
from videohub.data.samples import AvaTruth, FrameList, KeyFrame, Sample
from videohub.errors import DataError, UsageError

RECORD = "slowfast_r101_8x8_ava22"  # boxes of the detector iou90 at 0.8 or more
SLOW = "slow_r50_4x16_ava22"  # boxes of iou75 at 0.9 or more
BOXES = "person_box_67091280_iou90/ava_detection_val_boxes_and_labels.csv"
TRUTH = "ava_val_v2.2.csv"
EXCLUDED = "ava_val_excluded_timestamps_v2.2.csv"
LABEL_MAP = "ava_action_list_v2.2_for_activitynet_2019.pbtxt"
ANNOTATIONS = {
    BOXES: (
        "vid_A,903,0.1,0.2,0.30,0.4,,0.95\n"
        "vid_A,0903,0.5,0.2,0.7,0.4,,0.80\n"  # just enough, and the same second
        "vid_A,0903,0.1,0.2,0.30,0.4,,0.85\n"  # the same text: the same box
        "vid_A,0903,0.1,0.2,0.3,0.4,,0.85\n"  # another text: another box, as in the original
        "vid_A,0903,0.0,0.0,1.0,1.0,,0.7999\n"
        "vid_A,0902,0.1,0.1,0.2,0.2,,0.9\n"
        "vid_A,0904,0.1,0.1,0.2,0.2,,0.5\n"
        "vid_B,1798,0.25,0.25,0.75,0.75,,0.99\n"
        "vid_B,0902,0.1,0.1,0.2,0.2,,0.9\n"
        "vid_B,0901,0.1,0.1,0.2,0.2,,0.9\n"
        "vid_C,0902,0.1,0.1,0.2,0.2,,0.9\n"
    ),
    TRUTH: (
        "vid_B,0902,0.1,0.1,0.2,0.2,12,3\n"
        "vid_A,0903,0.11,0.2,0.31,0.4,12,0\n"
        "vid_A,0903,0.11,0.2,0.31,0.4,2,0\n"  # of no class that counts
        "vid_A,0903,0.11,0.2,0.31,0.4,80,0\n"
    ),
    EXCLUDED: "vid_B,0902\nvid_A,1500\n",
    LABEL_MAP: 'item {\n  name: "stand"\n  id: 12\n}\nitem {\n  name: "watch (a person)"\n  id: 80\n}\n',
}
FRAMES = "original_vido_id video_id frame_id path labels\n" + "".join(
    f'{video} {index} {frame} {video}/{video}_{frame + 1:06}.jpg ""\n'
    for index, (video, length) in enumerate([("vid_B", 26_941), ("vid_A", 90), ("vid_D", 1)])
    for frame in range(length)
)
LISTS = {"frame_lists/val.csv": FRAMES, **{f"annotations/{name}": text for name, text in ANNOTATIONS.items()}}


def frames_of(folder, video, length):
    return FrameList(folder, "\n".join(f"{video}/{video}_{frame:06}.jpg" for frame in range(1, length + 1)))


def test_key_frames_are_the_seconds_with_somebody_in_them(put, read):
    folder = put(LISTS)
    result = read(RECORD)
    a, b = frames_of(folder, "vid_A", 90), frames_of(folder, "vid_B", 26_941)
    three = ((0.1, 0.2, 0.3, 0.4), (0.5, 0.2, 0.7, 0.4), (0.1, 0.2, 0.3, 0.4))
    assert result.samples == [  # videos as the frame list has them, seconds in their order, boxes in that of the file
        Sample("vid_B,1798", KeyFrame(b, 26_940, ((0.25, 0.25, 0.75, 0.75),)), ()),
        Sample("vid_A,0902", KeyFrame(a, 60, ((0.1, 0.1, 0.2, 0.2),)), ()),
        Sample("vid_A,0903", KeyFrame(a, 90, three), ()),
    ]
    assert result.ava == AvaTruth(
        names={12: "stand", 80: "watch (a person)"},
        keys=["vid_A,0903", "vid_A,0903"],
        boxes=[(0.11, 0.2, 0.31, 0.4), (0.11, 0.2, 0.31, 0.4)],
        labels=[12, 80],
    )


def test_what_is_odd_is_told(put, read):
    folder = put(LISTS)
    file = folder / "frame_lists" / "val.csv"
    assert read(RECORD).notes == (
        "left out: boxes outside the seconds 902 to 1798, 1 in all: vid_B,0901",
        f"left out: videos with boxes that {file} does not name, though their ground truth counts, 1 in all: vid_C",
        "videos without a box of 0.8 or more, 1 in all: vid_D",
        "key frames beyond the end of their frame list, 1 in all: vid_A,0903",  # frame 90 of 0 to 89
    )


def test_the_rate_of_the_frames_is_what_the_data_set_s_entry_says(put):
    folder, record = put(LISTS), registry.record(RECORD)
    slower = msgspec.structs.replace(record, dataset=msgspec.structs.replace(record.dataset, fps=15))
    samples = sets.read(folder, root=None, record=slower).samples
    assert [sample.source.centre for sample in samples] == [898 * 15, 2 * 15, 3 * 15]  # seconds after the 900th
    unsaid = msgspec.structs.replace(record, dataset=msgspec.structs.replace(record.dataset, fps=None))
    with pytest.raises(DataError, match=r"ava_v2\.2: its entry lacks `fps`"):
        sets.read(folder, root=None, record=unsaid)


def test_the_frames_of_a_video_are_kept_once(put, read):
    put(LISTS)
    _, second, third = read(RECORD).samples
    assert second.source.frames is third.source.frames


@pytest.mark.parametrize("place", ["", "annotation/", "ava_annotations/"])
def test_annotations_are_found_where_people_have_them(put, read, place):
    folder = put({"frame_lists/val.csv": FRAMES, **{f"{place}{name}": text for name, text in ANNOTATIONS.items()}})
    for data in (folder, folder / "frame_lists" / "val.csv"):
        assert len(read(RECORD, data).samples) == 3


def test_a_record_has_its_own_boxes_and_its_own_threshold(put, read):
    other = BOXES.replace("iou90", "iou75")
    folder = put({**LISTS, f"annotations/{other}": "vid_A,0903,0,0,1,1,,0.9\nvid_A,0904,0,0,1,1,,0.89\n"})
    assert [(sample.name, sample.source.boxes) for sample in read(SLOW).samples] == [("vid_A,0903", ((0, 0, 1, 1),))]
    (folder / "annotations" / other).unlink()
    with pytest.raises(UsageError, match="files of protocol ava22_iou75 are missing:\n  person_box_67091280_iou75/"):
        read(SLOW)


def test_frames_start_at_the_root_or_else_in_a_folder_of_that_name(put, read):
    folder = put({**LISTS, "frames/vid_D/vid_D_000001.jpg": "", "elsewhere/vid_A/vid_A_000001.jpg": ""})
    assert read(RECORD).samples[0].source.frames.folder == folder / "frames"
    assert read(RECORD, root=folder / "elsewhere").samples[0].source.frames.folder == folder / "elsewhere"


def test_all_missing_files_are_named_at_once_with_the_places(put, read):
    folder = put({f"annotations/{BOXES}": ""})
    with pytest.raises(UsageError) as error:
        read(RECORD)
    assert str(error.value) == (
        f"{folder}: files of protocol ava22_iou90 are missing:\n"
        f"  {LABEL_MAP}\n  {EXCLUDED}\n  {TRUTH}\n  frame_lists/val.csv\n"
        "  looked for them in "
        + ", ".join(str(folder / place) for place in ("", "annotations", "annotation", "ava_annotations"))
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            BOXES,
            "vid_A,0903,0.1,0.2,0.3,0.4,0.9\n",
            r"csv, line 1: expected video,second,x1,y1,x2,y2,,score, found",
        ),
        (BOXES, "vid_A,0903,0.1,0.2,0.3,0.4,,0.9,1\n", r"csv, line 1: expected video,second"),
        (BOXES, "\nvid_A,0903,0.1,0.2,0.3,left,,0.9\n", r"csv, line 2: expected video,second"),
        (BOXES, "vid_A,9.5,0.1,0.2,0.3,0.4,,0.9\n", r"csv, line 1: expected video,second"),
        (BOXES, "vid_A,0903,10,20,300,400,,0.9\n", r"line 1: a box 10,20,300,400; expected fractions of the frame"),
        (BOXES, "vid_A,0903,nan,0,1,1,,0.9\n", r"line 1: a box nan,0,1,1; expected fractions"),
        (BOXES, "vid_A,0903,0,nan,1,1,,0.9\n", r"line 1: a box 0,nan,1,1; expected fractions"),
        (BOXES, "vid_A,0903,0,0,1,nan,,0.9\n", r"line 1: a box 0,0,1,nan; expected fractions"),
        (BOXES, "vid_A,0903,0,0,1,1,,nan\n", r"csv: no box of 0\.8 or more in the videos of .*val\.csv"),
        (TRUTH, "vid_A,0903,0.1,0.2,0.3\n", r"ava_val_v2\.2\.csv, line 1: "),
        (TRUTH, "vid_A,0903,0.1,0.2,0.3,0.4,13\n", r"ava_val_v2\.2\.csv: no box of a class that .*pbtxt lists"),
        (EXCLUDED, "vid_A\n", r"excluded_timestamps_v2\.2\.csv, line 1: "),
        (LABEL_MAP, 'item { name: "x" id: 81 }\n', r"pbtxt: the ids run from 81 to 81; the record has 1 to 80"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(put, read, name, text, message):
    put({**LISTS, f"annotations/{name}": text})
    with pytest.raises(DataError, match=message):
        read(RECORD)
