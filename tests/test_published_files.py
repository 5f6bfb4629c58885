"""Files as publishers offer them, over HTTP: what is known of their digest, pages for people, files without classes."""

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
from videohub.convert import kept_weights
from videohub.errors import ChecksumError, UnavailableError, UsageError, VideohubError
from videohub.hub import pins
from videohub.registry.schema import Record
from videohub.weights import fetch

SMALL = ResNet(variant="slow", depth=(1, 1, 1, 1), width=8, num_classes=5)
FEATURES = msgspec.structs.replace(SMALL, num_classes=None)


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
        f"small: download {DRIVE} in a browser and pass the file with `--checkpoint FILE` (in Python `checkpoint=`), "
        "or keep it as drive.google.com/file/d/194gJinVej/view?usp=sharing in a folder that VIDEOHUB_MIRRORS names."
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


# --- files without a classifier --------------------------------------------------------------------------------------


def test_a_network_without_classes_gives_its_features(publisher, tmp_path, caplog):
    record = small_record(FEATURES, url=published(publisher, tmp_path, FEATURES)[0])
    model = videohub.load(record)
    assert "small: its file has no classifier, and features (B, 256) come out" in caplog.text
    assert not [key for key in model.state_dict() if key.startswith("head")]
    clip = torch.from_numpy(synth.synth_clip("features", (2, 3, 8, 256, 256)))  # four positions of the head
    with torch.no_grad():
        windows = model.feature_map(clip).unfold(3, 7, 1).unfold(4, 7, 1)  # (2, 256, 8, 2, 2, 7, 7)
        assert torch.allclose(model(clip), windows.mean((2, 3, 4, 5, 6)), rtol=1e-4, atol=1e-5)
        assert torch.allclose(model(clip), model.features(clip), rtol=1e-6)
    assert (model(clip).shape, model.num_features, record.task) == ((2, 256), 256, "features")


def test_a_network_without_classes_gets_a_new_classifier_on_request(publisher, tmp_path, caplog):
    record = small_record(FEATURES, url=published(publisher, tmp_path, FEATURES)[0])
    model = videohub.load(record, num_classes=3, labels=["run", "jump", "sit"])
    assert "new, to be trained: head.projection.weight (3, 256), head.projection.bias (3,)" in caplog.text
    assert "features" not in caplog.text
    assert model(torch.zeros(1, 3, 8, 224, 224)).shape == (1, 3)
    assert torch.equal(model.res5[0].conv_a.weight, golden_state(FEATURES)["res5.0.conv_a.weight"])


def test_a_classifier_that_was_trained_on_features_loads_by_itself(publisher, tmp_path):
    record = small_record(FEATURES, url=published(publisher, tmp_path, FEATURES)[0])
    torch.save(videohub.load(record, num_classes=3).state_dict(), tmp_path / "trained.pth")
    model = videohub.load(record, checkpoint=tmp_path / "trained.pth")
    assert model.record.num_classes == 3
    assert model(torch.zeros(1, 3, 8, 224, 224)).shape == (1, 3)


def test_what_needs_classes_refuses_a_network_without(publisher, tmp_path):
    record = small_record(FEATURES, url=published(publisher, tmp_path, FEATURES)[0])
    with pytest.raises(UsageError, match=r"small: its file has no classifier, and features alone come out"):
        videohub.predict(tmp_path / "video.mp4", record)
    with pytest.raises(UsageError, match="no classifier"):
        _ = record.num_classes
    with pytest.raises(UsageError, match="states no number, so there is nothing to verify"):
        videohub.verify(record, tmp_path)
    with pytest.raises(UsageError, match=r"found 2 names .*, and small has no outputs; expected a name for each"):
        videohub.build(record, labels=["a", "b"])


def test_kept_features_are_told_from_kept_weights_that_lack_their_classifier(publisher, tmp_path):
    record = small_record(FEATURES, url=published(publisher, tmp_path, FEATURES)[0])
    assert kept_weights.shape(fetch(record), "head.projection.weight") is None
    with pytest.raises(VideohubError, match=r"missing from the file, 2 of .*\n.*head\.projection\.weight"):
        fetch(small_record(SMALL, url=record.checkpoint.url))
