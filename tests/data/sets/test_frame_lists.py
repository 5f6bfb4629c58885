"""Frame lists as they are published, as people change them, and as they must not be."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from videohub.data.sets.frame_lists import ListedVideo, read_frame_list
from videohub.errors import DataError

HEADER = "original_vido_id video_id frame_id path labels\n"


@pytest.fixture
def listed(tmp_path: Path):
    def listed(text: str | bytes, num_classes: int | None = 157):
        file = tmp_path / "val.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_frame_list(file, num_classes=num_classes)

    return listed


def test_a_video_has_its_frames_in_the_order_of_the_rows_and_the_classes_of_all(listed):
    videos, notes = listed(
        HEADER + '46GP8 0 0 46GP8/46GP8-000001.jpg ""\n'
        '46GP8 0 1 46GP8/46GP8-000002.jpg "152"\n'
        '46GP8 0 2 46GP8/46GP8-000003.jpg "9,152"\n'
        'N11GT 1 0 N11GT/N11GT-000001.jpg ""\n'
    )
    assert videos == {
        "46GP8": ListedVideo("46GP8/46GP8-000001.jpg\n46GP8/46GP8-000002.jpg\n46GP8/46GP8-000003.jpg", (9, 152)),
        "N11GT": ListedVideo("N11GT/N11GT-000001.jpg", ()),
    }
    assert list(videos) == ["46GP8", "N11GT"]
    assert notes == ()


@pytest.mark.parametrize(
    ("row", "path", "classes"),
    [
        ('a 0 0 a/1.jpg "3,17"', "a/1.jpg", (3, 17)),
        ('a 0 0 a/1.jpg "3, 17"', "a/1.jpg", (3, 17)),
        ("a 0 0 a/1.jpg 3,17", "a/1.jpg", (3, 17)),
        ("a 0 0 a/1.jpg 3", "a/1.jpg", (3,)),
        ('a 0 0 a/1.jpg ""', "a/1.jpg", ()),
        ("a 0 0 a/1.jpg ", "a/1.jpg", ()),
        ("a 0 0 a/1.jpg", "a/1.jpg", ()),
        ('a 0 0 my films/1.jpg ""', "my films/1.jpg", ()),
        ('a 0 0 "my films/1.jpg" "3"', "my films/1.jpg", (3,)),
        ('a  0  0  a/1.jpg  "3"', "a/1.jpg", (3,)),
    ],
)
def test_a_row_is_read_however_its_fields_are_written(listed, row, path, classes):
    assert listed(HEADER + row + "\n")[0] == {"a": ListedVideo(path, classes)}


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_fine(listed):
    text = HEADER.encode() + b'a 0 0 a/1.jpg "1"\n\na 0 1 a/2.jpg ""\n'
    assert listed(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))[0] == {"a": ListedVideo("a/1.jpg\na/2.jpg", (1,))}


def test_the_labels_are_not_looked_at_where_the_classes_come_from_elsewhere(listed):
    assert listed(HEADER + 'a 0 0 a/1.jpg "999"\n', num_classes=None)[0] == {"a": ListedVideo("a/1.jpg", ())}


def test_rows_that_do_not_stand_together_are_joined_and_told(listed):
    videos, notes = listed(HEADER + 'a 0 0 a/1.jpg ""\nb 1 0 b/1.jpg ""\na 0 1 a/2.jpg ""\n')
    assert {name: video.names for name, video in videos.items()} == {"a": "a/1.jpg\na/2.jpg", "b": "b/1.jpg"}
    [note] = notes
    assert note.endswith("do not stand together, but in order, 1 in all: a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"val\.csv: the list holds no frames"),
        (HEADER, r"val\.csv: the list holds no frames"),
        ('a 0 0 a/1.jpg ""\n', r"line 1: expected the header 'original_vido_id .*', found 'a 0 0 a/1\.jpg \"\"'"),
        ("\n" + HEADER, r"line 1: expected the header .*, found ''"),
        (
            HEADER + "a/1.jpg 3\n",
            r"line 2: expected 'original_vido_id video_id frame_id path labels', found 'a/1\.jpg 3'",
        ),
        (HEADER + 'a 0 0 a/1.jpg ""\na 0 a/2.jpg ""\n', r"line 3: expected"),
        (HEADER + 'a 0 0 "a/1.jpg\n', r"line 2: expected"),
        (HEADER + "a 0 0 my a/1.jpg\n", r"line 2: expected"),  # a space in the path, and no labels: which is which?
        (HEADER + 'a 0 0 a/1.jpg "157"\n', r"line 2: labels '\"157\"'; expected integers from 0 to 156"),
        (HEADER + 'a 0 0 a/1.jpg ""\na 0 1 a/2.jpg "3,"\n', r"line 3: labels '\"3,\"'"),
        (HEADER + 'a 0 0 1.jpg ""\nb 1 0 2.jpg ""\na 0 0 1.jpg ""\n', r"line 4: video a begins a second time"),
        (b"\xff\xfe\x00", r"val\.csv: not a text file in UTF-8"),
    ],
)
def test_a_bad_list_is_refused_with_its_line(listed, text, message):
    with pytest.raises(DataError, match=message):
        listed(text)


def test_a_long_list_takes_little_more_memory_than_its_paths(tmp_path):
    paths = [f"{video}/{video}_{frame:04}.jpg" for video in range(10_000, 10_500) for frame in range(40)]
    file = tmp_path / "val.csv"
    file.write_text(HEADER + "".join(f'{path.split("/")[0]} 0 0 {path} ""\n' for path in paths))
    tracemalloc.start()
    try:
        videos, _ = read_frame_list(file)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(videos) == 500
    assert sum(video.names.count("\n") + 1 for video in videos.values()) == 20_000
    characters = sum(len(path) + 1 for path in paths)
    assert kept < 1.5 * characters
    assert peak < 2 * characters
