"""What a check has seen it need not see again, unless the file, the question or the decoder has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.preflight.conftest import check
from videohub import preflight
from videohub.errors import UsageError
from videohub.preflight import probe


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index.json"


def test_a_second_check_opens_nothing_and_says_the_same(copy, index, monkeypatch):
    paths = {copy("one.mp4"): 0, copy("two.mp4"): 1}
    first = check(paths, index=index)
    assert (first.looked_at, first.remembered, first.index) == (2, 0, str(index))
    monkeypatch.setattr(probe._ProbeWork, "handler", "no.such:worker")  # a process that is started fails
    second = check(paths, index=index)
    assert (second.looked_at, second.remembered) == (0, 2)
    assert second.findings == first.findings
    assert (second.short_sides, second.frame_rates) == (first.short_sides, first.frame_rates)


def test_a_file_that_changed_is_opened_again(copy, index):
    one, two = copy("one.mp4"), copy("two.mp4")
    check({one: 0, two: 1}, index=index)
    two.write_bytes(b"no longer a video")
    answer = check({one: 0, two: 1}, index=index)
    assert (answer.looked_at, answer.remembered, answer.unreadable) == (1, 1, 1)


def test_a_deep_look_serves_both_questions_and_a_short_one_only_the_short(copy, index):
    paths = {copy("one.mp4"): 0}
    assert [check(paths, index=index, deep=deep).looked_at for deep in (False, True, True, False)] == [1, 1, 0, 0]


def test_what_a_broken_file_lacks_is_remembered_and_what_passes_is_not(tmp_path, index):
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    paths = {tmp_path / "empty.mp4": 0, tmp_path / "pipe.mp4": 0}
    assert [check(paths, index=index).looked_at for _ in range(2)] == [2, 1]


def test_an_index_moves_with_its_folder(copy, index, tmp_path):
    check({copy("videos/one.mp4"): 0}, index=index)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    answer = check({moved / "videos" / "one.mp4": 0}, index=moved / "index.json")
    assert (answer.looked_at, answer.remembered) == (0, 1)


DEEP = b'{"x":' * 100_000


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"format": "of old", "entries": {"one.mp4": [1, 2]}}', b"\xff", pytest.param(DEEP, id="deep")],
)
def test_an_index_that_says_nothing_is_written_anew(copy, index, content):
    index.write_bytes(content)
    paths = {copy("one.mp4"): 0}
    assert [check(paths, index=index).looked_at for _ in range(2)] == [1, 0]


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no devices here")
def test_a_device_in_the_place_of_an_index_is_not_read_and_told(copy, index):
    index.symlink_to("/dev/null")
    (note,) = check({copy("one.mp4"): 0}, index=index).notes
    assert "a pipe or a device, expected a file" in note


def test_a_folder_that_may_not_be_written_to_is_a_note(copy, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("videohub.preflight.index.atomic_write", refuse)  # a real one would not stop root
    answer = check({copy("one.mp4"): 0}, index=tmp_path / "index.json")
    assert answer.index is None
    assert answer.notes == [f"{tmp_path / 'index.json'} cannot be written: Permission denied"]


def test_a_folder_in_the_place_of_the_index_is_misuse(copy, tmp_path):
    with pytest.raises(UsageError, match="this is a folder"):
        check({copy("one.mp4"): 0}, index=tmp_path)


def test_an_interrupted_check_goes_on_where_it_was(copy, index):
    paths = {copy("one.mp4"): 0, copy("two.mp4"): 0, copy("three.mp4"): 0}

    def interrupt(what, done, of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(paths, index=index, progress=interrupt)
    assert check(paths, index=index).looked_at == 1


def test_the_index_lies_beside_a_list_or_in_a_folder(tmp_path):
    (tmp_path / "val.csv").touch()
    assert preflight.index_beside(tmp_path / "val.csv") == tmp_path / ".val.csv.videohub-index.json"
    assert preflight.index_beside(tmp_path) == tmp_path / ".videohub-index.json"
