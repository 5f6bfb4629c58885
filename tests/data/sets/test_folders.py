"""What systems leave in folders is no part of a data set, and each video is found by itself, whatever its container."""

from __future__ import annotations

import json
import os

import pytest

from videohub.data.samples import FrameList, VideoFile
from videohub.data.sets.folders import listing_of

KINETICS, SOMETHING, CHARADES = "slowfast_r50_8x8", "slowfast_r50_16x8_ssv2", "slowfast_r50_16x8_charades"
LEFTOVERS = [".DS_Store", "._000001.jpg", "Thumbs.db", "desktop.ini", ".nfs0001.jpg", "@eaDir/000001.jpg/thumb.jpg"]
SOMETHING_LISTS = {
    "labels.json": json.dumps({"Doing a something thing": "0"}),
    "validation.json": json.dumps(
        [{"id": str(number), "template": "Doing a [something] thing"} for number in range(1, 5)]
    ),
}
CHARADES_TABLE = {"Charades_v1_test.csv": "id,actions\nAAAA1,\nBBBB2,\nCCCC3,c001 0 1\n"}
KINETICS_LIST = {
    "val.csv": "label,youtube_id,time_start,time_end,split\n"
    + "".join(f"abseiling,id{number},0,10,validate\n" for number in range(1, 5))
}


def names_of(samples):
    return [sample.source.path.name for sample in samples]


# --- what systems leave ----------------------------------------------------------------------------------------------


def test_a_listing_has_files_and_folders_but_not_what_systems_leave(put):
    folder = put([*LEFTOVERS, "b.jpg", "a.jpg", "inner/c.jpg", "__MACOSX/a.jpg", "THUMBS.DB", "$RECYCLE.BIN/x"])
    (folder / "link.jpg").symlink_to(folder / "nowhere")  # a file that is missing, and so to be counted
    assert listing_of(folder).files == ["a.jpg", "b.jpg", "link.jpg"]
    assert listing_of(folder).folders == ["inner"]
    assert listing_of(folder / "absent").files == []


@pytest.mark.parametrize(
    ("record", "lists", "video"), [(SOMETHING, SOMETHING_LISTS, "1"), (CHARADES, CHARADES_TABLE, "AAAA1")]
)
def test_hidden_files_are_no_frames(put, read, record, lists, video):
    put(lists)
    frames = [f"{number:06}.jpg" for number in range(1, 41)]
    folder = put([f"frames/{video}/{name}" for name in [*frames, *(f"._{name}" for name in frames), *LEFTOVERS]])
    assert read(record).samples[0].source == FrameList(folder / "frames" / video, "\n".join(frames))


def test_hidden_files_are_no_videos_and_no_classes_and_are_not_told(put, read):
    videos = ["abseiling/a.mp4", "zumba/b.mp4"]
    beside = [f"{folder}{name}" for folder in ("", "abseiling/", "zumba/") for name in [*LEFTOVERS, "._a.mp4"]]
    put([*videos, *beside])
    result = read(KINETICS)
    assert [sample.name for sample in result.samples] == videos
    assert result.notes == ()


def test_hidden_files_are_no_images(put, read):
    put([f"n{number:08}/a.JPEG" for number in range(1000)])
    put([f"n00000007/{name}" for name in [*LEFTOVERS, "._a.JPEG"]] + ["@eaDir/x", "__MACOSX/n00000001/._a.JPEG"])
    result = read("resnet_r50_in1k")
    assert len(result.samples) == 1000
    assert result.notes == ()


def test_a_folder_called_as_a_video_is_none_and_is_told(put, read):
    put(["abseiling/a.mp4", "abseiling/b.mp4/inner.mp4"])
    result = read(KINETICS)
    assert [sample.name for sample in result.samples] == ["abseiling/a.mp4"]
    assert result.notes == ("left out: files in folders of classes that are no videos, 1 in all: abseiling/b.mp4/",)


# --- several containers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["val", "val/abseiling"])
def test_official_annotations_find_each_video_in_its_container(put, read, place):
    files = ["id1_000000_000010.mp4", "id2_000000_000010.MP4", "id3_000000_000010.webm", "id4_000000_000010.Mkv"]
    folder = put(KINETICS_LIST)
    put([f"{place}/{name}" for name in files])
    result = read(KINETICS, folder / "val.csv", folder / "val")
    assert [sample.source for sample in result.samples] == [VideoFile(folder / place / name) for name in files]
    assert [sample.name for sample in result.samples] == [f"id{number}_000000_000010.mp4" for number in range(1, 5)]


@pytest.mark.parametrize(
    ("record", "lists", "files"),
    [
        (SOMETHING, SOMETHING_LISTS, ["1.webm", "2.WEBM", "3.mp4", "4.avi"]),
        (CHARADES, CHARADES_TABLE, ["AAAA1.mp4", "BBBB2.MP4", "CCCC3.mkv"]),
    ],
)
def test_videos_of_several_containers_are_all_found(put, read, record, lists, files):
    folder = put(lists)
    put(files)
    result = read(record)
    assert [sample.source for sample in result.samples] == [VideoFile(folder / name) for name in files]
    assert all(str(folder / f"ID{os.path.splitext(name)[1]}") in result.notes[0] for name in files)


def test_of_two_containers_of_a_video_the_usual_one_is_read_in_any_order_of_the_disk(put, read):
    for names in (["1.mp4", "1.webm", "2.webm"], ["3.webm", "3.mp4"]):
        put({**SOMETHING_LISTS, **dict.fromkeys(names, "")})
    assert names_of(read(SOMETHING).samples) == ["1.webm", "2.webm", "3.webm", "4.webm"]  # 4 is missing


def test_frames_and_files_may_be_mixed_and_an_empty_folder_is_no_frames(put, read):
    folder = put({**SOMETHING_LISTS, "1/1.jpg": "", "2.webm": "", "3.webm": "", "3/.DS_Store": ""})
    result = read(SOMETHING)
    assert [sample.source for sample in result.samples] == [
        FrameList(folder / "1", "1.jpg"),
        VideoFile(folder / "2.webm"),
        VideoFile(folder / "3.webm"),
        VideoFile(folder / "4.webm"),  # missing
    ]
    assert len(result.notes) == 2  # on folders, and on files


def test_videos_are_read_where_most_of_them_lie(put, read):
    folder = put({**SOMETHING_LISTS, "1.webm": "", "videos/1.webm": "", "videos/2.webm": "", "videos/3.webm": ""})
    assert {sample.source.path.parent for sample in read(SOMETHING).samples} == {folder / "videos"}


def test_a_folder_called_as_an_official_video_is_not_taken_for_it(put, read):
    folder = put({**KINETICS_LIST, "id1_000000_000010/a.jpg": "", "id2_000000_000010.webm": ""})
    assert names_of(read(KINETICS, folder / "val.csv").samples)[:2] == [
        "id1_000000_000010.webm",
        "id2_000000_000010.webm",
    ]


def test_each_folder_is_listed_once_and_no_file_is_asked_for_by_its_name(put, read, monkeypatch):
    folder = put({**KINETICS_LIST, **{f"id{number}_000000_000010.webm": "" for number in range(1, 5)}})
    listed, asked = [], []
    scandir, stat = os.scandir, os.stat
    monkeypatch.setattr(os, "scandir", lambda place: (listed.append(str(place)), scandir(place))[1])
    monkeypatch.setattr(os, "stat", lambda path, **how: (asked.append(str(path)), stat(path, **how))[1])
    read(KINETICS, folder / "val.csv", folder)
    assert all(listed.count(place) <= 2 for place in listed)  # once for folders of classes, once for videos
    assert not [path for path in asked if "id1_" in path]
