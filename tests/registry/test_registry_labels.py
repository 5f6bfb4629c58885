"""What a record's outputs are called: names of one's own, beside the registry or in it; and which a label map takes."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.own_registry import like
from videohub import registry
from videohub.data.labels import class_names
from videohub.errors import RegistryError, UsageError
from videohub.registry import labels, writer
from videohub.registry.published import Mapped, Published

STATED = "labels: [walk, run, sit, stand, lift, carry, push, pull, turn, halt, wave, rest]"
TWELVE = ("walk", "run", "sit", "stand", "lift", "carry", "push", "pull", "turn", "halt", "wave", "rest")
V2 = "videomaev2_vit_s_16x4_k710"


def restated(company, text):
    company.write_text(company.read_text().replace(STATED, text))
    return company


def test_a_record_names_its_outputs_itself(company):
    assert registry.load(company).records["company_slow"].labels == TWELVE


@pytest.mark.parametrize(("name", "content"), [
    ("our names.txt", "\n".join(TWELVE)),
    ("names.json", json.dumps(TWELVE)),
    ("names.json", json.dumps({name: number for number, name in enumerate(TWELVE)})),
    ("names.json", json.dumps({f'"{name}"' if number % 2 else name: number for number, name in enumerate(TWELVE)})),
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


# --- label maps -----------------------------------------------------------------------------------------------------


def test_a_label_map_is_a_list_of_outputs(tmp_path):
    file = tmp_path / "map.json"
    file.write_text("[3, 0, 17]\n")
    assert labels.read_map(file) == (3, 0, 17)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("[1, 2", "cannot be read"),
        ("[]", "found an empty list"),
        ('{"0": 3}', "found dict"),
        ("[1, 2.0]", "class 1 has 2.0"),
        ("[true]", "class 0 has True"),
        ('[0, "abseiling"]', "class 1 has 'abseiling'"),
        ("[4, -1]", "class 1 has -1"),
        ("[5, 7, 5]", "classes 0 and 2 have the same output, 5"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_what_is_no_list_of_outputs_is_refused(tmp_path, content, said):
    file = tmp_path / "map.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=f"label map {file}: .*{said}"):
        labels.read_map(file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.json: cannot be read \(No such file or directory\)"):
        labels.read_map(tmp_path / "nowhere.json")


def test_a_label_map_for_another_head_or_another_task_is_refused():
    record = registry.record(V2)
    labels.check_map((0, 709), record)
    with pytest.raises(UsageError, match="names output 710, and the network has 710, from 0"):
        labels.check_map((0, 710), record)
    with pytest.raises(UsageError, match="this one detects"):
        labels.check_map((0, 1), registry.record("slowfast_r101_8x8_ava22"))


@pytest.mark.parametrize(("classes", "dataset", "top1"), [(400, "kinetics400", 83.7), (600, "kinetics600", 83.1)])
def test_a_record_is_compared_with_what_was_published_of_as_many_outputs(classes, dataset, top1):
    record = registry.record(V2)
    assert record.number.top1 == 77.6
    mapped = labels.mapped(record, classes)
    assert (mapped.num_classes, mapped.labels) == (classes, None)
    assert (mapped.dataset.name, mapped.protocol.dataset, mapped.number.top1) == (dataset, dataset, top1)
    assert labels.mapped(record, 400, "kinetics400").labels == "kinetics400"
    with pytest.raises(UsageError, match=rf"found kinetics400 .*{V2} has 600 outputs"):
        labels.mapped(record, 600, "kinetics400")


def test_where_nothing_was_published_of_as_many_nothing_is_compared():
    record = registry.record(V2)
    assert labels.mapped(record, 700).number is None
    assert labels.mapped(record, 700).dataset == record.dataset
    with pytest.raises(UsageError, match=r"700 classes, .*but of 400 \(kinetics400\), 600 \(kinetics600\)"):
        labels.refuse_unpublished(record, 700)
    labels.refuse_unpublished(record, 600)


def test_a_registry_file_is_told_of_a_data_set_that_nobody_knows_and_of_too_many_classes(tmp_path):
    mapped = Published(source="invented", top1=50.0, mapped=Mapped(dataset="nowhere", classes=500))
    record = like("slowfast_r50_8x8", name="ours", upstream_name="OURS", published=(mapped,))
    file = tmp_path / "ours.yaml"
    file.write_text(writer.text([record], known=[record.protocol.name]), encoding="utf-8")
    with pytest.raises(RegistryError) as error:
        registry.default([file])
    assert 'is "nowhere", which is no known data set' in str(error.value)
    file.write_text(file.read_text().replace("nowhere", "kinetics600"))
    with pytest.raises(RegistryError, match="is 500, and the network has 400 outputs"):
        registry.default([file])


def test_show_tells_numbers_of_some_of_the_outputs(run):
    text = " ".join(run("show", V2)[1].split())
    assert "top-1 83.7 on kinetics400, of 400 of the outputs (--label-map)" in text
    assert json.loads(run("show", V2, "--json")[1])["published"][1]["mapped"] == {
        "dataset": "kinetics400",
        "classes": 400,
    }
