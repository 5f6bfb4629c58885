"""A bundle against what is known here: where they differ, it is refused, and told what differs and what to do."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from safetensors.torch import load_file

import videohub
from tests.cache_admin.bundle_files import FILE, URL, Opened, kept, placed
from tests.cache_admin.cache_files import NAME, PUBLISHED, SHA256
from videohub import weights
from videohub.cache_admin import bundle_install, bundle_pack
from videohub.convert import kept_weights, tables
from videohub.errors import CacheError, ChecksumError, FormatError
from videohub.hub import pins


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
    (found,) = bundle_install.unbundle(demo).records
    assert weights.fetch(NAME) == Path(found.weights)
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
