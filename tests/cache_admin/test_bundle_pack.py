"""Packing: what is in a bundle, that it is the same bytes each time, and what cannot be packed."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile

import pytest
from safetensors.torch import load_file

from tests.cache_admin.bundle_files import FILE, Opened, kept
from tests.cache_admin.cache_files import NAME, PUBLISHED, SHA256
from videohub import registry, weights
from videohub.cache_admin import bundle_install, bundle_pack
from videohub.data.labels import class_names
from videohub.errors import ChecksumError, FormatError, UnavailableError, UsageError


def test_a_bundle_holds_weights_labels_and_records_and_says_so_first(here, tmp_path):
    written = bundle_pack.bundle([NAME], tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert tar.getnames() == ["bundle.json", "labels/motions.json", FILE, "registry.yaml"]
        tar.extractall(tmp_path / "out", filter="data")
    about = json.loads((tmp_path / "out/bundle.json").read_bytes())
    for member in about["members"]:
        content = (tmp_path / "out" / member["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (member["size"], member["sha256"])
    (packed,) = about["records"]
    assert (packed["record"]["name"], packed["sha256"], packed["size"]) == (NAME, SHA256, PUBLISHED.stat().st_size)
    assert (tmp_path / "out" / FILE).read_bytes() == PUBLISHED.read_bytes()
    assert json.loads((tmp_path / "out/labels/motions.json").read_bytes()) == list(class_names("motions"))
    (record,) = registry.load(tmp_path / "out/registry.yaml").records.values()
    assert weights.to_portable_json(record) == weights.to_portable_json(registry.record(NAME))
    assert written.sha256 == hashlib.sha256((tmp_path / "b.tar").read_bytes()).hexdigest()
    assert written.size == (tmp_path / "b.tar").stat().st_size


def test_the_same_weights_give_the_same_bytes_on_every_machine_and_in_any_order(machine, company, tmp_path):
    file = company(tiny={}, other={"notes": []})
    made = []
    for number, names in enumerate([["tiny", NAME, "other"], ["OTHER", "tiny", "SLOWFAST_MOTIONS.pkl", "tiny"]]):
        machine(f"machine{number}", file)
        bundle_pack.bundle(names, tmp_path / f"{number}.tar")
        made.append((tmp_path / f"{number}.tar").read_bytes())
    assert made[0] == made[1]


def test_a_bundle_tells_nothing_of_who_made_it_and_when(demo):
    with tarfile.open(demo) as tar:
        about = {(one.mode, one.uid, one.gid, one.uname, one.gname, one.mtime, one.type) for one in tar}
    assert about == {(0o644, 0, 0, "", "", 0, tarfile.REGTYPE)}


def test_the_records_that_others_started_from_come_along_without_weights(machine, company, tmp_path):
    machine("here", company(base={}, middle={"pretrain": "base"}, tiny={"pretrain": "middle"}))
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    opened = Opened.read(tmp_path / "b.tar")
    assert [record["name"] for record in opened.manifest["ancestors"]] == ["base", "middle"]
    (tmp_path / "registry.yaml").write_bytes(opened.content("registry.yaml"))
    assert sorted(registry.load(tmp_path / "registry.yaml").records) == ["base", "middle", "tiny"]
    assert [info.name for info, _ in opened.members if info.name.startswith("raw")] == [FILE]


def test_two_files_of_one_name_in_different_folders_are_two_files(machine, company, tmp_path):
    machine("here", company(tiny={}))
    weights.convert_file(PUBLISHED, "tiny", tmp_path / "other.pyth", layout="pyslowfast")
    digest = hashlib.sha256((tmp_path / "other.pyth").read_bytes()).hexdigest()
    other = {"url": "net.pkl", "sha256": digest, "size": None, "layout": "pyslowfast", "container": "torch"}
    for folder, name, fields in ("a", "tiny", {"url": "net.pkl"}), ("b", "other", other):
        (tmp_path / folder).mkdir()
        company(f"{folder}/company.yaml", **{name: fields})
    shutil.copy(PUBLISHED, tmp_path / "a/net.pkl")
    shutil.copy(tmp_path / "other.pyth", tmp_path / "b/net.pkl")
    files = [tmp_path / "a/company.yaml", tmp_path / "b/company.yaml"]
    machine("here", *files)
    bundle_pack.bundle(["tiny", "other"], tmp_path / "b.tar")
    machine("there", *files)
    assert [each.state for each in bundle_install.unbundle(tmp_path / "b.tar").records] == ["installed", "installed"]


def test_names_of_one_s_own_classes_travel_in_their_record(machine, company, tmp_path, monkeypatch):
    names = tuple("abcdefghij")
    machine("here", company(tiny={"labels": names}))
    written = bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    assert [member.name for member in written.members] == [FILE, "registry.yaml"]
    machine("there")
    installed = bundle_install.unbundle(tmp_path / "b.tar")
    monkeypatch.setenv("VIDEOHUB_REGISTRY", installed.registry)
    assert registry.record("tiny").labels == names


def test_a_record_without_names_travels_without_any(machine, company, tmp_path):
    file = company(tiny={"labels": None})
    machine("here", file)
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    machine("there", file)
    assert bundle_install.unbundle(tmp_path / "b.tar").records[0].state == "installed"


def test_a_local_copy_of_the_published_file_makes_the_same_bundle(here, tmp_path, demo):
    shutil.copy(PUBLISHED, tmp_path)
    bundle_pack.bundle([NAME], tmp_path / "b.tar", checkpoint=tmp_path / PUBLISHED.name)
    assert (tmp_path / "b.tar").read_bytes() == demo.read_bytes()


def test_a_local_copy_stands_for_what_is_behind_a_url_of_unknown_digest(machine, company, tmp_path):
    machine("here", company(tiny={"url": "https://there.example/tiny.pkl", "sha256": None, "size": None}))
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar", checkpoint=PUBLISHED)
    (packed,) = Opened.read(tmp_path / "b.tar").manifest["records"]
    assert (packed["sha256"], packed["size"]) == (SHA256, PUBLISHED.stat().st_size)


def test_a_local_file_that_is_not_the_published_one_is_refused_with_both_digests(here, tmp_path):
    (tmp_path / "other.pkl").write_bytes(PUBLISHED.read_bytes() + b"!")
    weights.convert_file(PUBLISHED, NAME, tmp_path / "own.safetensors")
    for name in ("other.pkl", "own.safetensors"):
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        with pytest.raises(ChecksumError, match=f"{digest}, and .* has {SHA256}"):
            bundle_pack.bundle([NAME], tmp_path / "b.tar", checkpoint=tmp_path / name)
    assert not (tmp_path / "b.tar").exists()


def test_converted_weights_do_not_pass_for_the_published_file(machine, company, tmp_path):
    machine("here", company(tiny={"url": "https://there.example/tiny.pkl", "sha256": None, "size": None}))
    weights.convert_file(PUBLISHED, "tiny", tmp_path / "own.safetensors")
    with pytest.raises(FormatError, match=f"(?s)made from a file with sha256 '{SHA256}'.*takes the published file"):
        bundle_pack.bundle(["tiny"], tmp_path / "b.tar", checkpoint=tmp_path / "own.safetensors")


def test_weights_that_were_published_as_ours_are_bundled(machine, company, tmp_path):
    machine("here", company(tiny={}))
    weights.convert_file(PUBLISHED, "tiny", tmp_path / "own.safetensors")
    digest = hashlib.sha256((tmp_path / "own.safetensors").read_bytes()).hexdigest()
    ours = {"url": "own.safetensors", "sha256": digest, "size": None, "container": "safetensors"}
    file = company(tiny=ours)
    machine("here", file)
    bundle_pack.bundle(["tiny"], tmp_path / "b.tar")
    machine("there", file)
    (tmp_path / "own.safetensors").unlink()
    bundle_install.unbundle(tmp_path / "b.tar")
    assert load_file(weights.fetch("tiny"))


def test_a_file_on_this_machine_without_a_digest_is_refused_and_told_what_to_state(machine, company, tmp_path):
    machine("here", company(tiny={"sha256": None}))
    with pytest.raises(UnavailableError, match=r"(?s)tiny: cannot be bundled.*or state checkpoint\.sha256"):
        bundle_pack.bundle(["tiny"], tmp_path / "b.tar")


@pytest.mark.parametrize(("name", "status"), [("slowfast_r101_8x8", "unreleased"), ("c2d_nopool_r50_8x8", "broken")])
def test_what_no_machine_would_look_for_is_refused(here, tmp_path, name, status):
    with pytest.raises(UnavailableError, match=f"(?s)is {status}.*videohub convert FILE --model {name}"):
        bundle_pack.bundle([name], tmp_path / "b.tar", checkpoint=PUBLISHED)


def test_questions_without_sense_are_refused(here, tmp_path):
    with pytest.raises(UsageError, match="no record was named"):
        bundle_pack.bundle([], tmp_path / "b.tar")
    with pytest.raises(UsageError, match="2 records were named"):
        bundle_pack.bundle([NAME, "slow_r50_8x8"], tmp_path / "b.tar", checkpoint=PUBLISHED)
    shutil.copy(PUBLISHED, tmp_path / "b.tar")
    with pytest.raises(UsageError, match="this is the file to read"):
        bundle_pack.bundle([NAME], tmp_path / "b.tar", checkpoint=tmp_path / "b.tar")
    with pytest.raises(UsageError, match="a folder"):
        bundle_pack.bundle([NAME], tmp_path)


def test_damaged_weights_are_not_packed_and_an_older_bundle_stays(here, tmp_path):
    path = weights.fetch(NAME)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (tmp_path / "b.tar").write_bytes(b"precious")
    with pytest.raises(FormatError, match="damaged"):
        bundle_pack.bundle([NAME], tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_bytes() == b"precious"
    assert kept(tmp_path) == ["b.tar", f"here/{path.relative_to(here).as_posix()}"]
