"""Marks of records: a licence for non-commercial use alone and a network without proof, listed, shown and told once."""

from __future__ import annotations

import json

import msgspec
import pytest

import videohub
from tests.own_registry import like
from videohub import registry
from videohub.registry.lookup import marks
from videohub.registry.schema import Checkpoint

DEMO = "slowfast_motions"


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))


def marked(name: str, **changes):
    """The demo's record under another name, somebody else's, with a licence of the common wording."""
    checkpoint = msgspec.structs.replace(registry.record(DEMO).checkpoint, license="CC-BY-NC-4.0, stated there")
    return like(DEMO, name=name, checkpoint=checkpoint, publisher=None, **changes)


@pytest.mark.parametrize(
    ("license_", "is_non_commercial"),
    [
        ("CC-BY-NC-4.0 (LICENSE.models)", True),
        ("CC-BY-NC 4.0, stated for the code and the models", True),
        ("for non-commercial research", True),
        ("Noncommercial use", True),
        ("not stated for the file; the repository is Apache-2.0", False),
        ("MIT, of NCSA", False),
    ],
)
def test_a_licence_says_whether_it_is_for_non_commercial_use_alone(license_, is_non_commercial):
    checkpoint = Checkpoint(url=None, sha256=None, size=None, container=None, layout="caffe2", license=license_)
    assert checkpoint.non_commercial == is_non_commercial


def test_list_marks_records_and_says_what_marks_mean(run):
    rows = run("list", "hiera_b*")[1].splitlines()
    assert [row.split()[-2:] for row in rows[:3]] == [["marks", "status"], ["NC", "available"], ["NC", "available"]]
    assert rows[-1] == "NC: licensed for non-commercial use alone"
    rows = run("list", "slow_r50_16x4_byol_rho4")[1].splitlines()
    assert rows[1].split()[-2:] == ["?", "available"]
    assert rows[-1] == "?: unproven: its network was compared with no other implementation"
    assert "marks" not in run("list", "slowfast_r50_8x8")[1]


def test_show_and_json_have_the_marks(run):
    assert "NC: licensed for non-commercial use alone" in " ".join(run("show", "hiera_b_16x4")[1].split())
    assert json.loads(run("show", "hiera_b_16x4", "--json")[1])["marks"] == ["NC"]
    assert [each["marks"] for each in json.loads(run("list", "slow_r50_16x4_byol_rho4", "--json")[1])] == [["unproven"]]


def test_each_mark_is_told_in_one_line_when_a_network_is_first_loaded(caplog):
    record = marked("marked_motions")
    assert marks(record) == ("NC", "unproven")
    messages = [
        "marked_motions: licensed for non-commercial use alone: CC-BY-NC-4.0, stated there",
        "marked_motions: unproven: its network was compared with no other implementation",
    ]
    videohub.load(record)
    assert caplog.messages == messages
    videohub.load(record)
    assert caplog.messages == messages
    caplog.clear()
    videohub.load(DEMO)
    assert caplog.messages == []
