"""Files as publishers offer them, over HTTP: what is known of their digest, and pages for people."""

from __future__ import annotations

import hashlib
import logging

import msgspec
import pytest
import torch
from safetensors.torch import load_file

import videohub
from tests.golden import synth
from tests.hub.publisher import running
from videohub import convert, registry
from videohub.architectures.resnet import ResNet
from videohub.errors import ChecksumError, UnavailableError, VideohubError
from videohub.hub import pins
from videohub.registry.schema import Record
from videohub.weights import fetch

SMALL = ResNet(variant="slow", depth=(1, 1, 1, 1), width=8, num_classes=5)


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("VIDEOHUB_MIRRORS", raising=False)


@pytest.fixture
def publisher():
    with running() as publisher:
        yield publisher


def small_record(model: ResNet = SMALL, **file) -> Record:
    """A record of a small network; `file` are fields of its checkpoint."""
    slow = registry.record("slow_r50_8x8")
    file = {"sha256": None, "size": None, "container": "torch", "layout": "pyslowfast", **file}
    checkpoint = msgspec.structs.replace(slow.checkpoint, **file)
    changes = {"name": "small", "model": model, "labels": None, "published": (), "checkpoint": checkpoint}
    return msgspec.structs.replace(slow, **changes)


def golden_state(model: ResNet) -> dict[str, torch.Tensor]:
    return {
        key: torch.from_numpy(synth.synth(key, tuple(tensor.shape))).to(tensor.dtype)
        for key, tensor in videohub.build(small_record(model)).state_dict().items()
    }


def published(publisher, tmp_path, model: ResNet = SMALL) -> tuple[str, str]:
    """Publish a network's file, and return its URL and digest."""
    path = convert.export(golden_state(model), small_record(model), "pyslowfast", tmp_path / "small.pyth")
    return publisher.publish("/small.pyth", path.read_bytes()), hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digits_in_a_file_s_name_are_compared_after_the_download(publisher, tmp_path):
    url, digest = published(publisher, tmp_path)
    assert fetch(small_record(url=url, sha256_prefix=digest[:8])).is_file()
    other = publisher.publish("/other.pyth", publisher.files["/small.pyth"])
    with pytest.raises(ChecksumError, match=rf"{digest}, and its publisher says that it begins with 00000000"):
        fetch(small_record(url=other, sha256_prefix="0" * 8))
    assert pins.pin_of(other) is None  # another file must not bind the next download


def test_another_digest_than_somebody_reported_is_told_and_the_file_is_used(publisher, tmp_path, caplog):
    url, digest = published(publisher, tmp_path)
    assert fetch(small_record(url=url, reported_sha256="ab" * 32)).is_file()
    assert f"{url} has sha256 {digest}, and somebody reported {'ab' * 32}" in caplog.text
    assert "report what was found here" in caplog.text


def test_the_digest_that_somebody_reported_is_found_without_a_word(publisher, tmp_path, caplog):
    url, digest = published(publisher, tmp_path)
    fetch(small_record(url=url, reported_sha256=digest))
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


DRIVE = "https://drive.google.com/file/d/194gJinVej/view?usp=sharing"


def test_a_page_for_people_says_in_one_line_what_to_download_and_where_to_pass_it():
    record = msgspec.structs.replace(small_record(url=DRIVE, manual=True), status="manual")
    with pytest.raises(UnavailableError) as refusal:
        fetch(record)
    assert str(refusal.value) == (
        f"small: download {DRIVE} in a browser and pass the file with --checkpoint FILE, or keep it as "
        "drive.google.com/file/d/194gJinVej/view?usp=sharing in a folder that VIDEOHUB_MIRRORS names."
    )


def test_a_file_that_was_downloaded_by_hand_is_found_in_a_mirror_s_folder(tmp_path, monkeypatch):
    record = msgspec.structs.replace(small_record(url=DRIVE, manual=True), status="manual")
    monkeypatch.setenv("VIDEOHUB_MIRRORS", str(tmp_path))
    kept = tmp_path / "drive.google.com/file/d/194gJinVej/view?usp=sharing"
    kept.parent.mkdir(parents=True)
    convert.export(golden_state(SMALL), record, "pyslowfast", kept)
    assert load_file(fetch(record)).keys() == golden_state(SMALL).keys()
    kept.unlink()
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "another cache"))
    with pytest.raises(VideohubError, match="Open it in a browser, download the file"):
        fetch(record)
