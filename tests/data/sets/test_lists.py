"""Lists of videos as people write them, and the lines that are refused."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import msgspec
import pytest

from videohub import registry
from videohub.data import sets
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
        ("a.mp4 , 3", "a.mp4", 3),
        ("a.mp4,,3", "a.mp4,", 3),
        ("a  b.mp4 \t 3", "a  b.mp4", 3),
    ],
)
def test_the_label_is_the_last_field(write, line, name, label):
    path = write(line + "\n")
    assert read_list(path, num_classes=400) == [Sample(name, VideoFile(path.parent / name), (label,))]


@pytest.mark.parametrize("line", [f"a{' ' * 20_000}b{' ' * 20_000}1,", f"{'a;' * 20_000}", f"a{' ,' * 20_000}x"])
def test_a_damaged_line_is_refused_at_once_however_long(write, line):
    began = time.monotonic()
    with pytest.raises(DataError, match="line 1: "):
        read_list(write(line), num_classes=400)
    assert time.monotonic() - began < 5


def test_a_video_counts_once_by_a_relative_and_a_whole_path_whatever_the_list_is_called_by(write, monkeypatch):
    folder = write(f"a.mp4 1\n{write('').parent / 'a.mp4'} 1\n").parent
    monkeypatch.chdir(folder)
    for path in ("val.csv", folder / "val.csv"):
        with pytest.raises(DataError, match=r"line 2: .*a\.mp4' already stands on line 1"):
            read_list(path, num_classes=400)


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


# --- lists that mmaction2 makes --------------------------------------------------------------------------------------

SSV2 = "slowfast_r50_16x8_ssv2"


def measured_on(name):
    """A record of Kinetics-400's that is tested on another data set."""
    ours = registry.record("slowfast_r50_8x8")
    protocol = msgspec.structs.replace(ours.protocol, dataset=name)
    return msgspec.structs.replace(ours, dataset=registry.default().datasets[name], protocol=protocol)


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600", "kinetics700", "kinetics710"])
@pytest.mark.parametrize("place", ["videos_val/", "videos/", ""])
def test_a_list_of_kinetics_is_found_and_its_paths_start_where_mmaction2_has_them(put, name, place):
    folder = put({f"{name}_val_list_videos.txt": "abseiling/a.mp4 0\nzumba/b c.mp4 39\n", f"{place}zumba/b c.mp4": ""})
    for data in (folder, folder / f"{name}_val_list_videos.txt"):
        assert sets.read(data, root=None, record=measured_on(name)).samples == [
            Sample("abseiling/a.mp4", VideoFile(folder / place / "abseiling" / "a.mp4"), (0,)),
            Sample("zumba/b c.mp4", VideoFile(folder / place / "zumba" / "b c.mp4"), (39,)),
        ]
    (folder / "elsewhere").mkdir()
    named = sets.read(folder, root=folder / "elsewhere", record=measured_on(name)).samples
    assert named[0].source.path == folder / "elsewhere" / "abseiling" / "a.mp4"


def test_the_list_goes_by_the_data_set_s_other_names_too(put):
    folder = put({"annotations/k700_val_list_videos.txt": "a.mp4 3\n"})
    assert [sample.truth for sample in sets.read(folder, root=None, record=measured_on("kinetics700")).samples] == [
        (3,)
    ]


def test_lists_of_other_data_sets_are_not_taken_for_it(put):
    """mmaction2 tests Kinetics-710 on three lists, whose videos lie in three folders."""
    folder = put([f"k{size}_val_list_videos.txt" for size in (400, 600, 700)])
    with pytest.raises(UsageError) as error:
        sets.read(folder, root=None, record=measured_on("kinetics710"))
    assert str(error.value) == (
        f"{folder}: found k400_val_list_videos.txt, k600_val_list_videos.txt, k700_val_list_videos.txt, expected the "
        "list of kinetics710; give one of them, or join them into kinetics710_val_list_videos.txt, with paths that "
        "start from one folder"
    )


@pytest.mark.parametrize("record", ["slowfast_r50_8x8", SSV2])
def test_a_list_of_folders_of_frames_is_refused_as_such(put, read, record):
    file = put({"x_val_list_rawframes.txt": "abseiling/a 300 0\n"}) / "x_val_list_rawframes.txt"
    with pytest.raises(
        UsageError, match=r"a list of folders of frames .*, which mmaction2 calls x_val_list_videos\.tx"
    ):
        read(record, file)


@pytest.mark.parametrize("name", ["sthv2_val_list_videos.txt", "ssv2_val_list_videos.txt"])
def test_a_list_of_something_something_is_read_where_no_annotations_are(put, read, name):
    folder = put({name: "9.mp4 5\n74225.mp4 140\n", "videos/74225.mp4": ""})
    expected = [
        Sample("9.mp4", VideoFile(folder / "videos" / "9.mp4"), (5,)),
        Sample("74225.mp4", VideoFile(folder / "videos" / "74225.mp4"), (140,)),
    ]
    assert read(SSV2).samples == expected
    assert read(SSV2, folder / name).samples == expected
    annotation = {"id": "9", "template": "Pushing [something]"}
    put({"labels.json": json.dumps({"Pushing something": "3"}), "validation.json": json.dumps([annotation])})
    assert [sample.truth for sample in read(SSV2).samples] == [(3,)]
    assert read(SSV2, folder / name).samples == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9.mp4 174\n", "line 1: label 174 is out of range; 174 classes have labels 0 to 173"),
        ("9.mp4 5\n9.mp4 5\n", "line 2: '9.mp4' already stands on line 1"),
        ("9.mp4 five\n", "line 1: the label 'five' is not an integer"),
    ],
)
def test_a_list_of_something_something_is_read_strictly(put, read, text, message):
    put({"sthv2_val_list_videos.txt": text})
    with pytest.raises(DataError, match=message):
        read(SSV2)


def test_without_any_list_the_annotations_are_asked_for(put, read):
    put([])
    with pytest.raises(UsageError, match="list of classes"):
        read(SSV2)
