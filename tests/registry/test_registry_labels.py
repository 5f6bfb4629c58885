"""What a record's outputs are called: names of one's own, beside the registry or in it, and as many as outputs."""

from __future__ import annotations

import json

import msgspec
import pytest

from videohub import registry
from videohub.data.labels import class_names
from videohub.errors import RegistryError, UsageError
from videohub.registry import labels, writer

STATED = "labels: [walk, run, sit, stand, lift, carry, push, pull, turn, halt, wave, rest]"
TWELVE = ("walk", "run", "sit", "stand", "lift", "carry", "push", "pull", "turn", "halt", "wave", "rest")


def restated(company, text):
    company.write_text(company.read_text().replace(STATED, text))
    return company


def test_a_record_names_its_outputs_itself(company):
    assert registry.load(company).records["company_slow"].labels == TWELVE


@pytest.mark.parametrize(("name", "content"), [
    ("our names.txt", "\n".join(TWELVE)),
    ("names.json", json.dumps(TWELVE)),
    ("names.json", json.dumps({name: number for number, name in enumerate(TWELVE)})),
    ("names.yaml", "\n".join(f"- {name}" for name in TWELVE)),
])  # fmt: skip
def test_a_file_beside_the_registry_names_them(company, name, content, monkeypatch, tmp_path_factory):
    (company.parent / name).write_text(content)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert registry.load(restated(company, f'labels: "{name}"')).records["company_slow"].labels == TWELVE


def test_null_says_that_nobody_has_named_them(company):
    assert registry.load(restated(company, "labels: null")).records["company_slow"].labels is None


@pytest.mark.parametrize(("text", "message"), [
    ("labels: company", "labels cannot be used: labels: 'company' is neither a label set nor a file .*known sets: ava"),
    ("labels: motions", r"labels is motions \(10 names\), and the network has 12 outputs"),
    ("labels: kinetics400", r"labels is kinetics400 \(400 names\), and the network has 12 outputs"),
    ("labels: [walk, run]", r"labels is 2 names \(walk, run\), and the network has 12 outputs"),
    ("labels: []", r"labels.* expected a list of the classes' names"),
    ("labels: 12", "labels is 12, expected .*text"),
    ("labels: [1, 2]", r"labels\[0\] is 1, expected text"),
    ('labels: [""]', r"labels\[0\] .*length >= 1"),
    ('labels: [" "]', "labels cannot be used: labels: class 0 is called ' '"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_found_when_the_registry_is_read(company, text, message):
    with pytest.raises(RegistryError, match=rf"(?s)company_slow: {message}"):
        registry.load(restated(company, text))


def test_a_list_of_names_is_written_and_read_back(company, tmp_path):
    records = registry.load(company).records
    (tmp_path / "again.yaml").write_text(writer.text(records.values()))
    assert registry.load(tmp_path / "again.yaml").records["company_slow"].labels == TWELVE


def test_the_sizes_of_known_sets_are_those_of_their_names():
    sizes = {"ava": 80, "ava_background": 81, "charades": 157, "imagenet1k": 1000, "kinetics400": 400,
             "kinetics400_uniformer": 400, "kinetics600": 600, "motions": 10, "ssv2": 174}  # fmt: skip
    assert {name: labels.count(name) for name in labels.known()} == sizes
    assert {name: len(class_names(name)) for name in labels.known()} == sizes


def test_other_classes_have_no_names_unless_theirs_are_known(zoo):
    record = zoo["slow_r50_8x8"]
    assert labels.with_classes(record, 400) is record
    assert labels.with_classes(record, 6).labels is None
    assert labels.with_classes(record, 6, ("a", "b")).labels is None
    assert labels.with_classes(record, 2, ("a", "b")).labels == ("a", "b")
    assert labels.with_classes(record, 600, "kinetics600").labels == "kinetics600"
    with pytest.raises(UsageError, match=r"kinetics600 \(600 names\), and slow_r50_8x8 has 400 outputs"):
        labels.with_labels(record, "kinetics600")
    assert msgspec.structs.replace(labels.with_classes(record, 6), model=record.model, labels=record.labels) == record


def test_what_is_known_of_the_published_outputs_is_not_said_of_other_classes():
    record = registry.record("slowfast_motions")
    assert record.known_answers
    assert labels.with_classes(record, 10, tuple("abcdefghij")).known_answers == record.known_answers
    assert labels.with_classes(record, 6).known_answers == ()
