"""Records written to a file: read back the same, readable, and the same text whatever writes it."""

from __future__ import annotations

import msgspec
import pytest
import yaml

from tests import own_registry
from videohub import registry
from videohub.errors import RegistryError
from videohub.registry import writer
from videohub.registry.schema import DatasetInfo

ODD = [
    "no", "NULL", "~", "010", "1_6", "1:30", "2020-06-09", "=", "<<", "", " ", "#x", "a: b", "- a", "{a}", "'", '"',
    "\\", "\\u0041", "line\nline\r\n\ttab", "\0\x07\x1b\x7f\x85\x9f\xa0\u2028\u2029\ufeff\ufffe\uffff", "é漢🙂",
    "x" * 500,
]  # fmt: skip


@pytest.fixture
def ours():
    return own_registry.ours().records


@pytest.fixture
def again(tmp_path):
    """Write records and read them."""

    def again(*records, **known):
        (tmp_path / "again.yaml").write_text(writer.text(records, **known), encoding="utf-8")
        return list(registry.load(tmp_path / "again.yaml").records.values())

    return again


def test_every_record_of_ours_is_read_back_as_it_was(ours, again):
    elsewhere = [record for record in ours.values() if not writer.is_local(record.checkpoint.url or "https://")]
    assert len(elsewhere) > 20
    assert again(*elsewhere) == elsewhere


def test_a_file_on_this_machine_is_written_as_one_beside_the_registry(ours, again, tmp_path):
    demo = ours["slowfast_motions"]
    for name in ("SLOWFAST.pkl", "company net 100%25.pkl", "é漢.pkl", "#?.pkl"):
        far = msgspec.structs.replace(demo.checkpoint, url=(tmp_path / "far" / name).as_uri())
        (read,) = again(msgspec.structs.replace(demo, checkpoint=far))
        assert read.checkpoint.url == (tmp_path / name).as_uri()
        assert msgspec.structs.replace(read, checkpoint=demo.checkpoint) == demo


def test_a_user_s_file_comes_back_with_all_its_values(company, again):
    record = registry.load(company).find("company_slow")
    (read,) = again(record)
    assert read.checkpoint.url == (company.parent / "company slow.pth").as_uri()
    assert msgspec.structs.replace(read, checkpoint=record.checkpoint) == record


@pytest.mark.parametrize("text", ODD)
def test_no_text_is_taken_for_something_else(ours, again, text):
    demo = ours["slow_r50_8x8"]
    changed = msgspec.structs.replace(
        demo,
        notes=[text, text],
        training=text,
        published=(msgspec.structs.replace(demo.number, source=text, as_printed={text: 1.5}),),
        protocol=msgspec.structs.replace(demo.protocol, name=text, dataset=text or "-"),
        dataset=DatasetInfo(name=text or "-", title=text or "-", short=text or "-", aliases=(text,) if text else ()),
    )
    assert again(changed) == [changed]
    (raw,) = yaml.safe_load(writer.text([changed]))["records"].values()  # another reader of YAML
    assert (raw["notes"], raw["training"], raw["protocol"]) == ([text, text], text, text)


@pytest.mark.parametrize("number", [0.0, -0.0, 1e-05, 1e-300, 1e16, 0.1, 123456789.123456789, 1e300, -2.5e-8])
def test_no_number_is_changed(ours, again, number):
    demo = ours["slow_r50_8x8"]
    normal = msgspec.structs.replace(demo.protocol.normalise, mean=(number, 0.5, 0.5))
    changed = msgspec.structs.replace(
        demo, protocol=msgspec.structs.replace(demo.protocol, pixels=(normal, *demo.protocol.pixels[2:]))
    )
    (read,) = again(changed)
    assert str(read.protocol.normalise.mean[0]) == str(number)


@pytest.mark.parametrize("name", ["no", "On", "y", "null", "é", "x1", "TRUE"])
def test_a_record_may_have_a_name_that_yaml_would_guess_at(ours, again, name):
    record = msgspec.structs.replace(ours["slow_r50_8x8"], name=name)
    assert again(record) == [record]


def test_the_text_is_for_people(ours):
    text = writer.text([ours["slowfast_motions"]])
    assert text.startswith('schema_version: 1\n\nprotocols:\n\n  motions_9view:\n    dataset: "motions"\n')
    assert "    clip: {frames: 16, sampling_rate: 2}\n" in text
    assert '      url: "SLOWFAST_MOTIONS.pkl"\n' in text
    whole = (' - "', ' source: "')  # notes and sources, which no line break may part
    assert max(len(line) for line in text.splitlines() if not any(start in line for start in whole)) <= 120


def test_no_records_are_a_registry_too(again):
    assert again() == []


def test_protocols_that_another_file_states_are_only_named(ours, tmp_path):
    record = msgspec.structs.replace(ours["slow_r50_8x8"], name="mine")
    text = writer.text([record], known={"kinetics_30view"})
    assert "protocols: {}" in text
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert registry.default([tmp_path / "mine.yaml"]).records["mine"] == record


def test_one_name_for_two_protocols_is_refused(ours):
    one, other = ours["slow_r50_8x8"], ours["slow_r50_4x16"]
    changed = msgspec.structs.replace(other, protocol=other.protocol.with_views(clips=3))
    with pytest.raises(RegistryError, match="slow_r50_4x16: its protocol kinetics_30view is another"):
        writer.text([one, changed])
