"""What was measured of published files: the files of results/, their schemas, and what is refused in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from tests.reporting import kept
from tools import results
from tools.site import measurements
from videohub import registry, verification
from videohub.registry import strict_yaml
from videohub.reporting import pages

KNOWN = registry.load(registry.files()[0])

MOTIONS = "slowfast_motions"


@pytest.fixture
def document(tmp_path) -> Path:
    """The verification.json of a run of the demo's record: 30 of 40 videos right."""
    protocol = registry.record(MOTIONS).protocol
    orders = [tuple(range(10)) if number < 30 else (1, 0, *range(2, 10)) for number in range(40)]
    samples = [(f"v{number}", [0], kept.views(*[order] * protocol.num_views)) for number, order in enumerate(orders)]
    kept.kept(tmp_path / "run", registry.record(MOTIONS), samples)
    pages.write(verification.report([tmp_path / "run"]), tmp_path / "run")
    return tmp_path / "run" / "verification.json"


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def errors(folder: Path, entry: results.Measured, **changed) -> list[str]:
    return list(results.errors(KNOWN, [msgspec.structs.replace(entry, **changed)], folder))


def test_nothing_is_wrong_with_what_is_kept():
    assert list(results.errors(KNOWN, (*results.reported(), *results.measured()))) == []


@pytest.mark.parametrize("name", results.FILES)
def test_a_schema_is_that_of_the_structs_and_fits_its_file(name):
    """`python tools/results.py` writes it anew."""
    text = results.schema_file(name).read_text(encoding="utf-8")
    assert text == results.schema_text(name)
    jsonschema.validate(strict_yaml.read(results.FOLDER / f"{name}.yaml").value, json.loads(text))


def test_an_entry_says_what_its_certificate_does(document, folder):
    entry = results.kept(document, commit="1234abc", by=None, folder=folder)
    assert (entry.record, entry.dataset, entry.samples) == (MOTIONS, "motions", 40)
    assert entry.numbers["top-1"].value == 75.0  # 30 of 40
    assert entry.numbers["top-1"].low < 75 < entry.numbers["top-1"].high
    assert (folder / entry.certificate.file).read_bytes() == document.read_bytes()
    assert entry.certificate.sha256 == hashlib.sha256(document.read_bytes()).hexdigest()
    assert errors(folder, entry) == []


def test_a_printed_entry_is_read_back(document, folder, tmp_path):
    entry = results.kept(document, commit="1234abc", by="somebody", folder=folder)
    file = tmp_path / "measured.yaml"
    file.write_text(f"measurements:\n- {msgspec.json.encode(entry).decode()}\n", encoding="utf-8")
    assert msgspec.convert(strict_yaml.read(file).value, type=results.MeasuredFile).measurements == (entry,)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"record": "SLOWFAST_MOTIONS"}, "no record has this id"),
        ({"record": "slowfast_r50_8x8"}, "record is slowfast_r50_8x8, and certificates/"),
        ({"samples": 41}, "samples is 41"),
        ({"verdict": "inconsistent"}, "verdict is inconsistent"),
        ({"numbers": {"mAP": results.Interval(value=75.0, low=70.0, high=80.0)}}, "no number of the metric topk"),
        ({"certificate": results.Certificate(file="../run/verification.json", sha256="0" * 64)}, "not below results/"),
    ],
)
def test_an_entry_that_does_not_hold_is_told(document, folder, changed, told):
    entry = results.kept(document, commit="1234abc", by=None, folder=folder)
    assert told in errors(folder, entry, **changed)[0]


def test_a_changed_certificate_is_told(document, folder):
    entry = results.kept(document, commit="1234abc", by=None, folder=folder)
    file = folder / entry.certificate.file
    file.write_bytes(file.read_bytes().replace(b"slowfast_motions", b"slowfast_r50_8x8"))
    assert any("certificate is" in message for message in errors(folder, entry))
    file.write_text("{}", encoding="utf-8")
    (message,) = errors(folder, entry)
    assert "no verification.json" in message


def test_an_unknown_field_is_refused():
    with pytest.raises(msgspec.ValidationError, match="unknown field `top1`"):
        msgspec.convert({"record": MOTIONS, "top1": 76.9}, type=results.Measured)


def test_the_page_says_that_none_of_ours_is_there_and_shows_those_of_others():
    ((path, text),) = measurements.pages(KNOWN)
    assert path == "measured.md"
    assert ("Nothing yet" in text) == (not results.measured())
    assert all(f"records/{each.record}.md" in text for each in results.reported())
    assert all(each.source.link in text for each in results.reported())
