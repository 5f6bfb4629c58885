"""Lists of other tools: where all or many files are missing, the likely reason is told, with the path looked for."""

from __future__ import annotations

import os

import pytest

from videohub.data.samples import FrameList, KeyFrame, Sample, VideoFile
from videohub.data.sets.missing import missing_files

RECORD = "slowfast_r50_8x8"
LETTER, MARKED = "caf\N{LATIN SMALL LETTER E WITH ACUTE}.mp4", "cafe\N{COMBINING ACUTE ACCENT}.mp4"  # as macOS has it


@pytest.fixture
def said(put, read, tmp_path, monkeypatch):
    """What is said of a list whose one line is `name 3`, with files below `root` and the current folder `here`."""

    def said(name: str, files: list[str], root: str = "v") -> str:
        folder = put({"here/val.csv": f"{name} 3\n", "v/.keep": "", **dict.fromkeys(files, "")})
        monkeypatch.chdir(folder / "here")
        result = read(RECORD, folder / "here" / "val.csv", folder / root)
        return " ".join(missing_files(result.samples, folder / root))

    return said


@pytest.mark.parametrize(
    ("name", "there", "reason"),
    [
        ("v/a1.mp4", "v/a1.mp4", "v stands both at the end of the root and in the paths; give --root {folder}:"),
        ("v/x/a1.mp4", "v/x/a1.mp4", "v stands both at the end of the root and in the paths; give --root {folder}:"),
        ("/data/k400/v/x/a1.mp4", "v/x/a1.mp4", "the paths begin with data/k400/v, of another machine or folder"),
        ("val/x/a1.mp4", "v/x/a1.mp4", "the paths begin with val, of another machine or folder"),
        ("w/a1.mp4", "w/a1.mp4", "the paths start from {folder}; give it as --root"),
        ("sub/a1.mp4", "here/sub/a1.mp4", "the paths start from the current folder, not from {folder}/v; give --root"),
        ("abseiling/a1.mp4", "v/a1.mp4", "the files lie in {folder}/v itself, not in the folders that the list names"),
        ("a1.mp4", "v/abseiling/a1.mp4", "the files lie in folders below {folder}/v"),
        ("x\\a1.mp4", "v/x/a1.mp4", "the list has backslashes, as Windows writes paths"),
        ("D:\\k400\\x\\a1.mp4", "v/x/a1.mp4", "the list has backslashes, as Windows writes paths; the paths begin"),
        ("x/a1.mp4 70", "v/x/a1.mp4", "the list has a number between path and label, as lists of frame folders do"),
        ("x/a1.mp4,70", "v/x/a1.mp4", "the list has a number between path and label"),
        ("x/a1.mp4 0.0 10.0", "v/x/a1.mp4", "the list has a number between path and label"),
        ("17,x/a1.mp4", "v/x/a1.mp4", "the list has a number before the path, as tables with an index do"),
        ("x/a1.mp4,abseiling", "v/x/a1.mp4", "the list has another column between path and label"),
        ("'x/a1.mp4'", "v/x/a1.mp4", "the list has other quotation marks than double ones"),
        ("x/a%201.mp4", "v/x/a 1.mp4", "the list has escapes such as %20"),
        ("my class/a1.mp4", "v/my_class/a1.mp4", "the list has spaces where the files have underscores"),
        ("my_class/a1.mp4", "v/my class/a1.mp4", "the list has underscores where the files have spaces"),
        ("x/a1.mp4", "v/x/a1.webm", "the files have another suffix"),
        ("x/a1.avi", "v/x/a1.MP4", "the files have another suffix"),
        ("x/a1", "v/x/a1.mp4", "the files have another suffix"),
        ("a1 70", "v/a1.mp4", "the list has a number between path and label, as lists of frame folders do"),
        ("x/A1.mp4", "v/x/a1.MP4", "the names differ in capital letters"),
        (MARKED, f"v/{LETTER}", "the names differ in capital letters or accents"),
        ("a1.mp4", "v/part_0/a1.mkv", "the files lie in folders below {folder}/v; the files have another suffix"),
        ("x\\a1.mp4 70", "v/x/a1.mp4", "the list has backslashes, as Windows writes paths; the list has a number betw"),
        ("my_class/a_1.mp4", "v/my_class/a_1.webm", "the files have another suffix"),
        ("v/a1.mp4", "v/a1.mkv", "v stands both at the end of the root and in the paths; give --root"),
    ],
)  # fmt: skip
def test_the_reason_is_told_with_the_path_that_is_there(said, tmp_path, name, there, reason):
    note = said(name, [there])
    assert note.startswith("1 of 1 files that were looked for are not there, the first /")
    assert f"; likely, {reason.format(folder=tmp_path)}" in note
    assert note.endswith(f": {tmp_path / there} is there")


def test_a_path_that_is_a_folder_of_frames_is_told_as_one(said, tmp_path):
    note = said("a1", ["v/a1/000001.jpg"])
    assert note.endswith(f"likely, these are folders, and files were expected: {tmp_path / 'v' / 'a1'} is there")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a1 70", "a number between path and label"), ("x\\a1.mp4", "backslashes"), ("3,a1.mp4", "before the path")],
)
def test_what_only_looks_wrong_is_told_without_proof(said, tmp_path, name, reason):
    note = said(name, [])
    assert f"{tmp_path / 'v' / name}; likely, the list has" in note
    assert reason in note
    assert "is there" not in note


@pytest.mark.parametrize("name", ["my_class/a_1.mp4", "a 1.mp4", "a%201.mp4", "one, two.mp4", "~/a.mp4"])
def test_what_is_usual_in_names_is_no_reason_without_proof(said, name):
    assert "likely" not in said(name, [])


def test_without_a_reason_the_full_path_is_told_where_all_are_missing(said, tmp_path):
    note = said("a1.mp4", ["v/other.mp4"])
    assert note == f"1 of 1 files that were looked for are not there, the first {tmp_path / 'v' / 'a1.mp4'}"


def of(folder, *names):
    return [Sample(name, VideoFile(folder / name), (0,)) for name in names]


def test_links_that_lead_nowhere_and_pipes_are_told_as_such(put):
    folder = put(["a.mp4"])
    (folder / "b.mp4").symlink_to("removed.mp4")
    [note] = missing_files(of(folder, "b.mp4"), folder)
    assert note.endswith(f"the first {folder / 'b.mp4'}; likely, these are links that lead nowhere")
    os.mkfifo(folder / "c.mp4")
    [note] = missing_files(of(folder, "c.mp4"), folder)
    assert note.endswith(f"; likely, these are pipes or devices, and files were expected: {folder / 'c.mp4'} is there")


def test_where_some_are_missing_only_a_reason_is_worth_a_note(put):
    folder = put([f"{number}.mp4" for number in range(9)])
    present = [f"{number}.mp4" for number in range(9)]
    assert missing_files(of(folder, *present), folder) == ()
    assert missing_files(of(folder, *present, "gone.mp4"), folder) == ()
    put(["late.webm"])
    [note] = missing_files(of(folder, *present, "late.mp4"), folder)
    assert note.startswith("1 of 10 files that were looked for are not there")
    assert f"the files have another suffix: {folder / 'late.webm'} is there" in note


def test_a_reason_must_hold_for_half_of_what_is_missing(put):
    folder = put(["a.webm"])
    [note] = missing_files(of(folder, "a.mp4", "b.mp4", "c.mp4"), folder)
    assert "likely" not in note


def test_frames_of_a_list_are_looked_for_too(put):
    folder = put(["frames/7/000001.png"])
    [note] = missing_files([Sample("7", FrameList(folder / "frames", "7/000001.jpg\n7/000002.jpg"), (0,))], folder)
    assert str(folder / "frames" / "7" / "000001.jpg") in note
    assert "another suffix" in note


def test_a_long_list_costs_a_hundred_questions_and_each_folder_one_listing(put, monkeypatch):
    folder = put([f"{number}.webm" for number in range(50)])
    samples = of(folder, *(f"{number}.mp4" for number in range(5000)))
    asked, listed, scandir, isfile = [], [], os.scandir, os.path.isfile
    monkeypatch.setattr(os, "scandir", lambda place: (listed.append(str(place)), scandir(place))[1])
    monkeypatch.setattr(os.path, "isfile", lambda path: (asked.append(path), isfile(path))[1])
    missing_files(samples, folder)
    assert len(asked) < 100 + 20 * 200
    assert len(listed) == len(set(listed))


def test_a_film_whose_many_key_frames_are_asked_for_is_one_file(put):
    folder = put(["here.mp4"])
    keys = [Sample(f"{name},{second:04}", KeyFrame(VideoFile(folder / f"{name}.mp4"), second, ((0, 0, 1, 1),)), ())
            for name in ("gone", "here") for second in range(3)]  # fmt: skip
    [note] = missing_files(keys[:3], folder)
    assert note == f"1 of 1 files that were looked for are not there, the first {folder / 'gone.mp4'}"
    assert missing_files(keys, folder) == ()
