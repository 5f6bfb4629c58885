"""Known answers of a record: read strictly, located beside their registry, and written as they were read."""

from __future__ import annotations

import pytest

from videohub import registry
from videohub.errors import RegistryError
from videohub.registry import writer

KNOWN = """\
    known_answers:
      - layouts: [pyslowfast]
        input: {kind: array, url: "clips/one.npy", sha256: null, frames: 8}
        pixels: [{step: divide, by: 255}, {step: crop, size: 224, arithmetic: videomae}]
        values: {first: [0.25, -1]}
        tolerance: 0.0001
        source: our report
"""


@pytest.fixture
def read(company):
    def read(old="", new=""):
        text = company.read_text(encoding="utf-8")
        before, after = text.split("    config: null\n")
        assert old in KNOWN
        known = KNOWN.replace(old, new, 1) if old else KNOWN
        company.write_text(f"{before}{known}    config: null\n{after}", encoding="utf-8")
        return registry.load(company).records["company_slow"]

    return read


def test_a_file_beside_the_registry_is_found(read, company):
    (answer,) = read().known_answers
    assert (answer.input.kind, answer.input.step, answer.values.first) == ("array", 1, (0.25, -1.0))
    assert answer.input.url == (company.parent.resolve() / "clips" / "one.npy").as_uri()
    assert not answer.is_fingerprint


def test_what_was_read_is_written_again(read, company):
    record = read()
    written = writer.text([record])
    assert 'url: "one.npy"' in written  # a file of this machine is one beside the registry
    company.write_text(written.replace('"one.npy"', '"clips/one.npy"'), encoding="utf-8")
    assert registry.load(company).records["company_slow"].known_answers == record.known_answers


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kind: array", "kind: sound", 'input.kind is "sound", expected one of array, video, synthetic'),
        ("kind: array, ", "", "known_answers[0].input.kind is missing"),
        ("frames: 8", "frames: 0", "known_answers[0].input.frames is 0, expected a whole number >= 1"),
        ("frames: 8", "frame: 8", "known_answers[0].input.frame is not a field of the schema"),
        ("sha256: null, ", "", "known_answers[0].input.sha256 is missing"),
        ("clips/one.npy", "http://[", "input.url is \"http://[\", which is no address"),
        ("layouts: [pyslowfast]", "layouts: []", "known_answers[0].layouts has 0 items, expected at least 1"),
        ("[pyslowfast]", "[caffe2]", "known_answers[0].layouts[0] is caffe2, and no checkpoint is spelt so"),
        ("step: divide", "step: halve", 'known_answers[0].pixels[0].step is "halve"'),
        ("arithmetic: videomae}]", "arithmetic: videomae}, {step: mirror}]", "known_answers[0].pixels[2] is mirror"),
        ("{first: [0.25, -1]}", "{}", "known_answers[0].values states nothing"),
        ("{first: [0.25, -1]}", "{top1: 3}", "known_answers[0].values has one of top1 and probability"),
        ("{first: [0.25, -1]}", "{top1: 12, probability: 1}", "values.top1 is 12, and the network's outputs are 0 to"),
        ("{first: [0.25, -1]}", "{top1: 3, probability: 2}", "values.probability is 2, expected a number <= 1"),
        ("[0.25, -1]", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]", "values.first has 13 values, and the network 12"),
        ("tolerance: 0.0001", "tolerance: 0", "known_answers[0].tolerance is 0, expected a number > 0"),
        ("        source: our report\n", "", "known_answers[0].source is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_refused(read, old, new, expected):
    with pytest.raises(RegistryError) as caught:
        read(old, new)
    assert expected in str(caught.value)


def test_no_known_answer_of_the_zoo_is_of_the_small_videomae():
    """Its values come from a network of 16 heads, and its file is of one with 6: a note says so."""
    records = registry.load(registry.files()[0]).records
    with_answers = {name for name, record in records.items() if record.known_answers and record.family != "slowfast"}
    small = {"videomae_vit_s_16x4", "videomae_vit_s_16_ssv2"}
    assert not with_answers & small
    assert all(any("16 heads" in note for note in records[name].notes) for name in small)
    assert len(with_answers) >= 10
