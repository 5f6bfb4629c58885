"""A bundle is installed whole or not at all, and only if it agrees with what is known there."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import msgspec
import pytest
from safetensors.torch import load_file

import videohub
from tests.cache_admin.bundle_files import FILE, UNPINNED, URL, Opened, kept, placed, stamps
from tests.cache_admin.cache_files import NAME, PUBLISHED, SHA256
from videohub import registry, weights
from videohub.cache_admin import bundle_install, bundle_pack
from videohub.convert import kept_weights, tables
from videohub.errors import CacheError, ChecksumError, FormatError, UsageError
from videohub.hub import pins

# --- what is found afterwards ----------------------------------------------------------------------------------------


def test_weights_are_found_offline_afterwards_and_nothing_else_is_there(here, demo):
    result = bundle_install.unbundle(demo)
    assert kept(here) == [placed()]
    assert result.records == [bundle_install.Installed(NAME, str(here / placed()), "installed", "registry")]
    assert result.registry is None
    assert weights.fetch(NAME) == here / placed()
    assert videohub.load(NAME).record.name == NAME


def test_a_second_time_changes_nothing(here, demo):
    bundle_install.unbundle(demo)
    before = stamps(here)
    assert bundle_install.unbundle(demo).records[0].state == "already here"
    assert stamps(here) == before


def test_a_bundle_that_was_packed_anew_by_tar_is_as_good(here, demo, tmp_path):
    with tarfile.open(demo) as tar:
        names = tar.getnames()
        tar.extractall(tmp_path / "out", filter="data")
    with tarfile.open(tmp_path / "anew.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(tmp_path / "out/bundle.json", "bundle.json")
        tar.add(tmp_path / "out/labels", "labels", recursive=False)
        for name in names[1:]:
            tar.add(tmp_path / "out" / name, name)
    assert bundle_install.unbundle(tmp_path / "anew.tar").records[0].state == "installed"


def test_a_digest_that_the_registry_lacks_is_remembered_with_where_it_came_from(machine, unpinned):
    bundle, file = unpinned
    home = machine("there", file)
    bundle_install.unbundle(bundle)
    pin = pins.pin_of(URL)
    assert (pin.sha256, pin.size, pin.source) == (SHA256, PUBLISHED.stat().st_size, "bundle tiny.tar")
    assert weights.fetch("tiny") == home / placed("tiny")
    before = stamps(home)
    assert bundle_install.unbundle(bundle).records[0].state == "already here"
    assert stamps(home) == before


def test_the_same_digest_known_before_stays_as_it_was_first_seen(machine, unpinned):
    bundle, file = unpinned
    machine("there", file)
    first = pins.pin(URL, SHA256, 7, source="elsewhere")
    bundle_install.unbundle(bundle)
    assert pins.pin_of(URL) == first


def test_weights_in_a_shared_cache_dir_are_not_written_again(here, demo, machine, monkeypatch):
    bundle_install.unbundle(demo)
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(here))
    home = machine("there")
    assert bundle_install.unbundle(demo).records == [
        bundle_install.Installed(NAME, str(here / placed()), "already here", "registry")
    ]
    assert kept(home) == []


def test_several_records_of_one_file_come_together(machine, company, tmp_path):
    file = company(tiny={}, other={"notes": ["another"]})
    machine("here", file)
    bundle_pack.bundle(["tiny", "other", NAME], tmp_path / "b.tar")
    home = machine("there", file)
    assert [each.record for each in bundle_install.unbundle(tmp_path / "b.tar").records] == ["other", NAME, "tiny"]
    assert kept(home) == sorted(map(placed, ["tiny", "other", NAME]))


# --- records that are not known here ---------------------------------------------------------------------------------


def test_unknown_records_come_with_a_registry_of_their_own(machine, company, tmp_path, monkeypatch):
    machine("here", company(tiny={"pretrain": "base", "protocol": _protocol("ours")}, base={}))
    bundle_pack.bundle([NAME, "tiny"], tmp_path / "b.tar")
    home = machine("there")
    result = bundle_install.unbundle(tmp_path / "b.tar")
    assert result.registry is not None
    assert Path(result.registry).parent == home / "registries"
    assert "tiny" not in registry.list_models()
    monkeypatch.setenv("VIDEOHUB_REGISTRY", result.registry)
    assert {"tiny", "base"} <= set(registry.list_models())
    assert videohub.load("tiny").record.protocol.name == "ours"
    assert bundle_install.unbundle(tmp_path / "b.tar").registry is None
    monkeypatch.delenv("VIDEOHUB_REGISTRY")
    assert bundle_install.unbundle(tmp_path / "b.tar").registry == result.registry
    assert len(kept(home / "registries")) == 1


def test_a_registry_for_unknown_records_leaves_out_what_is_known(machine, company, tmp_path):
    everything = company(tiny={"pretrain": "base"}, base={})
    machine("here", everything)
    bundle_pack.bundle([NAME, "tiny"], tmp_path / "b.tar")
    machine("there", company("base.yaml", base={}))
    result = Path(bundle_install.unbundle(tmp_path / "b.tar").registry)
    assert list(registry.default([result]).records)[-2:] == ["base", "tiny"]
    text = result.read_text()
    assert "base:" not in text
    assert "protocols: {}" in text


def test_a_home_that_the_variable_cannot_name_is_refused(machine, company, tmp_path):
    machine("here", company(tiny={}))
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    home = machine("there:or:here")
    with pytest.raises(UsageError, match="there:or:here: a path with ':' in it, which VIDEOHUB_REGISTRY cannot name"):
        bundle_install.unbundle(tmp_path / "b.tar")
    assert kept(home) == []


def test_a_protocol_of_the_same_name_with_other_content_is_refused(machine, company, tmp_path):
    machine("here", company(tiny={"protocol": _protocol("ours", split="other")}))
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    home = machine("there", company("other.yaml", other={"protocol": _protocol("ours")}))
    with pytest.raises(FormatError, match="protocol ours of tiny is known here with other content"):
        bundle_install.unbundle(tmp_path / "b.tar")
    assert kept(home) == []


def test_an_unknown_record_whose_ancestor_is_missing_is_refused(machine, company, tmp_path):
    machine("here", company(tiny={"pretrain": "base"}, base={}))
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    opened = Opened.read(tmp_path / "b.tar")
    opened.manifest["ancestors"] = []
    base = opened.content("registry.yaml")
    opened.put("registry.yaml", base[: base.index(b"\n  base:")])
    opened.agree()
    home = machine("there")
    with pytest.raises(FormatError, match=r'(?s)do not fit.*tiny: pretrain is "base", which is no record'):
        bundle_install.unbundle(opened.write(tmp_path / "b.tar"))
    assert kept(home) == []


def _protocol(name, **changes):
    return msgspec.structs.replace(registry.record(NAME).protocol, name=name, **changes)


# --- all or nothing --------------------------------------------------------------------------------------------------


def test_if_the_last_step_fails_those_before_it_are_undone(machine, company, tmp_path, monkeypatch):
    file = company(a={**UNPINNED, "url": f"{URL}?a"}, b={**UNPINNED, "url": f"{URL}?b"})
    machine("here", file)
    for name in "ab":
        pins.pin(f"{URL}?{name}", SHA256, PUBLISHED.stat().st_size)
        (tmp_path / "here/raw").mkdir(exist_ok=True)
        shutil.copy(PUBLISHED, tmp_path / "here/raw" / SHA256)
    bundle_pack.bundle(["a", "b"], tmp_path / "b.tar")
    home = machine("there")
    real, calls = pins.pin, []

    def fails_later(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(home / "pins"))
        return real(*arguments, **named)

    monkeypatch.setattr(pins, "pin", fails_later)
    with pytest.raises(CacheError, match="No space left on device"):
        bundle_install.unbundle(tmp_path / "b.tar")
    assert kept(home) == []
    assert bundle_install.unbundle(tmp_path / "b.tar").registry
    assert len(kept(home)) == 1 + 2 + 2 + 1  # the file, its weights, pins and registry


def test_if_another_process_pins_another_file_meanwhile_nothing_is_installed(machine, unpinned, monkeypatch):
    bundle, file = unpinned
    home = machine("there", file)
    monkeypatch.setattr(pins, "pin", lambda url, *_, **__: pins.Pin(url, "0" * 64, 1, "now"))
    with pytest.raises(ChecksumError, match="nothing was installed"):
        bundle_install.unbundle(bundle)
    assert kept(home) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path, demo, machine):
    home = machine("there")
    home.write_text("a file")
    with pytest.raises(CacheError, match=str(home)):
        bundle_install.unbundle(demo)


def test_half_of_what_a_killed_process_left_is_tidied(here, demo):
    (here / "converted").mkdir(parents=True)
    (here / placed()).with_name(f".{(here / placed()).name}-abc.part").write_bytes(b"half")
    bundle_install.unbundle(demo)
    assert kept(here) == [placed()]


def test_a_bundle_that_is_not_there_is_misuse(here, tmp_path):
    with pytest.raises(UsageError, match="no such bundle file"):
        bundle_install.unbundle(tmp_path / "none.tar")
    with pytest.raises(UsageError, match="expected one bundle file"):
        bundle_install.unbundle(tmp_path)


def test_another_record_of_the_same_name_is_refused_with_the_fields_that_differ(machine, company, tmp_path):
    machine("here", company(tiny={}))
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    home = machine("there", company(TINY={"notes": ["ours"], "labels": tuple("abcdefghij")}))
    with pytest.raises(FormatError) as refusal:
        bundle_install.unbundle(tmp_path / "b.tar")
    assert "record tiny is another than the one here" in str(refusal.value)
    assert "they differ in labels, name." in str(refusal.value)
    assert f"--checkpoint {FILE}" in str(refusal.value)
    assert kept(home) == []


def test_another_converter_makes_weights_of_its_own_from_the_same_bundle(here, demo, monkeypatch):
    monkeypatch.setattr(weights, "_CONVERTER", weights._CONVERTER + 1)
    (result,) = bundle_install.unbundle(demo).records
    assert weights.fetch(NAME) == Path(result.weights)
    assert kept(here) == [placed()]


def test_a_table_that_is_not_here_is_named_and_the_file_alone_still_goes_in(machine, company, tmp_path, monkeypatch):
    machine("here", company(tiny={}))
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    home = machine("there")
    with monkeypatch.context() as patched:
        patched.setattr(tables, "layouts", lambda family: [])
        with pytest.raises(FormatError, match=f"(?s)the table 'slowfast/caffe2', which is not here.*tar -xf .* {FILE}"):
            bundle_install.unbundle(tmp_path / "b.tar")
    assert kept(home) == []
    with tarfile.open(tmp_path / "b.tar") as tar:
        tar.extract(FILE, tmp_path, filter="data")
    assert videohub.load(NAME, checkpoint=tmp_path / FILE).record.name == NAME


def test_a_bundle_of_converted_weights_as_0_1_0_made_them_is_refused_and_told_what_to_do(here, demo, tmp_path):
    opened = Opened.read(demo)
    opened.manifest.update(schema_version=1, videohub="0.1.0")
    with pytest.raises(FormatError, match=r"(?s)a bundle of version 1, and this videohub reads 2.*bundle again"):
        bundle_install.unbundle(opened.write(tmp_path / "b.tar"))
    assert kept(here) == []


def test_another_digest_first_seen_here_is_refused_with_both(machine, unpinned):
    bundle, file = unpinned
    home = machine("there", file)
    pins.pin(URL, "0" * 64, 7)
    before = kept(home)
    with pytest.raises(ChecksumError, match=f"(?s){SHA256}.*{'0' * 64}.*cache pins --forget tiny"):
        bundle_install.unbundle(bundle)
    assert kept(home) == before


def test_other_labels_are_refused(here, demo, tmp_path):
    opened = Opened.read(demo)
    names = json.loads(opened.content("labels/motions.json"))
    for changed in (names[::-1], names[:-1], [*names, "more"], []):
        opened.put("labels/motions.json", json.dumps(changed).encode())
        opened.agree()
        with pytest.raises(FormatError, match="its label set motions has"):
            bundle_install.unbundle(opened.write(tmp_path / "b.tar"))
    assert kept(here) == []


def test_the_same_weights_with_another_story_of_their_origin_stay(here, demo, tmp_path):
    shutil.copy(PUBLISHED, tmp_path / "renamed.pkl")
    path = weights.fetch(NAME, checkpoint=tmp_path / "renamed.pkl")
    before = path.read_bytes()
    assert bundle_install.unbundle(demo).records[0].state == "already here"
    assert path.read_bytes() == before


def test_other_weights_under_the_same_digest_are_refused(here, demo):
    path = weights.fetch(NAME)
    header, tensors = kept_weights.origin(path), load_file(path)
    tensors["head.projection.bias"] = tensors["head.projection.bias"] + 1
    kept_weights.write(path, tensors, {key: header[key] for key in header if key not in ("checksum", "format")})
    before = path.read_bytes()
    with pytest.raises(ChecksumError, match=r"(?s)makes other weights than .*They are wrong"):
        bundle_install.unbundle(demo)
    assert path.read_bytes() == before


def test_damaged_weights_are_replaced(here, demo):
    path = weights.fetch(NAME)
    path.write_bytes(path.read_bytes()[:-1])
    assert bundle_install.unbundle(demo).records[0].state == "installed"
    assert weights.fetch(NAME) == path
    kept_weights.check(path)


def test_damaged_weights_in_a_shared_cache_dir_are_left_to_whoever_keeps_it(here, demo, machine, monkeypatch):
    path = weights.fetch(NAME)
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.setenv("VIDEOHUB_CACHE_RO", str(here))
    machine("there")
    with pytest.raises(CacheError, match="VIDEOHUB_CACHE_RO"):
        bundle_install.unbundle(demo)
