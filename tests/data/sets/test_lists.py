"""Lists of videos as people write them, and the lines that are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from videohub.data.samples import Sample, VideoFile
from videohub.data.sets.lists import read_list
from videohub.errors import DataError, UsageError


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "val.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("line", "name", "label"),
    [
        ("abc.mp4 3", "abc.mp4", 3),
        ("abc.mp4,3", "abc.mp4", 3),
        ("abc.mp4, 3", "abc.mp4", 3),
        ("abc.mp4\t3", "abc.mp4", 3),
        ("playing harp/my video.mp4 3", "playing harp/my video.mp4", 3),
        ("playing harp/my video.mp4,3", "playing harp/my video.mp4", 3),
        ("one, two.mp4 3", "one, two.mp4", 3),
        ('"one, two.mp4",3', "one, two.mp4", 3),
        ('"my video.mp4" 3', "my video.mp4", 3),
        ('"say ""hi"".mp4" "3"', 'say "hi".mp4', 3),
        ("5.mp4 0", "5.mp4", 0),
    ],
)
def test_the_label_is_the_last_field(write, line, name, label):
    path = write(line + "\n")
    assert read_list(path, num_classes=400) == [Sample(name, VideoFile(path.parent / name), (label,))]


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_are_fine(write):
    path = write(b"\xef\xbb\xbfa.mp4 1\r\n\r\nb.mp4 2\r\n   \r\n")
    assert [(item.name, *item.truth) for item in read_list(path, num_classes=400)] == [("a.mp4", 1), ("b.mp4", 2)]


def test_names_that_are_no_utf_8_are_the_bytes_that_the_disk_has(write):
    path = write(b"caf\xe9.mp4 1\n")
    [item] = read_list(path, num_classes=400)
    assert os.fsencode(item.source.path) == os.fsencode(path.parent) + b"/caf\xe9.mp4"


def test_the_line_ends_of_old_macs_are_fine(write):
    assert [item.truth for item in read_list(write(b"a.mp4 1\rb.mp4 2\r"), num_classes=400)] == [(1,), (2,)]


def test_relative_paths_start_at_the_root_and_absolute_ones_stay(write, tmp_path):
    (tmp_path / "videos").mkdir()
    items = read_list(write("a.mp4 1\n/data/b.mp4 2\n"), root=tmp_path / "videos", num_classes=400)
    assert [item.source.path for item in items] == [tmp_path / "videos" / "a.mp4", Path("/data/b.mp4")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 1\nb.mp4 x\n", r"val\.csv, line 2: the label 'x' is not an integer"),
        ("label,youtube_id,split\n", r"line 1: the label 'split' is not an integer"),
        ("a.mp4 1.0\n", r"line 1: the label '1\.0' is not an integer"),
        ("a.mp4\n", r"line 1: expected a path and a label, found 'a\.mp4'"),
        (" 3\n", r"line 1: expected a path and a label, found '3'"),
        ("a.mp4 400\n", r"line 1: label 400 is out of range; 400 classes have labels 0 to 399"),
        ("a.mp4 -1\n", r"line 1: label -1 is out of range"),
        pytest.param(f"a.mp4 {'9' * 5000}\n", r"line 1: label 99999999… is out of range", id="a label of 5000 digits"),
        ("a.mp4 1\nb.mp4 2\na.mp4 1\n", r"line 3: 'a\.mp4' already stands on line 1"),
        ("a.mp4 1\n./a.mp4 2\n", r"line 2: '\./a\.mp4' already stands on line 1"),
        ("\n\n", r"val\.csv: the list holds no videos"),
        ("a.mp4;3\n", r"line 1: expected a path and a label, .* Here ';' seems to stand between them: a space, a tab"),
        ("my a.mp4|3\n", r"line 1: the label 'a\.mp4\|3' is not an integer; .* Here '\|' seems to stand between"),
        ("3 a.mp4\n", r"line 1: the label 'a\.mp4' is not an integer; .* Here the label seems to stand first"),
        ("path,label\na.mp4,3\n", r"line 1: the label 'label' is not an integer; .*, without a header$"),
        ("a.mp4 3\n".encode("utf-16"), r"val\.csv: not a text file in UTF-8: .* text in UTF-16, .* save it as UTF-8"),
        (b"\xff\xfe\x00", r"val\.csv: not a text file in UTF-8"),
    ],
)
def test_a_bad_list_is_refused_with_its_line(write, text, message):
    with pytest.raises(DataError, match=message):
        read_list(write(text), num_classes=400)


def test_a_missing_list_or_root_is_misuse(write, tmp_path):
    with pytest.raises(UsageError, match="no such list file"):
        read_list(tmp_path / "absent.csv", num_classes=400)
    with pytest.raises(UsageError, match="absent: no such folder"):
        read_list(write("a.mp4 1\n"), root=tmp_path / "absent", num_classes=400)
