"""Manifests and weights that do not say the truth: each is refused for a reason that is told, and leaves no trace."""

from __future__ import annotations

import copy
import hashlib

import msgspec
import numpy as np
import pytest

from tests.cache_admin.bundle_files import FILE, URL, Opened, kept
from tests.cache_admin.cache_files import NAME, PUBLISHED, SHA256
from videohub import registry, weights
from videohub.cache_admin import bundle_install
from videohub.cache_admin.listing import items
from videohub.convert import caffe2_pickle, read
from videohub.errors import ChecksumError, ConversionError, FormatError, VideohubError
from videohub.hub import pins
from videohub.hub.download import Fetched
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
        b'{"schema_version": 2, "videohub": "0", "x": ' + b"[" * 10**5,
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(refused, opened, content):
    opened.manifest = content
    assert "its bundle.json cannot be understood" in refused(opened)


def test_a_bundle_of_a_future_version_says_what_to_do(refused, opened):
    opened.manifest.update(schema_version=3, videohub="9.0", news={"from": "the future"})
    text = refused(opened)
    assert "a bundle of version 3, and this videohub reads 2" in text
    assert "written by videohub '9.0'" in text
    assert "Update videohub here" in text


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
        (changed(["members", 0, "size"], -1), "cannot be understood"),
        (changed(["members", 0, "size"], 10**30), "more than any bundle needs"),
        (changed(["members", 0, "name"], "../x"), "lists other members"),
        (changed([*RECORD, "name"], "../../evil"), "has a record called '../../evil'"),
        (changed([*RECORD, "name"], "no such\x1b[31m"), r"has a record called 'no such\x1b[31m'"),
        (changed([*RECORD, "name"], "other"), "does not say what its"),
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


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    "model",
    [
        {"depth": [10**9, 1, 1, 1]},
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

    def install():
        record = msgspec.convert(opened.manifest["records"][0]["record"], Record)
        bundle_install.convert_bundled(Fetched(PUBLISHED, SHA256), record, tmp_path / "w", called="a file")

    with pytest.raises((FormatError, ConversionError, msgspec.ValidationError)):  # the last by the type alone
        install()


# --- the published file ----------------------------------------------------------------------------------------------


def replaced(bundle, content):
    """Put another file into a bundle in which everything agrees with it, as a skilled attacker would."""
    opened = Opened.read(bundle)
    digest = hashlib.sha256(content).hexdigest()
    for packed in opened.manifest["records"]:
        opened.members = [pair for pair in opened.members if pair[0].name != f"raw/{packed['sha256']}"]
        packed.update(sha256=digest, size=len(content))
    opened.put(f"raw/{digest}", content)
    opened.agree()
    return opened


@pytest.fixture
def forged(tmp_path):
    """A file as the publisher's, with other weights in it."""
    arrays = read(PUBLISHED).tensors
    arrays["pred_b"] = arrays["pred_b"][::-1].copy() + 1
    caffe2_pickle.write(tmp_path / "forged.pkl", arrays)
    return (tmp_path / "forged.pkl").read_bytes()


def test_other_weights_do_not_install_under_a_digest_that_the_registry_states(refused, demo, forged):
    opened = replaced(demo, forged)
    digest = opened.manifest["records"][0]["sha256"]
    assert f"gives {NAME} the sha256 {digest}, and its record says {SHA256}" in refused(opened)
    opened.manifest["records"][0]["record"]["checkpoint"].update(sha256=digest, size=len(forged))
    opened.put("registry.yaml", opened.content("registry.yaml").replace(SHA256.encode(), digest.encode()))
    opened.agree()
    assert f"has sha256 {digest},\n  the registry here says {SHA256}" in refused(opened, ChecksumError)


def test_other_weights_under_the_name_of_the_published_file_are_noticed(refused, demo, forged):
    opened = Opened.read(demo)
    opened.put(FILE, forged)
    assert "its bundle.json says" in refused(opened, VideohubError)
    opened.agree()
    assert f"lists '{FILE}' with another sha256 or size than that of {NAME}" in refused(opened)


def test_other_weights_do_not_install_where_the_digest_was_seen_before(machine, unpinned, forged, tmp_path):
    bundle, file = unpinned
    home = machine("there", file)
    pins.pin(URL, SHA256, PUBLISHED.stat().st_size)
    before = kept(home)
    with pytest.raises(ChecksumError, match=f"(?s)when {URL} was first seen here.*it had {SHA256}"):
        bundle_install.unbundle(replaced(bundle, forged).write(tmp_path / "forged.tar"))
    assert kept(home) == before


def test_where_only_the_bundle_says_what_the_published_file_is_everybody_is_told_so(
    machine, unpinned, forged, tmp_path, caplog
):
    """Nothing else is known there, so nothing can refuse it: that is what is told, now and whenever it is used."""
    bundle, file = unpinned
    machine("there", file)
    result = bundle_install.unbundle(replaced(bundle, forged).write(tmp_path / "forged.tar"))
    assert [each.vouched_by for each in result.records] == ["bundle"]
    weights.fetch("tiny")
    assert "is known by bundle forged.tar alone; the registry states no digest" in caplog.text
    messages = {item.entry.kind: item.bundle for item in items()}
    assert (messages["raw"], messages["converted"], messages["pin"]) == ("bundle forged.tar",) * 3
    made = weights.weights_file(weights.fetch("tiny"), registry.record("tiny"))
    assert (made.sha256, made.vouched_by) == (hashlib.sha256(forged).hexdigest(), "first use")
    assert made.first_seen.endswith(", in bundle forged.tar")


def test_a_registry_here_that_states_the_digest_vouches_for_a_bundle(here, demo, caplog):
    assert [each.vouched_by for each in bundle_install.unbundle(demo).records] == ["registry"]
    weights.fetch(NAME)
    assert "alone" not in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        lambda found: {**found, "res9_w": found["pred_b"]},
        lambda found: {key: found[key] for key in found if key != "pred_b"},
        lambda found: {**found, "pred_b": found["pred_b"] / np.float32(0)},
        lambda found: {**found, "pred_b": found["pred_b"][:5]},
        lambda found: {"other": found["pred_b"]},
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_file_that_is_not_the_network_is_refused(machine, unpinned, tmp_path, change):
    bundle, file = unpinned
    home = machine("there", file)
    caffe2_pickle.write(tmp_path / "other.pkl", change(read(PUBLISHED).tensors))
    opened = replaced(bundle, (tmp_path / "other.pkl").read_bytes())
    with pytest.raises((ConversionError, FormatError), match=r"b\.tar: raw/"):
        bundle_install.unbundle(opened.write(tmp_path / "b.tar"))
    assert kept(home) == []


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
def test_what_is_no_checkpoint_is_refused(machine, unpinned, tmp_path, content):
    bundle, file = unpinned
    home = machine("there", file)
    with pytest.raises(FormatError):
        bundle_install.unbundle(replaced(bundle, content).write(tmp_path / "b.tar"))
    assert kept(home) == []
