"""Label maps: what such a file holds, what is refused, and what a record becomes by one."""

from __future__ import annotations

import json

import pytest

from tests.own_registry import like
from videohub import registry
from videohub.errors import RegistryError, UsageError
from videohub.registry import label_map
from videohub.registry.schema import Mapped, Published

V2 = "videomaev2_vit_s_16x4_k710"


def test_a_label_map_is_a_list_of_outputs(tmp_path):
    file = tmp_path / "map.json"
    file.write_text("[3, 0, 17]\n")
    assert label_map.read(file) == (3, 0, 17)


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
        label_map.read(file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.json: cannot be read \(No such file or directory\)"):
        label_map.read(tmp_path / "nowhere.json")


def test_a_label_map_for_another_head_or_another_task_is_refused():
    record = registry.record(V2)
    label_map.check((0, 709), record)
    with pytest.raises(UsageError, match="names output 710, and the network has 710, from 0"):
        label_map.check((0, 710), record)
    with pytest.raises(UsageError, match="this one detects"):
        label_map.check((0, 1), registry.record("slowfast_r101_8x8_ava22"))


@pytest.mark.parametrize(("classes", "dataset", "top1"), [(400, "kinetics400", 83.7), (600, "kinetics600", 83.1)])
def test_a_record_is_compared_with_what_was_published_of_as_many_outputs(classes, dataset, top1):
    record = registry.record(V2)
    assert record.number.top1 == 77.6
    mapped = label_map.mapped(record, classes)
    assert (mapped.num_classes, mapped.labels) == (classes, None)
    assert (mapped.dataset.name, mapped.protocol.dataset, mapped.number.top1) == (dataset, dataset, top1)
    assert label_map.mapped(record, 400, "kinetics400").labels == "kinetics400"
    with pytest.raises(UsageError, match=rf"found kinetics400 .*{V2} has 600 outputs"):
        label_map.mapped(record, 600, "kinetics400")


def test_where_nothing_was_published_of_as_many_nothing_is_compared():
    record = registry.record(V2)
    assert label_map.mapped(record, 700).number is None
    assert label_map.mapped(record, 700).dataset == record.dataset
    with pytest.raises(UsageError, match=r"700 classes, .*but of 400 \(kinetics400\), 600 \(kinetics600\)"):
        label_map.refuse_unpublished(record, 700)
    label_map.refuse_unpublished(record, 600)


def test_a_registry_file_is_told_of_a_data_set_that_nobody_knows_and_of_too_many_classes(tmp_path):
    from videohub.registry import writer

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
    said = " ".join(run("show", V2)[1].split())
    assert "top-1 83.7 on kinetics400, of 400 of the outputs (--label-map)" in said
    assert json.loads(run("show", V2, "--json")[1])["published"][1]["mapped"] == {
        "dataset": "kinetics400",
        "classes": 400,
    }
