"""Something-Something V2: templates become classes; frames and videos are found in the layouts people have."""

from __future__ import annotations

import json

import msgspec
import pytest

from videohub import registry
from videohub.data import sets
from videohub.data.samples import FrameList, Sample, VideoFile
from videohub.errors import DataError, UsageError

RECORD = "slowfast_r50_16x8_ssv2"
LABELS = {
    "Approaching something with your camera": "0",
    "Attaching something to something": "1",
    "Spinning something that quickly stops spinning": "140",
}
VIDEOS = [
    {"id": "74225", "label": "spinning cube that quickly stops spinning",
     "template": "Spinning [something] that quickly stops spinning", "placeholders": ["cube"]},
    {"id": "116154", "label": "attaching lid to jar", "template": "Attaching [something] to [something]",
     "placeholders": ["lid", "jar"]},
    {"id": "9", "label": "approaching a tree with your camera", "template": "Approaching [something] with your camera",
     "placeholders": ["a tree"]},
]  # fmt: skip
LISTS = {
    "something-something-v2-labels.json": json.dumps(LABELS),
    "something-something-v2-validation.json": json.dumps(VIDEOS),
}
# In another order than the annotations, and with classes that are not to be believed.
FRAMES = (
    "original_vido_id video_id frame_id path labels\n"
    '9 0 0 9/9_0001.jpg "5"\n'
    '116154 1 0 116154/116154_0001.jpg ""\n'
    '116154 1 1 116154/116154_0002.jpg ""\n'
    '74225 2 0 74225/74225_0001.jpg ""\n'
)


def test_frames_are_those_of_the_list_and_classes_those_of_the_templates(put, read):
    folder = put({**LISTS, "frame_lists/val.csv": FRAMES})
    result = read(RECORD)
    assert result.samples == [
        Sample("74225", FrameList(folder, "74225/74225_0001.jpg"), (140,)),
        Sample("116154", FrameList(folder, "116154/116154_0001.jpg\n116154/116154_0002.jpg"), (1,)),
        Sample("9", FrameList(folder, "9/9_0001.jpg"), (0,)),
    ]
    assert result.ava is None
    assert result.notes == ()


def test_frames_start_at_the_root_or_else_in_a_folder_of_that_name(put, read):
    folder = put({**LISTS, "val.csv": FRAMES, "frames/116154/116154_0001.jpg": ""})
    assert read(RECORD).samples[0].source == FrameList(folder / "frames", "74225/74225_0001.jpg")
    put(["elsewhere/9/9_0001.jpg"])
    assert read(RECORD, root=folder / "elsewhere").samples[0].source == FrameList(
        folder / "elsewhere", "74225/74225_0001.jpg"
    )


def test_the_rate_that_a_note_states_is_that_of_the_data_set_s_entry(put):
    folder = put({"labels.json": json.dumps(LABELS), "validation.json": json.dumps(VIDEOS), "9.webm": ""})
    record = registry.record(RECORD)
    for fps, end in ((30, "on frames extracted at 30 a second"), (12, "at 12 a second"), (None, "on frames extracted")):
        other = msgspec.structs.replace(record, dataset=msgspec.structs.replace(record.dataset, fps=fps))
        [note] = sets.read(folder, root=None, record=other).notes
        assert note.endswith(end)


@pytest.mark.parametrize("place", ["", "20bn-something-something-v2/"])
@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
def test_without_frames_the_videos_are_read(put, read, place, suffix):
    labels = {"labels/labels.json": json.dumps(LABELS), "labels/validation.json": json.dumps(VIDEOS)}
    folder = put({**labels, f"{place}1{suffix}": "", f"{place}9{suffix}": ""})  # video 1 is of another split
    result = read(RECORD)
    assert result.samples == [
        Sample("74225", VideoFile(folder / f"{place}74225{suffix}"), (140,)),
        Sample("116154", VideoFile(folder / f"{place}116154{suffix}"), (1,)),
        Sample("9", VideoFile(folder / f"{place}9{suffix}"), (0,)),
    ]
    [note] = result.notes
    assert note.startswith("there is no frame list: the video files ")


def test_a_frame_list_without_its_frames_gives_way_to_videos_unless_it_was_named(put, read):
    folder = put({**LISTS, "frame_lists/val.csv": FRAMES, "9.webm": ""})
    by_folder, by_list = read(RECORD), read(RECORD, folder / "frame_lists" / "val.csv")
    assert by_folder.samples[2].source == VideoFile(folder / "9.webm")
    assert by_folder.notes[0].startswith(f"none of the frames that {folder / 'frame_lists' / 'val.csv'} names is there")
    assert by_list.samples[2].source == FrameList(folder, "9/9_0001.jpg")
    assert by_folder.digest() == by_list.digest()


def test_without_a_list_all_images_of_a_video_s_folder_are_its_frames(put, read):
    folder = put({**LISTS, "116154/2.jpg": "", "116154/10.jpg": "", "116154/notes.txt": "", "9/1.JPG": ""})
    result = read(RECORD)
    assert [sample.source for sample in result.samples] == [
        VideoFile(folder / "74225"),  # which is missing, and for the evaluation to count
        FrameList(folder / "116154", "2.jpg\n10.jpg"),
        FrameList(folder / "9", "1.JPG"),
    ]
    assert result.notes == (f"there is no frame list: all images in each folder {folder / 'ID'} are read",)


def test_the_annotations_may_be_named_and_may_have_a_byte_order_mark_and_other_fields(put, read):
    mark, some = b"\xef\xbb\xbf", [{"id": 9, "template": "Approaching [something] with your camera"}]
    folder = put({"labels.json": mark + json.dumps(LABELS).encode(), "some.json": mark + json.dumps(some).encode()})
    assert [(sample.name, sample.truth) for sample in read(RECORD, folder / "some.json").samples] == [("9", (0,))]


def test_annotations_that_are_nested_without_end_are_refused(put, read):
    deep = '[{"surprise":' * 100_000
    put({"labels/labels.json": json.dumps(LABELS), "labels/validation.json": deep})
    with pytest.raises(DataError, match=r"validation\.json"):
        read(RECORD)


def test_videos_that_only_one_of_the_lists_has_are_left_out_and_told(put, read):
    folder = put({**LISTS, "frame_lists/val.csv": FRAMES.replace("74225", "74226")})
    result = read(RECORD)
    assert [sample.name for sample in result.samples] == ["116154", "9"]
    file = folder / "frame_lists" / "val.csv"
    assert result.notes == (
        f"left out: of 3 annotated videos those that {file} does not name, 1 in all: 74225",
        f"left out: of 3 videos of {file} those without an annotation, 1 in all: 74226",
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine.txt", " " + json.dumps(VIDEOS)),
        ("mine.csv", json.dumps(VIDEOS)),
        ("frames.json", FRAMES),
        ("frames", FRAMES),
        ("validation.JSON", json.dumps(VIDEOS)),
        ("my labels.json", json.dumps(LABELS)),
    ],
)
def test_a_list_that_is_named_is_known_by_what_it_holds(put, read, name, content):
    """A list of JSON has the annotations, an object the classes, anything else the frames: whatever it is called."""
    folder = put({**LISTS, name: content})
    result = read(RECORD, folder / name)
    assert [(sample.name, sample.truth) for sample in result.samples] == [
        ("74225", (140,)),
        ("116154", (1,)),
        ("9", (0,)),
    ]
    kind = FrameList if content == FRAMES else VideoFile
    assert all(isinstance(sample.source, kind) for sample in result.samples)


VALIDATION = "something-something-v2-validation.json"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({VALIDATION: "[]"}, r"validation\.json: the list holds no videos"),
        ({VALIDATION: "[{"}, r"validation\.json: .*truncated"),
        ({VALIDATION: b"\xff"}, r"validation\.json: "),
        ({VALIDATION: '[{"id": "9"}]'}, r"validation\.json: .*missing required field `template`.* `\$\[0\]`"),
        ({VALIDATION: json.dumps(VIDEOS + VIDEOS[:1])}, r"video 74225 stands twice"),
        ({VALIDATION: '[{"id": "9", "template": "Eating [something]"}]'},
         r"video 9 has the template 'Eating \[something\]', which .*labels\.json lacks"),
        ({"something-something-v2-labels.json": '{"Eating something": "174"}'}, r"the class '174'; expected 0 to 173"),
        ({"frame_lists/val.csv": FRAMES.splitlines()[0] + '\n1 0 0 1/1.jpg ""\n'},
         r"validation\.json: no video of it is in the frame list"),
    ],
)  # fmt: skip
def test_lists_that_contradict_the_data_set_are_refused(put, read, files, message):
    put({**LISTS, **files})
    with pytest.raises(DataError, match=message):
        read(RECORD)


def test_an_absent_list_is_named_with_the_places_that_were_looked_at(put, read):
    folder = put({"something-something-v2-labels.json": "{}"})
    with pytest.raises(UsageError) as error:
        read(RECORD)
    assert str(error.value).startswith(f"{folder}: there is no list of the val videos; looked for\n")
    for place in (folder, folder / "labels"):
        for name in ("something-something-v2-validation.json", "validation.json"):
            assert f"\n  {place / name}\n" in f"{error.value}\n"
