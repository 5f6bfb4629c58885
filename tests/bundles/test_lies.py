"""Manifests and weights that do not say the truth: each is refused for a reason that is told, and leaves no trace."""

from __future__ import annotations

import copy

import msgspec
import pytest
from safetensors.torch import load_file

from tests.bundles.conftest import NAME, SHA256, WEIGHTS, Opened, kept
from videohub.bundles import packing, proof, unpacking
from videohub.convert import kept_weights
from videohub.errors import ConversionError, FormatError
from videohub.registry.schema import Record

# --- the manifest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b'{"\xff": 1}',
        b'{"videohub": "\xff"}',
        b"[" * 100_000,
        b'{"schema_version": 1, "videohub": "0", "x": ' + b"[" * 10**5,
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(refused, opened, content):
    opened.manifest = content
    assert "its bundle.json cannot be understood" in refused(opened)


def test_a_bundle_of_a_future_version_says_what_to_do(refused, opened):
    opened.manifest.update(schema_version=2, videohub="9.0", news={"from": "the future"})
    said = refused(opened)
    assert "a bundle of version 2, and this videohub reads 1" in said
    assert "written by videohub '9.0'" in said
    assert "Update videohub here" in said


def changed(path, value):
    def change(about):
        *steps, last = path
        for step in steps:
            about = about[step]
        about[last] = value

    return change


RECORD = ("records", 0, "record")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed(["extra"], 1), "unknown field `extra`"),
        (changed([*RECORD, "extra"], 1), "unknown field `extra`"),
        (changed(["records"], []), "length >= 1"),
        (changed(["members"], {}), "Expected `array`"),
        (changed(["records", 0, "sha256"], "A" * 64), "matching regex"),
        (changed(["records", 0, "sha256"], "0" * 64), "and its record says"),
        (changed(["records", 0, "size"], 7), "gives slowfast_motions the size 7"),
        (changed(["records", 0, "size"], -1), "cannot be understood"),
        (changed(["records", 0, "recipe"], "0" * 64), "were made by the recipe 000"),
        (changed(["members", 0, "size"], -1), "cannot be understood"),
        (changed(["members", 0, "size"], 10**30), "more than any bundle needs"),
        (changed(["members", 0, "name"], "../x"), "lists other members"),
        (changed([*RECORD, "name"], "../../evil"), "has a record called '../../evil'"),
        (changed([*RECORD, "name"], "no such\x1b[31m"), r"has a record called 'no such\x1b[31m'"),
        (changed([*RECORD, "name"], "other"), "lists other members"),
        (changed([*RECORD, "labels"], "../../evil"), "lists other members"),
        (changed([*RECORD, "notes"], ["changed"]), "does not say what its"),
        (changed([*RECORD, "status"], "broken"), "is broken"),
        (changed([*RECORD, "checkpoint", "url"], None), "no machine looks for"),
        (changed([*RECORD, "checkpoint", "url"], "file:///etc/passwd"), "names the file 'file:///etc/passwd'"),
        (changed([*RECORD, "checkpoint", "url"], "FILE:///etc/passwd"), "names the file"),
        (changed([*RECORD, "checkpoint", "url"], "../../etc/passwd"), "names the file '../../etc/passwd'"),
        (changed([*RECORD, "checkpoint", "url"], "..%2F..%2Fetc"), "names the file"),
        (changed([*RECORD, "checkpoint", "url"], "C:evil"), "names the file"),
        (changed([*RECORD, "checkpoint", "sha256"], None), "states no sha256"),
    ],
)
def test_a_manifest_that_was_changed_is_refused(refused, opened, change, said):
    change(opened.manifest)
    assert said in refused(opened)


def test_a_record_twice_is_refused(refused, opened):
    again = copy.deepcopy(opened.manifest["records"][0])
    again["record"]["name"] = NAME.upper()
    opened.manifest["records"].append(again)
    assert "has a record twice" in refused(opened)


def test_two_digests_for_one_url_are_refused(refused, opened):
    records = opened.manifest["records"]
    records.append(copy.deepcopy(records[0]))
    for number, packed in enumerate(records):
        packed["record"]["name"] = f"number{number}"
        packed["record"]["checkpoint"].update(url="https://one.example/x", sha256=None)
        packed["sha256"] = f"{number}" * 64
    assert "has two digests for 'https://one.example/x'" in refused(opened)


def test_a_pin_without_a_size_is_refused(refused, opened):
    opened.manifest["records"][0]["record"]["checkpoint"].update(url="https://one.example/x", sha256=None, size=None)
    opened.manifest["records"][0]["size"] = None
    assert "does not know the size of the published file" in refused(opened)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    "model",
    [
        {"blocks": [10**9, 1, 1, 1]},
        {"width": 10**18},
        {"beta_inv": 10**6},
        {"alpha": 10**6},
        {"lateral_kernel": 10**15},
        {"num_classes": 10**12},
        {"res4_temporal": [-5, 10**9]},
    ],
)
def test_a_network_that_nobody_could_build_is_refused_at_once(opened, tmp_path, model):
    opened.manifest["records"][0]["record"]["model"].update(model)
    record = msgspec.convert(opened.manifest["records"][0]["record"], Record)
    (tmp_path / "w").write_bytes(opened.content(WEIGHTS))
    with pytest.raises((FormatError, ConversionError)):
        proof.check(tmp_path / "w", record, SHA256, called="weights")


# --- the weights -----------------------------------------------------------------------------------------------------


def rewritten(opened, tmp_path, tensors=lambda found: found, **header):
    """Put other tensors or another header into the bundle, sealed and listed as they are."""
    (tmp_path / "w").write_bytes(opened.content(WEIGHTS))
    origin = {k: v for k, v in kept_weights.origin(tmp_path / "w").items() if k not in ("seal", "format")}
    kept_weights.write(tmp_path / "w", tensors(load_file(tmp_path / "w")), {**origin, **header})
    opened.put(WEIGHTS, (tmp_path / "w").read_bytes())
    opened.agree()
    (tmp_path / "w").unlink()
    return opened


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"record": '{"name":"slow_r50_8x8"}'}, "its header is of another state of 'slow_r50_8x8'"),
        ({"record": "[]"}, "its header is of another state of '?'"),
        ({"record": "\xff{"}, "its header is of another state of '?'"),
        ({"labels": "kinetics400"}, "expected the record slowfast_motions"),
        ({"source_sha256": "0" * 64}, "made from a file with sha256 '000"),
    ],
)
def test_weights_whose_header_tells_of_something_else_are_refused(refused, opened, tmp_path, header, said):
    assert said in refused(rewritten(opened, tmp_path, **header))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: {**found, "more": found["head.projection.bias"].clone()},
        lambda found: {key: found[key] for key in found if key != "head.projection.bias"},
        lambda found: {**found, "head.projection.bias": found["head.projection.bias"] / 0},
        lambda found: {**found, "head.projection.bias": found["head.projection.bias"][:5].clone()},
        lambda found: {"other": found["head.projection.bias"].clone()},
    ],
)
def test_tensors_that_are_not_the_network_are_refused(here, opened, tmp_path, change):
    with pytest.raises((ConversionError, FormatError)):
        unpacking.unbundle(rewritten(opened, tmp_path, change).write(tmp_path / "b.tar"))
    assert kept(here) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04N.",
        b"<html>",
        (2**63).to_bytes(8, "little") + b"{}",
        (10**8).to_bytes(8, "little") + b"{" + b" " * 100,
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"\xff\xff\xff\xff",
    ],
    ids=["empty", "pickle", "html", "endless header", "long header", "no tensors", "no text"],
)
def test_what_are_no_weights_is_refused(refused, opened, content):
    opened.put(WEIGHTS, content)
    opened.agree()
    assert WEIGHTS in refused(opened)


def test_weights_of_another_record_are_refused(refused, machine, company, tmp_path, opened):
    machine("elsewhere", company(tiny={}))
    packing.bundle(["tiny"], tmp_path / "tiny.tar")
    opened.put(WEIGHTS, Opened.read(tmp_path / "tiny.tar").content("converted/tiny.safetensors"))
    opened.agree()
    machine("here")
    assert "its header is of another state of 'tiny', expected the record slowfast_motions" in refused(opened)
