"""What was measured of published files: the files of results/, their schemas, and what is refused in them."""

from __future__ import annotations

import hashlib
import json

import jsonschema
import msgspec
import pytest

from tools import results
from tools.site import measurements
from videohub import registry
from videohub.registry import strict_yaml

KNOWN = registry.load(registry.files()[0])

ENTRY = {
    "record": "slowfast_r50_8x8",
    "date": "2026-11-30",
    "device": "a GPU",
    "commit": "8cd8bac",
    "dataset": "kinetics400",
    "manifest_sha256": "0" * 64,
    "samples": 19761,
    "numbers": {"top-1": {"value": 76.9, "low": 76.3, "high": 77.5}},
    "verdict": "consistent",
    "versions": {"torch": "2.14.1"},
    "certificate": {"file": "certificates/a.json", "sha256": hashlib.sha256(b"{}").hexdigest()},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "a.json").write_bytes(b"{}")
    return tmp_path


def errors(folder, **changed) -> list[str]:
    entry = msgspec.convert({**ENTRY, **changed}, type=results.Measured)
    return list(results.errors(KNOWN, [entry], folder))


def test_nothing_is_wrong_with_what_is_kept():
    assert list(results.errors(KNOWN, (*results.reported(), *results.measured()))) == []


@pytest.mark.parametrize("name", results.FILES)
def test_a_schema_is_that_of_the_structs_and_fits_its_file(name):
    """`python tools/results.py` writes it anew."""
    text = results.schema_file(name).read_text(encoding="utf-8")
    assert text == results.schema_text(name)
    jsonschema.validate(strict_yaml.read(results.FOLDER / f"{name}.yaml").value, json.loads(text))


def test_a_whole_entry_is_taken(folder):
    assert errors(folder) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"record": "SLOWFAST_8x8_R50"}, "no record has this id"),
        ({"dataset": "k400"}, "no data set"),
        ({"numbers": {"mAP": ENTRY["numbers"]["top-1"]}}, "no number of the metric topk"),
        ({"numbers": {"top-1": {"value": 70, "low": 76.3, "high": 77.5}}}, "outside of its interval"),
        ({"certificate": {"file": "none.json", "sha256": "0" * 64}}, "not below results/"),
        ({"certificate": {"file": "certificates/a.json", "sha256": "0" * 64}}, "it was changed"),
    ],
)
def test_an_entry_that_does_not_hold_is_told(folder, changed, told):
    (message,) = errors(folder, **changed)
    assert told in message


def test_an_unknown_field_is_refused():
    with pytest.raises(msgspec.ValidationError, match="unknown field `top1`"):
        msgspec.convert({**ENTRY, "top1": 76.9}, type=results.Measured)


def test_the_page_says_that_none_of_ours_is_there_and_shows_those_of_others():
    ((path, text),) = measurements.pages(KNOWN)
    assert path == "measured.md"
    assert ("Nothing yet" in text) == (not results.measured())
    assert all(f"records/{each.record}.md" in text for each in results.reported())
    assert all(each.source.link in text for each in results.reported())
