"""The default run of the fuzz test: five hundred damaged files; `reading.py` reads as many as one wants."""

from __future__ import annotations

import pytest

from tests.fuzz import misbehaving
from tests.fuzz.damage import damaged
from tests.fuzz.reading import MEASURED, READ, Report, Watched, fuzz, note, summary
from tests.fuzz.seeds import WRAPPINGS, whole_files
from videohub.convert import read
from videohub.errors import UnsafeFileError

COUNT = 500
CONTAINERS = ("caffe2", "torch", "torch_legacy", "safetensors", "converted", "npz", "hostile")


def test_damaged_files_give_tensors_or_an_error_of_ours_and_run_nothing():
    report = fuzz(range(COUNT))
    assert report.failures == [], summary(report)
    assert report.outcomes.total() == COUNT
    assert set(report.wrappings) == {(container, wrapping) for container in CONTAINERS for wrapping in WRAPPINGS}
    for container in set(CONTAINERS) - {"hostile"}:
        assert report.outcomes[container, "read"] > 0, summary(report)
        assert report.outcomes[container, "FormatError"] > 20, summary(report)


def test_the_files_are_whole_before_they_are_damaged(tmp_path):
    path = tmp_path / "model"
    refused = []
    for container, several in whole_files(str(tmp_path / "canary")).items():
        for data in several:
            path.write_bytes(data)
            try:
                assert read(path).tensors
            except UnsafeFileError:
                refused.append(container)
    assert refused == ["torch", "torch_legacy", "npz", *["hostile"] * 6]  # those that hold a command


def test_a_number_makes_the_same_file_every_time():
    files, again = whole_files("canary"), whole_files("canary")
    assert [damaged(number, files) for number in range(100)] == [damaged(number, again) for number in range(100)]


@pytest.mark.skipif(not MEASURED, reason="memory is measured through /proc")
def test_a_reader_that_misbehaves_is_seen(tmp_path):
    reader = Watched(tmp_path / "reader", [], "tests.fuzz.misbehaving:read")
    files = whole_files("canary")
    for way, expected in misbehaving.EXPECTED.items():
        report = Report()
        note(report, damaged(0, files), reader.ask(way.__name__.encode(), 0.5), 0.5)
        assert expected in "\n".join(report.failures), way.__name__
    reader.stop()


def test_a_reader_that_behaves_is_not_blamed(tmp_path):
    reader = Watched(tmp_path / "reader", whole_files("canary")["caffe2"], READ)
    answer = reader.ask(b"hello, this is no model\n", 5)
    reader.stop()
    assert answer["wrong"] == []
    assert answer["outcome"] == "FormatError"
