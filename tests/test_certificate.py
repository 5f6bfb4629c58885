"""Certificates of converted files: all that stands in one is computed here again, by other means."""

import hashlib
import json

import msgspec
import numpy as np
import pytest
import torch
import torchvision

import videohub
from tests.golden import synth
from tests.own_registry import like
from videohub import certificate, convert, resources
from videohub.architectures.parts import LastStage, RoiMax
from videohub.architectures.slowfast import SlowFast
from videohub.architectures.x3d import X3D
from videohub.convert import tables
from videohub.errors import ConversionError
from videohub.weights import convert_file

NAME = "slowfast_motions"
PUBLISHED = resources.path("demo") / "SLOWFAST_MOTIONS.pkl"


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def noise(shape):
    """The clip as docs/guides/converting.md describes it."""
    pixels = np.frombuffer(hashlib.shake_256(b"videohub certificate").digest(int(np.prod(shape))), np.uint8)
    return torch.from_numpy(((pixels / np.float32(255) - np.float32(0.45)) / np.float32(0.225)).reshape(shape))


def golden_state(record):
    """Weights made from their names."""
    return {name: torch.from_numpy(synth.synth(name, tuple(tensor.shape))).to(tensor.dtype)
            for name, tensor in videohub.build(record).state_dict().items()}  # fmt: skip


def test_a_certificate_says_what_both_files_are_and_how_far_their_logits_differ(run, tmp_path):
    written, out = tmp_path / "motions.pyth", tmp_path / "motions.json"
    arguments = ["--model", NAME, "--to", "pytorchvideo", "-o", written, "--certificate", out]
    code, printed, _ = run("convert", PUBLISHED, *arguments)
    result = json.loads(out.read_text())
    assert code == 0
    assert printed.splitlines()[1].startswith(f"{out}: 192 of 192 tensors are equal, logits differ by at most 0; ")
    assert result["read"] == {
        "file": "SLOWFAST_MOTIONS.pkl",
        "sha256": sha256(PUBLISHED),
        "container": "caffe2",
        "layout": "caffe2",
        "table_sha256": tables.find("slowfast", "caffe2").digest,
    }
    assert result["written"] == {
        "file": "motions.pyth",
        "sha256": sha256(written),
        "container": "torch",
        "layout": "pytorchvideo",
        "table_sha256": tables.find("slowfast", "pytorchvideo").digest,
    }
    assert (result["videohub"], result["torch"], result["model"]) == (videohub.__version__, torch.__version__, NAME)
    clip = noise(result["clip"])
    with torch.inference_mode():
        one, other = (videohub.load(NAME, checkpoint=path)(clip) for path in (PUBLISHED, written))
    assert result["largest_difference"] == (one - other).abs().max() == 0
    assert result["largest_logit"] == pytest.approx(one.abs().max().item(), rel=1e-6)
    counts = sum(name.endswith("num_batches_tracked") for name in videohub.build(NAME).state_dict())
    assert result["tensors"] == result["equal_tensors"] == len(videohub.build(NAME).state_dict()) - counts
    assert (result["network_of_written"], result["boxes"]) == ({}, [])


def test_a_certificate_is_part_of_what_is_printed_for_programs(run, tmp_path):
    options = ["--model", NAME, "-o", tmp_path / "a.safetensors", "--json"]
    assert json.loads(run("convert", PUBLISHED, *options)[1])["certificate"] is None
    _, printed, _ = run("convert", PUBLISHED, *options, "--certificate", tmp_path / "a.json")
    assert json.loads(printed)["certificate"] == json.loads((tmp_path / "a.json").read_text())
    assert json.loads(printed)["certificate"]["written"]["table_sha256"] is None  # our own names


@pytest.mark.slow
def test_the_largest_logit_is_that_of_torchvision_s_own_network(tmp_path):
    torch.manual_seed(0)
    network = torchvision.models.video.r3d_18().eval()
    torch.save(network.state_dict(), tmp_path / "r3d_18.pth")
    made = convert_file(tmp_path / "r3d_18.pth", "tv_r3d_18", tmp_path / "ours.safetensors",
                        certify_to=tmp_path / "ours.json").certificate  # fmt: skip
    with torch.inference_mode():
        logits = network(noise(made.clip))
    assert made.clip == (1, 3, 16, 112, 112)
    assert made.largest_logit == pytest.approx(logits.abs().max().item(), rel=1e-5)
    assert (made.largest_difference, made.read.sha256) == (0, sha256(tmp_path / "r3d_18.pth"))


def x3d_record(**changes):
    """X3D-XS with few blocks."""
    slow = like("slow_r50_8x8")
    model = X3D(size="XS", depth_factor=0.5, num_classes=5, **changes)
    clip = msgspec.structs.replace(slow.clip, frames=4)
    return msgspec.structs.replace(slow, name="small", model=model, clip=clip, labels=None)


def test_a_written_file_is_read_back_into_its_publisher_s_network(tmp_path):
    record = x3d_record(first_shortcut_norm=False)
    source = convert.export(golden_state(record), record, "pytorchvideo", tmp_path / "ptv.pyth")
    made = convert_file(source, record, tmp_path / "a.pyth", layout="pyslowfast", certify_to=tmp_path / "a.json")
    assert made.certificate.network_of_written == {"first_shortcut_norm": True}
    assert made.certificate.largest_difference == 0
    assert made.certificate.equal_tensors == made.certificate.tensors
    file = torch.load(tmp_path / "a.pyth", weights_only=True)["model_state"]
    assert file["s2.pathway0_res0.branch1_bn.weight"].tolist() == [1] * 24


def test_what_cannot_be_expressed_exactly_is_neither_written_nor_certified(run, tmp_path):
    record = x3d_record()
    source = convert.export(golden_state(record), record, "pyslowfast", tmp_path / "psf.pyth")
    with pytest.raises(ConversionError, match="PyTorchVideo has no norm where a shortcut changes the stride alone"):
        convert_file(source, record, tmp_path / "a", layout="pytorchvideo", certify_to=tmp_path / "a.json")
    assert {path.name for path in tmp_path.iterdir()} <= {"psf.pyth", "cache"}


def test_a_network_that_detects_is_given_a_box(tmp_path):
    ava = like("slowfast_r101_8x8_ava22")
    model = SlowFast(depth=(1, 1, 1, 1), width=16, res5=LastStage(stride=1, dilation=2), head=RoiMax(), num_classes=80)
    record = msgspec.structs.replace(ava, name="small", model=model)
    source = convert.export(golden_state(record), record, "caffe2", tmp_path / "a.pkl")
    made = convert_file(source, record, tmp_path / "a.pyth", layout="pytorchvideo", certify_to=tmp_path / "a.json")
    assert made.certificate.boxes == ((0, 56, 56, 168, 168),)
    assert made.certificate.largest_logit > 0.1
    assert made.certificate.largest_difference == 0


@pytest.mark.parametrize("change", [1e-3, float("nan")])
def test_other_logits_are_not_certified(tmp_path, monkeypatch, change):
    compute, calls = certificate._logits, []

    def changed(*arguments):
        calls.append(1)
        return compute(*arguments) + (change if len(calls) == 2 else 0)

    monkeypatch.setattr(certificate, "_logits", changed)
    with pytest.raises(ConversionError, match=r"a\.pyth gives other logits than that of SLOWFAST_MOTIONS\.pkl"):
        convert_file(PUBLISHED, NAME, tmp_path / "a.pyth", layout="pyslowfast", certify_to=tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_a_certificate_takes_the_place_of_neither_file(run, tmp_path):
    source = tmp_path / "a.pkl"
    source.write_bytes(PUBLISHED.read_bytes())
    for certify_to, message in ((tmp_path / "b", "the file to write"), (source, "the file to read"),
                                (tmp_path / "nowhere" / "c", "found no folder")):  # fmt: skip
        code, _, err = run("convert", source, "--model", NAME, "-o", tmp_path / "b", "--certificate", certify_to)
        assert code == 2
        assert message in err
        assert not (tmp_path / "b").exists()
    assert sha256(source) == sha256(PUBLISHED)
