"""A report on the disk is whole, the same every time, and read back strictly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from videohub.errors import DataError, UsageError
from videohub.reporting import cards
from videohub.reporting.pages import write
from videohub.reporting.report import read


def test_a_report_comes_back_as_it_was(tmp_path, kinetics, charades, ava):
    for report in (kinetics, charades, ava):
        written = write(report, tmp_path / report.record)
        assert [path.name for path in written] == ["report.json", "report.md", "report.html", "verification.json"]
        assert read(tmp_path / report.record) == read(written[0]) == report
        assert {path.name for path in (tmp_path / report.record).iterdir()} == {path.name for path in written}


def test_the_digest_that_is_cited_is_that_of_the_file(tmp_path, kinetics):
    path, markdown, html, _ = write(kinetics, tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert kinetics.digest() == digest
    assert digest in markdown.read_text(encoding="utf-8")
    assert digest in html.read_text(encoding="utf-8")


def test_writing_again_changes_nothing(tmp_path, kinetics):
    before = [path.read_bytes() for path in write(kinetics, tmp_path)]
    assert [path.read_bytes() for path in write(read(tmp_path), tmp_path)] == before


def test_no_report_is_told_as_such(tmp_path):
    with pytest.raises(UsageError, match=r"report\.json: cannot be read"):
        read(tmp_path)
    with pytest.raises(UsageError, match=r"nowhere\.json: cannot be read"):
        read(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.update(schema_version=7), "is a report of version 7, and this videohub reads version 1"),
        (lambda fields: fields.pop("schema_version"), "missing required field `schema_version`"),
        (lambda fields: fields.pop("verdict"), "missing required field `verdict`"),
        (lambda fields: fields.update(surprise=1), "unknown field `surprise`"),
        (lambda fields: fields["counts"].update(scored="many"), r"Expected `int`, got `str` - at `\$.counts.scored`"),
        (lambda fields: fields.update(verdict="splendid"), "Invalid enum value 'splendid'"),
    ],
)
def test_what_is_no_report_is_refused_with_the_field(tmp_path, charades, change, message):
    (path, *_) = write(charades, tmp_path)
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises((DataError, UsageError), match=f"(?s){message}.*videohub report"):
        read(path)


def test_a_file_in_the_folder_s_place_is_told_as_such(tmp_path, charades):
    (tmp_path / "file").write_text("mine")
    for write_to in (write, cards.write):
        with pytest.raises(UsageError, match="found a file, expected a folder"):
            write_to(charades, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no devices here")
def test_a_device_in_a_report_s_place_is_not_read(tmp_path):
    (tmp_path / "report.json").symlink_to("/dev/null")
    with pytest.raises(UsageError, match="a pipe or a device, expected a file"):
        read(tmp_path)


def test_half_a_report_is_refused(tmp_path, charades):
    (path, *_) = write(charades, tmp_path)
    whole = path.read_bytes()
    for content in (whole[:500], b'{"surprise":' * 100_000):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is not a report, or a damaged one"):
            read(path)
