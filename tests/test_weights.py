"""From a published file to proved weights and back, on a network small enough to be made here."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import videohub
from tests.convert.key_names import to_published
from tests.golden import synth
from tests.own_registry import like, write_registry
from videohub import convert, registry
from videohub.convert import caffe2_pickle, tables
from videohub.errors import ConversionError, FormatError, UnavailableError, UsageError
from videohub.weights import convert_file, fetch

NAME = "slowfast_motions"


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def state():
    return {
        key: torch.from_numpy(synth.synth(key, tuple(tensor.shape))).to(tensor.dtype)
        for key, tensor in videohub.build(NAME).state_dict().items()
    }


@pytest.fixture
def blobs(state):
    """The same tensors as a Caffe2 file holds them: by blob name, without batch counts."""
    table = tables.find("slowfast", "caffe2")
    names = to_published(table, [key for key in state if not key.endswith("num_batches_tracked")])
    return {blob: state[key].numpy() for key, (blob,) in names.items()}


@pytest.fixture
def pkl(tmp_path, blobs):
    def write(**changes):
        path = tmp_path / "file.pkl"
        caffe2_pickle.write(path, {k: v for k, v in {**blobs, **changes}.items() if v is not None})
        return path

    return write


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_caffe2_file_becomes_exactly_the_network_s_tensors(pkl, state):
    assert same(load_file(fetch(NAME, checkpoint=pkl())), state)


@pytest.mark.parametrize("layout", ["caffe2", "pyslowfast", "pytorchvideo"])
def test_export_and_import_are_the_identity(tmp_path, state, layout):
    path = convert.export(state, registry.record(NAME), layout, tmp_path / "out.bin")
    checkpoint = convert.read(path)
    assert checkpoint.layout == layout
    assert same(load_file(fetch(NAME, checkpoint=path)), state)


def test_the_command_s_three_kinds_lead_into_each_other(tmp_path, pkl, blobs, state):
    convert_file(pkl(), NAME, tmp_path / "a.safetensors")
    convert_file(tmp_path / "a.safetensors", NAME, tmp_path / "b.pyth", layout="pyslowfast")
    convert_file(tmp_path / "b.pyth", NAME, tmp_path / "c.pkl", layout="caffe2")
    result = convert.read(tmp_path / "c.pkl").tensors
    assert result.keys() == blobs.keys()
    assert all(np.array_equal(result[key], blobs[key]) for key in blobs)
    assert same(load_file(tmp_path / "a.safetensors"), state)


def test_the_header_says_where_the_weights_come_from(pkl):
    path = pkl()
    with safe_open(fetch(NAME, checkpoint=path), "pt") as file:
        header = file.metadata()
    assert header["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert header["source_kind"] == "caffe2"
    assert header["labels"] == "null"  # which the file does not say
    assert json.loads(header["record"])["name"] == NAME
    assert header["table"] == tables.find("slowfast", "caffe2").digest


def test_matrices_may_stand_for_kernels_of_one(pkl, blobs, state):
    flat = {key: array.reshape(array.shape[:2]) for key, array in blobs.items() if array.shape[2:] == (1, 1, 1)}
    assert len(flat) == 22  # c and the shortcut of each pathway's four blocks, a of the slow res2 and res3, laterals
    assert same(load_file(fetch(NAME, checkpoint=pkl(**flat))), state)


@pytest.mark.parametrize(
    ("blob", "reshape"),
    [
        ("pred_b", lambda a: a.reshape(2, 5)),
        ("conv1_w", lambda a: a.reshape(a.shape[0], -1)),
        ("pred_w", lambda a: a.T),
        ("pred_w", lambda a: a.reshape(*a.shape, 1, 1, 1)),
        ("res2_0_branch2b_w", lambda a: a.transpose(0, 1, 3, 4, 2)),
    ],
)
def test_no_other_reshape_is_allowed(pkl, blobs, blob, reshape):
    odd = np.ascontiguousarray(reshape(blobs[blob]))
    with pytest.raises(ConversionError, match="of another shape in the file") as refusal:
        fetch(NAME, checkpoint=pkl(**{blob: odd}))
    assert str(odd.shape)[:-1] in str(refusal.value)  # perhaps with unit dimensions behind it
    assert str(blobs[blob].shape) in str(refusal.value)


def test_a_blob_that_no_rule_knows_is_refused_unless_it_is_ignored_knowingly(pkl, state):
    path = pkl(surprise_w=np.zeros((3, 2), np.float32))
    with pytest.raises(ConversionError, match=r"surprise_w \(3, 2\)"):
        fetch(NAME, checkpoint=path)
    with pytest.raises(ConversionError, match="surprise_w"):
        fetch(NAME, checkpoint=path, ignore=["other*"])
    assert same(load_file(fetch(NAME, checkpoint=path, ignore=["surprise*"])), state)


def test_optimizer_state_is_left_aside_by_name(pkl, state):
    path = pkl(conv1_w_momentum=np.ones(3, np.float32), lr=np.array(0.1), model_iter=np.array(7))
    assert same(load_file(fetch(NAME, checkpoint=path)), state)


@pytest.mark.parametrize("layout", ["caffe2", "pyslowfast", "pytorchvideo"])
def test_a_state_dict_made_by_hand_loads_strictly(tmp_path, state, layout):
    path = convert.export(state, NAME, layout, tmp_path / "out.bin")
    videohub.build(NAME).load_state_dict(convert.to_state_dict(convert.read(path), NAME), strict=True)


def test_batch_counts_may_be_missing_from_a_torch_file_and_nothing_else(tmp_path, state):
    published = to_published(tables.find("slowfast", "pyslowfast"), state)
    file = {published[key][0]: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
    torch.save({"model_state": file}, tmp_path / "old.pyth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "old.pyth")), state)  # the golden counts are zero
    file.pop("s1.pathway0_stem.bn.running_mean")
    torch.save({"model_state": file}, tmp_path / "older.pyth")
    with pytest.raises(ConversionError, match="missing from the file"):
        fetch(NAME, checkpoint=tmp_path / "older.pyth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: np.where(a > a.mean(), np.nan, a).astype(np.float32), "not finite"),
        (lambda a: a.astype(np.int32), "whole numbers where the network has fractions"),
    ],
)
def test_values_that_are_no_weights_are_refused(pkl, blobs, change, message):
    with pytest.raises(ConversionError, match=message):
        fetch(NAME, checkpoint=pkl(pred_w=change(blobs["pred_w"])))


def test_other_precisions_become_the_network_s_own(tmp_path, state):
    published = to_published(tables.find("slowfast", "pyslowfast"), state)
    file = {
        published[key][0]: tensor.double() if tensor.is_floating_point() else tensor for key, tensor in state.items()
    }
    torch.save({"model_state": file}, tmp_path / "double.pyth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "double.pyth")), state)


def test_converted_weights_of_another_record_are_refused(tmp_path, pkl):
    convert_file(pkl(), NAME, tmp_path / "a.safetensors")
    with pytest.raises(ConversionError, match="holds converted weights of slowfast_motions") as caught:
        fetch("slowfast_r50_8x8", checkpoint=tmp_path / "a.safetensors")
    assert "`videohub convert FILE --model THAT_RECORD --to LAYOUT`" in str(caught.value)  # for a record of one's own


def test_a_result_does_not_replace_its_source(pkl):
    path = pkl()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="this is the file to read"):
        convert_file(path, NAME, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [lambda data: data.replace(b'"F32"', b'"F99"', 1), lambda data: data[:-1]])
def test_weights_in_the_cache_with_a_damaged_header_or_cut_short_are_made_anew(pkl, caplog, damage):
    path = fetch(NAME, checkpoint=pkl())
    sound = path.read_bytes()
    path.write_bytes(damage(sound))
    assert fetch(NAME, checkpoint=pkl()) == path
    assert path.read_bytes() == sound
    assert f"{path} was cut short or damaged; making it anew" in caplog.text


def test_a_missing_blob_is_refused_by_name(pkl):
    with pytest.raises(ConversionError, match=r"missing from the file, 1 of .*\n.*fast\.res3\.0\.conv_b\.weight"):
        fetch(NAME, checkpoint=pkl(t_res3_0_branch2b_w=None))


def test_another_network_s_file_is_refused(tmp_path):
    with pytest.raises(ConversionError, match="no rule knows"):
        fetch("slow_r50_4x16", checkpoint=_random_file(tmp_path))


def _random_file(tmp_path):
    state = videohub.build(NAME).state_dict()
    return convert.export(state, registry.record(NAME), "caffe2", tmp_path / "other.pkl")


def test_a_file_that_is_no_checkpoint_leaves_nothing_behind(tmp_path):
    (tmp_path / "page.pkl").write_text("<!DOCTYPE html><html>Sign in</html>")
    with pytest.raises(FormatError, match="HTML"):
        fetch(NAME, checkpoint=tmp_path / "page.pkl")
    with pytest.raises(FormatError, match="HTML"):
        convert_file(tmp_path / "page.pkl", NAME, tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["page.pkl"]


def test_a_failed_conversion_leaves_the_old_file_as_it_was(tmp_path, pkl):
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"precious")
    with pytest.raises(ConversionError):
        convert_file(pkl(pred_b=None), NAME, out)
    assert out.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.pkl", "out.safetensors"]


def test_converted_weights_are_kept_by_content_and_not_made_twice(pkl, blobs):
    first = fetch(NAME, checkpoint=pkl())
    stamp = first.stat().st_mtime_ns
    assert fetch(NAME, checkpoint=pkl()) == first
    assert first.stat().st_mtime_ns == stamp
    assert fetch(NAME, checkpoint=pkl(pred_b=blobs["pred_b"] + 1)) != first


def test_pretrained_may_be_said_as_to_other_libraries(pkl, state):
    assert same(videohub.load(NAME, checkpoint=pkl(), pretrained=True).state_dict(), state)


@pytest.mark.parametrize("pretrained", [False, None, "DEFAULT"])
def test_what_load_does_not_bring_is_refused_with_what_does(pretrained):
    message = (
        rf"pretrained: found {pretrained!r}, expected True: videohub\.load always .* videohub\.build\(name\) makes"
    )
    with pytest.raises(UsageError, match=message):
        videohub.load(NAME, pretrained=pretrained)


def test_records_without_a_file_say_what_to_do():
    with pytest.raises(UnavailableError, match=r"never released\. Take ptv_slowfast_r101_8x8 or pysf_ptv_slowfast_"):
        fetch("slowfast_r101_8x8")
    with pytest.raises(UnavailableError, match="reported to be broken"):
        fetch("c2d_nopool_r50_8x8")
    with pytest.raises(UsageError, match=r"https:/host/MODEL\.pth: found an address, expected a file that is here"):
        fetch(NAME, checkpoint="https://host/MODEL.pth")
    with pytest.raises(UsageError, match="no such checkpoint file"):
        fetch(NAME, checkpoint="no/such/file.pkl")


def test_a_layout_that_cannot_be_written_is_refused(tmp_path, state):
    with pytest.raises(UsageError, match="caffe2, pyslowfast"):
        convert.export(state, registry.record(NAME), "onnx", tmp_path / "x")


def test_image_kernels_of_four_dimensions_are_read_as_clips_of_one_frame(tmp_path, monkeypatch):
    small, state = _small_image_network(tmp_path, monkeypatch)
    names = to_published(tables.find("resnet", "pyslowfast"), state)
    flat = {names[key][0]: tensor[:, :, 0].clone() if tensor.ndim == 5 else tensor for key, tensor in state.items()}
    torch.save({"model_state": flat}, tmp_path / "image.pyth")
    assert same(load_file(fetch(small, checkpoint=tmp_path / "image.pyth")), state)


def _small_image_network(tmp_path, monkeypatch):
    """A user's registry with a small image network and a small I3D, and random weights for the former."""
    small = {"depth": (1, 1, 1, 1), "width": 8}
    image, video = (
        like(name, name=f"small_{kind}", model=msgspec.structs.replace(registry.record(name).model, **small))
        for name, kind in (("resnet_r50_in1k", "image"), ("i3d_r50_8x8", "video"))
    )
    write_registry(tmp_path / "small.yaml", image, video)
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "small.yaml"))
    state = {
        key: torch.from_numpy(synth.synth(key, tuple(tensor.shape))).to(tensor.dtype)
        for key, tensor in videohub.build("small_image").state_dict().items()
    }
    return "small_image", state


def test_an_image_network_inflates_so_that_a_still_clip_looks_the_same(tmp_path, monkeypatch, caplog):
    small, state = _small_image_network(tmp_path, monkeypatch)
    path = convert.export(state, registry.record(small), "pyslowfast", tmp_path / "image.pyth")
    video = videohub.inflate("small_video", image=small, checkpoint=path)
    assert "head.projection.weight (400, 256), head.projection.bias (400,)" in caplog.text

    kernel = video.state_dict()["stem.conv.weight"]
    assert kernel.shape == (8, 3, 5, 7, 7)
    assert torch.allclose(kernel.sum(dim=2), state["stem.conv.weight"][:, :, 0], atol=1e-6)
    assert torch.equal(kernel[:, :, 0], kernel[:, :, 4])

    still = torch.randn(1, 3, 1, 64, 64).expand(1, 3, 64, 64, 64)
    image = videohub.load(small, checkpoint=path)
    with torch.no_grad():
        inner = video.stem(still)[:, :, 16:48]  # away from the ends, where padding shows
        expected = image.stem(still[:, :, :1]).expand_as(inner)
    assert torch.allclose(inner, expected, atol=1e-4)


def test_networks_of_different_layouts_do_not_inflate(tmp_path, monkeypatch):
    small, state = _small_image_network(tmp_path, monkeypatch)
    path = convert.export(state, registry.record(small), "pyslowfast", tmp_path / "image.pyth")
    with pytest.raises(ConversionError, match="do not share their keys"):
        videohub.inflate(NAME, image=small, checkpoint=path)


PEAK = """
import sys, torch, safetensors.torch, videohub.models, videohub.convert
from videohub import weights
if sys.argv[1:]:
    weights.convert_file(sys.argv[1], "slow_r50_8x8", sys.argv[2])
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_converting_needs_at_most_two_and_a_half_times_the_file(tmp_path):
    source = tmp_path / "slow.pkl"
    convert.export(videohub.build("slow_r50_8x8").state_dict(), registry.record("slow_r50_8x8"), "caffe2", source)
    size = source.stat().st_size
    assert size > 100e6

    def peak(*arguments):
        command = [sys.executable, "-c", PEAK, *map(str, arguments)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert peak(source, tmp_path / "out.safetensors") - peak() <= 2.5 * size


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            "manual",
            r"https\S+ in a browser and pass the file with `--checkpoint FILE` \(in Python `checkpoint=`\), or keep"
            r" it as dl\.fba",
        ),
        ("program", "is a program, which videohub does"),
    ],
)
def test_what_cannot_be_fetched_says_how_it_is_had(status, said):
    record = msgspec.structs.replace(registry.record("slow_r50_8x8"), status=status)
    with pytest.raises(UnavailableError, match=f"(?s){said}"):
        fetch(record)
