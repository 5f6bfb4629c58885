"""Charades: all classes of a video at once, from the rows of its frames or from the official table."""

from __future__ import annotations

import pytest

from videohub.data.samples import FrameList, Sample, VideoFile
from videohub.errors import DataError, UsageError

RECORD = "slowfast_r50_16x8_charades"
FRAMES = (
    "original_vido_id video_id frame_id path labels\n"
    'YSKX3 0 0 YSKX3/YSKX3-000001.jpg ""\n'
    'YSKX3 0 1 YSKX3/YSKX3-000002.jpg "147"\n'
    'YSKX3 0 2 YSKX3/YSKX3-000003.jpg "92,147"\n'
    'N11GT 1 0 N11GT/N11GT-000001.jpg ""\n'
)
OFFICIAL = (
    "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
    'YSKX3,HR43,Bedroom,6,7,Yes,"A person opens a door, then ""waves"".",door;lamp,"One, two.",'
    "c147 0.00 12.60;c092 11.90 21.20;c147 14.00 15.00,24.83\n"
    "N11GT,0KZ7,Kitchen,5,6,No,A person stands.,,,,31.00\n"
)
TABLE = "Charades_v1_test.csv"


def test_a_video_of_the_frame_list_has_the_classes_of_all_its_frames(put, read):
    folder = put({"frame_lists/val.csv": FRAMES, TABLE: OFFICIAL})
    result = read(RECORD)
    names = "YSKX3/YSKX3-000001.jpg\nYSKX3/YSKX3-000002.jpg\nYSKX3/YSKX3-000003.jpg"
    assert result.samples == [
        Sample("YSKX3", FrameList(folder, names), (92, 147)),
        Sample("N11GT", FrameList(folder, "N11GT/N11GT-000001.jpg"), ()),
    ]
    assert result.notes == ()


def test_frames_are_also_found_in_the_folder_that_the_archive_unpacks_to(put, read):
    folder = put({"frame_lists/val.csv": FRAMES, "Charades_v1_rgb/N11GT/N11GT-000001.jpg": "", "YSKX3.mp4": ""})
    assert read(RECORD).samples[1].source == FrameList(folder / "Charades_v1_rgb", "N11GT/N11GT-000001.jpg")


@pytest.mark.parametrize("place", ["", "Charades_v1_480/", "Charades_v1/"])
@pytest.mark.parametrize("table", [TABLE, f"Charades/{TABLE}"])
def test_the_official_table_goes_with_video_files(put, read, place, table):
    folder = put({table: OFFICIAL, f"{place}N11GT.mp4": ""})
    result = read(RECORD)
    assert result.samples == [
        Sample("YSKX3", VideoFile(folder / f"{place}YSKX3.mp4"), (92, 147)),
        Sample("N11GT", VideoFile(folder / f"{place}N11GT.mp4"), ()),
    ]
    [note] = result.notes
    assert note.startswith("there is no frame list: the video files ")


def test_a_frame_list_without_its_frames_gives_way_to_videos(put, read):
    folder = put({"frame_lists/val.csv": FRAMES, TABLE: OFFICIAL, "N11GT.mp4": ""})
    assert read(RECORD).samples[0].source == VideoFile(folder / "YSKX3.mp4")


def test_a_list_that_is_named_is_the_one_that_is_read(put, read):
    folder = put({"frame_lists/val.csv": FRAMES, TABLE: OFFICIAL.replace("\n", "\r\n"), "N11GT.mp4": ""})
    table, frames = read(RECORD, folder / TABLE), read(RECORD, folder / "frame_lists" / "val.csv")
    assert table.samples[1] == Sample("N11GT", VideoFile(folder / "N11GT.mp4"), ())
    assert frames.samples[1] == Sample("N11GT", FrameList(folder, "N11GT/N11GT-000001.jpg"), ())
    assert table.digest() == frames.digest()


@pytest.mark.parametrize("header", ['"id","actions"', "subject,id,actions", "id, actions"])
def test_an_official_table_is_known_by_its_columns(put, read, header):
    columns = len(header.split(","))
    folder = put({"mine.txt": f"{header}\n{'S,' * (columns - 2)}N11GT,c001 0 1\n"})
    assert [(sample.name, sample.truth) for sample in read(RECORD, folder / "mine.txt").samples] == [("N11GT", (1,))]


def test_the_root_is_where_videos_are_looked_for(put, read):
    folder = put({TABLE: OFFICIAL, "films/Charades_v1_480/YSKX3.mp4": ""})
    assert read(RECORD, root=folder / "films").samples[0].source == VideoFile(
        folder / "films" / "Charades_v1_480" / "YSKX3.mp4"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,subject\nYSKX3,HR43\n", r"line 1: no column actions; the header is 'id,subject'"),
        ("id,actions,length\nYSKX3,c092 1.0 2.0\n", r"line 2: 2 fields; the header has 3"),
        ("id,actions\nYSKX3,,1\n", r"line 2: 3 fields; the header has 2"),
        (
            'id,script,actions\nA,"two\nlines",\nB,,c157 0.0 1.0\n',
            r"line 4: the action 'c157 0\.0 1\.0'; expected .* c156",
        ),
        ("id,actions\nA,92\n", r"line 2: the action '92'"),
        ("id,actions\nA,\nA,\n", r"line 3: video A stands a second time"),
        ("id,actions\n", r"Charades_v1_test\.csv: the table holds no videos"),
        (b"id,actions\nA,\xff\n", r"line 2: the action '\\udcff'"),
        ("id,actions\nA,\n".encode("utf-16"), r"not a text file in UTF-8: .* in UTF-16"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(put, read, text, message):
    put({TABLE: text})
    with pytest.raises(DataError, match=message):
        read(RECORD)


def test_a_folder_without_lists_is_refused_with_what_was_looked_for(put, read):
    folder = put(["YSKX3.mp4"])
    with pytest.raises(UsageError) as error:
        read(RECORD)
    for name in ("frame_lists/val.csv", TABLE, f"Charades/{TABLE}"):
        assert f"\n  {folder / name}\n" in f"{error.value}\n"
