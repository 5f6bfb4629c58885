"""Exported files: each family in each format, computed here again; what is wrong, or cannot be, leaves nothing."""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import videohub
from tests.exports.small_models import model_of, record_of, size_for
from tests.golden import synth
from tests.models.test_families import BOXES, NETWORKS
from videohub import exports
from videohub.convert.kept_weights import weights_digest
from videohub.data.labels import class_names
from videohub.errors import ConversionError, DeviceError, UnavailableError, UsageError, VideohubError
from videohub.exports import formats

DEMO = "slowfast_motions"
QUICK = {("vit", "pt2"), ("x3d", "ts")}  # and the demo's SlowFast as ONNX
SLOW = pytest.mark.slow
OF_FAMILIES = {arch.family: name for name, (arch, _) in reversed(NETWORKS.items())}  # each family's first network
KINDS = {"x3d", "slow detection", "tsm", "vit", "mvit", "swin3d"}  # convolutions, boxes, shifts, kinds of attention
BY_HAND = [SLOW, pytest.mark.by_hand]  # that each network is one graph is tests/models/test_families.py's
EVERY = [
    *(pytest.param(name, "ts", marks=() if (name, "ts") in QUICK else SLOW) for name in OF_FAMILIES.values()),
    *(pytest.param(name, "pt2", marks=() if (name, "pt2") in QUICK else SLOW if name in KINDS else BY_HAND)
      for name in OF_FAMILIES.values()),
    *(pytest.param(name, "onnx", marks=SLOW if name in KINDS else BY_HAND) for name in NETWORKS),
]  # fmt: skip


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "exported"
    made.mkdir()
    return made


def computed(path: Path, *inputs: torch.Tensor) -> torch.Tensor:
    """What the file gives, read as its users read it, without videohub."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        given = zip(session.get_inputs(), inputs, strict=True)
        (made,) = session.run(None, {value.name: tensor.numpy() for value, tensor in given})
        return torch.from_numpy(made)
    with torch.no_grad():
        if path.suffix == ".pt2":
            return torch.export.load(path).module()(*inputs)
        return torch.jit.load(path)(*inputs)


@pytest.fixture
def metadata(exported_demo):
    """The metadata of the demo's ONNX file, as any program reads them."""
    return {entry.key: json.loads(entry.value) for entry in onnx.load(exported_demo.out).metadata_props}


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.float() - expected).abs().max() / expected.abs().max()).item()


@torch.no_grad()
@pytest.mark.parametrize(("name", "suffix"), EVERY)
def test_networks_export_in_every_format_for_any_number_of_clips(folder, name, suffix):
    model, size = model_of(name), size_for(name)
    made = videohub.export(model, folder / f"a.{suffix}", size=size)
    frames = NETWORKS[name][1]
    for count in (1, 2, 5):
        clip = torch.from_numpy(synth.synth_clip(f"exports {count}", (count, 3, frames, size, size)))
        inputs = (clip,) if NETWORKS[name][0].task != "detection" else (clip, BOXES[BOXES[:, 0] < count])
        expected = model(*inputs)
        assert expected.std() > 0.01
        assert difference(computed(folder / f"a.{suffix}", *inputs), expected) <= 1e-4
    assert made.certificate.largest_relative_difference <= 1e-4
    assert [each.batch for each in made.certificate.comparisons] == [1, 3]
    assert {path.name for path in folder.iterdir()} == {f"a.{suffix}", "a.json"}


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_demo_s_network_runs_in_onnxruntime(exported_demo, count):
    clip = torch.from_numpy(synth.synth_clip(f"demo {count}", (count, 3, 16, 32, 32)))
    result = computed(Path(exported_demo.out), clip)
    assert difference(result, videohub.load(DEMO)(clip)) <= 1e-4


@pytest.mark.parametrize("suffix", ["onnx", pytest.param("pt2", marks=SLOW), pytest.param("ts", marks=SLOW)])
def test_a_certificate_says_what_the_file_is_and_what_it_was_compared_with(folder, exported_demo, suffix):
    made = exported_demo if suffix == "onnx" else videohub.export(DEMO, folder / f"motions.{suffix}")
    out = Path(made.out)
    result = json.loads(out.with_suffix(".json").read_text())
    assert result == msgspec.to_builtins(made.certificate) | {"comparisons": result["comparisons"]}
    assert (result["file"], result["size"]) == (out.name, out.stat().st_size)
    assert result["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert result["weights_sha256"] == weights_digest(videohub.load(DEMO).state_dict())
    assert result["clip"] == {"batch": None, "frames": 16, "height": 32, "width": 32, "sampling_rate": 2, "fps": 30.0}
    assert result["versions"]["videohub"] == videohub.__version__
    assert result["versions"]["torch"] == torch.__version__.partition("+")[0] or torch.__version__
    assert ("onnxruntime" in result["versions"]) == (suffix == "onnx")
    assert result["record"]["name"] == DEMO
    assert (result["precision"], result["tolerance"]) == ("fp32", 1e-4)
    assert result["largest_relative_difference"] == max(each["relative_difference"] for each in result["comparisons"])
    noise = np.frombuffer(hashlib.shake_256(b"videohub certificate").digest(3 * 16 * 32 * 32), np.uint8)
    clip = torch.from_numpy((noise / np.float32(255) - np.float32(0.45)) / np.float32(0.225))
    with torch.no_grad():
        logits = videohub.load(DEMO)(clip.reshape(1, 3, 16, 32, 32))
    assert result["comparisons"][0]["largest_logit"] == pytest.approx(logits.abs().max().item(), rel=1e-5)


def test_metadata_tell_what_a_stranger_needs_to_make_clips_and_to_name_outputs(metadata):
    assert metadata["videohub.labels"] == list(class_names("motions"))
    assert metadata["videohub.normalisation"] == [
        {"step": "divide", "by": 255.0},
        {"step": "normalise", "mean": [0.45, 0.45, 0.45], "std": [0.225, 0.225, 0.225]},
    ]
    assert metadata["videohub.clip"]["frames"] == 16
    assert metadata["videohub.record"]["name"] == DEMO
    assert metadata["videohub.activation"] == "softmax"
    assert metadata["videohub.protocol"]["metric"] == "topk"


@pytest.mark.parametrize("suffix", [pytest.param("pt2", marks=SLOW), "ts"])
def test_other_files_hold_the_same_in_a_file_of_their_own(folder, metadata, suffix):
    videohub.export(DEMO, folder / f"a.{suffix}")
    held = {formats.METADATA: ""}
    if suffix == "pt2":
        torch.export.load(folder / "a.pt2", extra_files=held)
        assert not holds_paths(folder / "a.pt2")
    else:
        torch.jit.load(folder / "a.ts", _extra_files=held)
    inside = json.loads(held[formats.METADATA])
    assert {f"videohub.{key}": value for key, value in inside.items()} == metadata


def test_an_onnx_file_holds_no_path_of_this_machine(exported_demo):
    assert str(Path(videohub.__file__).parent).encode() not in Path(exported_demo.out).read_bytes()


def holds_paths(archive: Path) -> bool:
    here = str(Path(videohub.__file__).parent).encode()
    with zipfile.ZipFile(archive) as file:
        return any(here in file.read(name) for name in file.namelist())


# --- numbers of clips, sizes, precision ------------------------------------------------------------------------------


@SLOW
@pytest.mark.parametrize("suffix", ["onnx", "ts"])
def test_a_fixed_batch_takes_as_many_clips_and_no_others(folder, suffix):
    made = videohub.export(DEMO, folder / f"a.{suffix}", batch=2).certificate
    assert [(each.batch, each.boxes) for each in made.comparisons] == [(2, 0), (2, 0)]
    assert made.clip.batch == 2
    if suffix == "onnx":
        with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
            computed(folder / "a.onnx", torch.zeros(3, 3, 16, 32, 32))


@SLOW
def test_other_sizes_and_lengths_are_those_of_the_file_and_of_its_record(folder):
    made = videohub.export(DEMO, folder / "a.onnx", size=(64, 96), frames=8)
    clip = torch.from_numpy(synth.synth_clip("wide", (2, 3, 8, 64, 96)))
    with torch.no_grad():
        expected = videohub.load(DEMO)(clip)
    assert difference(computed(folder / "a.onnx", clip), expected) <= 1e-4
    assert made.certificate.record["clip"]["frames"] == 8
    square = videohub.export(DEMO, folder / "square.ts", size=64).certificate
    assert square.record["protocol"]["pixels"][-1]["size"] == 64


@SLOW
@pytest.mark.parametrize("suffix", ["onnx", "pt2", "ts"])
def test_half_is_float16_from_clip_to_logits(folder, exported_demo, suffix):
    made = videohub.export(DEMO, folder / f"half.{suffix}", half=True)
    assert (made.certificate.precision, made.certificate.tolerance) == ("fp16", 2e-2)
    clip = torch.from_numpy(synth.synth_clip("half", (2, 3, 16, 32, 32)))
    logits = computed(folder / f"half.{suffix}", clip.half())
    assert logits.dtype == torch.float16
    with torch.no_grad():
        assert difference(logits, videohub.load(DEMO)(clip)) <= 2e-2
    whole = exported_demo if suffix == "onnx" else videohub.export(DEMO, folder / f"whole.{suffix}")
    assert made.certificate.size < 0.7 * whole.certificate.size


@SLOW
@pytest.mark.parametrize("name", [name for name in NETWORKS if " " not in name or name == "slow detection"])
def test_every_family_exports_in_half(folder, name):
    """With weights as training begins: those that are made from names give logits beyond float16."""
    torch.manual_seed(0)
    model = videohub.build(record_of(name))
    for key, parameter in model.named_parameters():
        if "norm" in key:  # else blocks begin as the identity
            torch.nn.init.uniform_(parameter, 0.2, 1.0)
    made = videohub.export(model, folder / "a.ts", size=size_for(name), half=True).certificate
    assert 0 < made.largest_relative_difference <= 2e-2


@SLOW
def test_a_network_without_a_classifier_gives_its_features(folder):
    model = model_of("x3d")
    arch = msgspec.structs.replace(NETWORKS["x3d"][0], num_classes=None)
    model = videohub.build(msgspec.structs.replace(record_of("x3d"), model=arch))
    made = videohub.export(model, folder / "a.onnx", size=64)
    (output,) = onnx.load(folder / "a.onnx").graph.output
    assert output.name == "features"
    assert output.type.tensor_type.shape.dim[1].dim_value == model.num_features
    assert made.certificate.record["model"]["num_classes"] is None


def test_a_file_of_one_s_own_is_exported_with_its_classes(run, folder):
    ours = videohub.load(DEMO, num_classes=3, labels=None)
    torch.save(ours.state_dict(), folder / "own.pth")
    (folder / "names.txt").write_text("up\ndown\nleft\n")
    code, printed, _ = run("export", DEMO, "-o", folder / "own.ts", "--checkpoint", folder / "own.pth",
                           "--labels", folder / "names.txt", "--json")  # fmt: skip
    assert code == 0
    assert json.loads(printed)["certificate"]["record"]["labels"] == ["up", "down", "left"]
    held = {formats.METADATA: ""}
    assert torch.jit.load(folder / "own.ts", _extra_files=held)(torch.zeros(1, 3, 16, 32, 32)).shape == (1, 3)
    assert json.loads(held[formats.METADATA])["labels"] == ["up", "down", "left"]


# --- wrong files -----------------------------------------------------------------------------------------------------


def wrong_form(model, **changes):
    """An inference form whose classifier is a little off."""
    form = videohub.optimize(model)
    with torch.no_grad():
        form.head.projection.bias[0] += changes.get("by", 0.1)
    return form


@pytest.mark.parametrize("suffix", [pytest.param("onnx", marks=BY_HAND), pytest.param("pt2", marks=SLOW), "ts"])
def test_a_file_that_gives_other_logits_is_not_kept(run, folder, monkeypatch, suffix):
    monkeypatch.setattr(exports, "optimize", wrong_form)
    code, printed, err = run("export", DEMO, "-o", folder / f"a.{suffix}")
    assert (code, printed) == (1, "")
    assert f"a.{suffix} gives other logits than the network: they differ by 0." in err
    assert "in a batch of 1, 0." in err
    assert "allowed is 0.0001" in err
    assert [*folder.iterdir()] == []


@SLOW
def test_what_was_there_before_stays_where_a_new_file_is_wrong(folder, monkeypatch):
    videohub.export(DEMO, folder / "a.ts")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(exports, "optimize", wrong_form)
    with pytest.raises(ConversionError, match="other logits"):
        videohub.export(DEMO, folder / "a.ts")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_that_is_right_for_one_clip_alone_is_not_kept(folder, monkeypatch):
    class OneClip(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = videohub.optimize(model)

        def forward(self, clip):
            return self.model(clip)[:1].expand(clip.shape[0], -1)

    monkeypatch.setattr(exports, "optimize", OneClip)
    with pytest.raises(ConversionError, match="in a batch of 3"):
        videohub.export(DEMO, folder / "a.ts")
    assert [*folder.iterdir()] == []


def test_logits_that_are_no_numbers_are_told_and_nothing_is_written(folder):
    model = videohub.load(DEMO)
    with torch.no_grad():
        model.head.projection.bias[0] = float("nan")
    with pytest.raises(ConversionError, match="no numbers for noise; look at its weights"):
        videohub.export(model, folder / "a.ts")
    assert [*folder.iterdir()] == []


@SLOW
def test_a_network_whose_logits_are_all_zero_is_told(folder):
    model = videohub.load(DEMO)
    with torch.no_grad():
        model.head.projection.weight.zero_()
        model.head.projection.bias.zero_()
    with pytest.raises(ConversionError, match="all 0 for noise, beside which no difference shows"):
        videohub.export(model, folder / "a.ts")
    assert [*folder.iterdir()] == []


@SLOW
def test_half_that_overflows_is_not_kept(folder):
    model = videohub.load(DEMO)
    with torch.no_grad():
        model.head.projection.weight.mul_(1e6)
    with pytest.raises(ConversionError, match=r"allowed is 0\.02"):
        videohub.export(model, folder / "a.ts", half=True)
    assert [*folder.iterdir()] == []


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (DEMO, {"frames": 10}, "does not take clips of 10 frames of 32 x 32 pixels"),
        (DEMO, {"size": 0}, "size: found 0, expected a whole number"),
        (
            DEMO,
            {"size": 10**7},
            r"size: found 1 clip\(s\) of \d+ frames of 10000000 x 10000000 pixels \(height x width\), expected at most",
        ),
        (DEMO, {"batch": 0}, "batch: found 0"),
        (DEMO, {"batch": "any"}, "batch: found 'any'"),
        ("rev_mvit_b_16x4_k400", {"size": 192}, "does not take clips of"),
        ("vit_b_mae_nothing", {}, "vit_b_mae_nothing"),
    ],
)
def test_what_a_network_does_not_take_is_refused_before_any_work(folder, name, arguments, message):
    with pytest.raises(VideohubError, match=message):
        videohub.export(name, folder / "a.onnx", **arguments)
    assert [*folder.iterdir()] == []


def test_three_sides_are_no_size(folder):
    with pytest.raises(UsageError, match=r"size: found \(32, 32, 32\), expected one number, or height and width"):
        videohub.export(DEMO, folder / "a.ts", size=(32, 32, 32))


def test_a_file_that_is_no_text_is_no_certificate(folder):
    (folder / "bytes.json").write_bytes(b'{"file":"\xff"}')
    with pytest.raises(UsageError, match=r"bytes\.json: found no certificate"):
        videohub.export(DEMO, folder / "bytes.ts")


def test_networks_that_nobody_has_are_refused_with_the_reason(folder):
    for status, error in (("unreleased", UnavailableError), ("program", UnavailableError)):
        for name in videohub.list_models(status=status)[:1]:
            with pytest.raises(error):
                videohub.export(name, folder / "a.ts")
    assert [*folder.iterdir()] == []


def test_more_weights_than_an_onnx_file_holds_are_refused(folder):
    (name,) = videohub.list_models(arch="vit", depth="H", publisher="pyslowfast")
    with pytest.raises(
        UsageError, match=r"its weights take 2\.5\d GB, and an ONNX file holds 2\.15 GB at most; write a .pt2"
    ):
        videohub.export(name, folder / "a.onnx")


def test_models_that_cannot_be_exported_are_told_why(folder):
    out = folder / "a.ts"
    for model, message in (
        (torch.nn.Linear(1, 1), "comes neither from videohub.load nor from videohub.build"),
        (videohub.load(DEMO).train(), "in training mode"),
        (videohub.load(DEMO).half(), "found weights of torch.float16"),
    ):
        with pytest.raises(UsageError, match=message):
            videohub.export(model, out)
    with pytest.raises(UsageError, match="found a model and the checkpoint"):
        videohub.export(videohub.load(DEMO), out, checkpoint="own.pth")
    assert [*folder.iterdir()] == []


def test_places_that_hold_something_else_are_left_alone(run, folder):
    (folder / "a.json").write_text("{}")
    code, _, err = run("export", DEMO, "-o", folder / "a.ts")
    assert code == 2
    assert "found no certificate, expected a place for that of a.ts; name another one with certificate=" in err
    code, _, err = run("export", DEMO, "-o", folder / "a.ts", "--certificate", folder / "b.json")
    assert code == 0
    code, _, err = run("export", DEMO, "-o", folder / "b.pt2")
    assert (code, "found the certificate of a.ts" in err) == (2, True)
    for name in ("a.pb", "a"):
        code, _, err = run("export", DEMO, "-o", folder / name)
        assert code == 2
        assert "expected a file to export to: .pt2 (torch.export), .onnx (ONNX), .ts (TorchScript)" in err
    assert run("export", DEMO, "-o", folder / "nowhere" / "a.ts")[0] == 2
    assert (folder / "a.json").read_text() == "{}"


def test_a_missing_library_is_named_before_any_work(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(DeviceError, match="pip install onnxscript"):
        videohub.export(DEMO, folder / "a.onnx")


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command_line_prints_what_the_file_takes_and_how_far_it_was(run, folder):
    code, printed, _ = run("export", DEMO, "-o", folder / "a.ts", "--batch", "2", "--size", "32x64")
    assert code == 0
    assert printed.startswith(f"{folder / 'a.ts'}: slowfast_motions as TorchScript, ")
    assert "2 x 3 x 16 x 32 x 64, float32" in printed
    assert "allowed 0.0001" in printed
    assert str(folder / "a.json") in "".join(printed.split())


@pytest.mark.parametrize(
    ("option", "value"), [("--size", "1x2x3"), ("--size", "big"), ("--batch", "0"), ("--frames", "0")]
)
def test_options_that_are_no_numbers_are_misuse(run, folder, option, value):
    assert run("export", DEMO, "-o", folder / "a.ts", option, value)[0] == 2
