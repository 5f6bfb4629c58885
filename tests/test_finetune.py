"""The example of fine-tuning learns six motions, and its file goes everywhere with nothing beside it.

The demo's network has seen the ten motions, and none of these videos: its training has a split of its own, and the
splits share no random number. Its classifier is thrown away and a new one learns six classes, in an order and under
names of their own, so what is tested is the way from class folders to a file. A clip that was mirrored, a target that
belongs to another video or a view that is not the network's would keep it from 70 per cent.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointWrapper,
    apply_activation_checkpointing,
)

import videohub
from tests.models.token_networks import FAMILIES, clip_for, network
from videohub.convert import kept_weights
from videohub.data.synthetic import motions
from videohub.data.synthetic.scenes import CLASSES
from videohub.errors import FormatError, UsageError

NAME = "slowfast_motions"
ROOT = Path(__file__).resolve().parent.parent
SIX = {"up": "moving up", "away": "shrinking", "left": "moving left", "near": "growing", "down": "moving down",
       "right": "moving right"}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def cache_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOHUB_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("VIDEOHUB_REGISTRY", raising=False)
        yield


# --- saving ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return videohub.build(NAME, num_classes=2, labels=["one", "zwei; drei"])


def test_a_saved_model_is_loaded_with_its_classes_and_nothing_else(model, tmp_path):
    path = videohub.save(model, tmp_path / "ours.safetensors")
    loaded = videohub.load(NAME, checkpoint=path)
    assert loaded.record.labels == ("one", "zwei; drei")
    assert loaded.record.num_classes == 2
    state = loaded.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    kept_weights.check(path)


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointing_around_the_blocks_changes_no_gradient_and_no_name(family):
    model = network(family).train()

    def gradients():
        model.zero_grad()
        torch.manual_seed(0)
        model(clip_for(family)).square().sum().backward()
        return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]

    before, names, block = gradients(), list(model.state_dict()), type(model.blocks[0])
    apply_activation_checkpointing(model, check_fn=lambda part: isinstance(part, block))
    assert any(isinstance(part, CheckpointWrapper) for part in model.blocks)
    after = gradients()
    assert before
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert list(model.state_dict()) == names


def test_a_network_in_half_precision_is_saved_in_single(model, tmp_path):
    half = videohub.build(NAME, num_classes=2)
    half.load_state_dict(model.state_dict())
    path = videohub.save(half.bfloat16(), tmp_path / "half.safetensors")
    loaded = videohub.load(NAME, checkpoint=path)
    key = "head.projection.weight"
    assert torch.equal(loaded.state_dict()[key], model.state_dict()[key].bfloat16().float())


def test_a_changed_byte_in_a_saved_file_is_found(model, tmp_path):
    path = videohub.save(model, tmp_path / "ours.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="checksum"):
        videohub.load(NAME, checkpoint=path)


@pytest.mark.parametrize(
    "wrap", [torch.nn.DataParallel, torch.optim.swa_utils.AveragedModel, torch.compile,
             lambda model: torch.nn.DataParallel(torch.compile(model))],
    ids=["parallel", "averaged", "compiled", "parallel and compiled"],
)  # fmt: skip
def test_a_wrapper_is_saved_as_the_network_in_it(model, tmp_path, wrap):
    videohub.save(wrap(model), tmp_path / "ours.safetensors")
    loaded = videohub.load(NAME, checkpoint=tmp_path / "ours.safetensors")
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in loaded.state_dict().items())


def with_head(model, projection):
    """A copy whose classifier somebody replaced by hand."""
    changed = copy.deepcopy(model)
    changed.head.projection = projection
    return changed


def test_a_head_that_was_replaced_by_hand_is_saved_once_the_record_says_so(model, tmp_path):
    changed = with_head(model, torch.nn.Linear(448, 4))
    changed.record = videohub.build(changed.record, num_classes=4, labels=list("abcd")).record
    videohub.save(changed, tmp_path / "ours.safetensors")
    assert videohub.load(NAME, checkpoint=tmp_path / "ours.safetensors").record.labels == tuple("abcd")


def test_what_is_no_model_of_ours_or_was_optimised_is_refused(model, tmp_path):
    with pytest.raises(UsageError, match=r"found a Linear without a record, expected a model from videohub\.load"):
        videohub.save(torch.nn.Linear(2, 2), tmp_path / "ours.safetensors")
    with pytest.raises(UsageError, match=r"without \d+ of its 230 tensors \(.*before it is optimised or quantised"):
        videohub.save(videohub.optimize(model), tmp_path / "ours.safetensors")
    with pytest.raises(UsageError, match=r"without 2 of its 230 tensors \(head\.projection\.bias\)"):
        videohub.save(with_head(model, torch.nn.Sequential(torch.nn.Linear(448, 4))), tmp_path / "ours.safetensors")
    with pytest.raises(
        UsageError, match=r"found 4 outputs, expected the 2 classes (.|\n)*model\.record = videohub\.build"
    ):
        videohub.save(with_head(model, torch.nn.Linear(448, 4)), tmp_path / "ours.safetensors")
    with pytest.raises(UsageError):
        videohub.save(model, tmp_path / "nowhere" / "ours.safetensors")
    assert list(tmp_path.iterdir()) == []


# --- training --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Folders of six classes: 60 videos to train on, 36 to look at."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("clips")
    for split, ours, clips in (("val", "train", 100), ("test", "val", 60)):
        for line in motions.generate(made, split=split, clips=clips).read_text().splitlines():
            path, label = line.split()
            name = next((name for name, motion in SIX.items() if CLASSES[int(label)] == motion), None)
            if name is not None:
                (folder / ours / name).mkdir(parents=True, exist_ok=True)
                (made / path).rename(folder / ours / name / Path(path).name)
    return folder


def finetune(folder: Path, out: Path, *, epochs: tuple[int, int], processes: int = 1) -> list[str]:
    """Run the example as a user does, and return what it prints."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += [str(ROOT / "examples" / "finetune.py"), str(folder), "--model", NAME, "--out", str(out), "--epochs",
                *map(str, epochs), "--lr", "3e-2", "3e-3", "--workers", "0"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(("data", "out", "said"), [
    ("nowhere", "a.safetensors", "nowhere: found no folder train in it"),
    ("clips", "nowhere/a.safetensors", "found no folder nowhere, expected one to write into"),
])  # fmt: skip
def test_a_path_that_cannot_do_is_told_before_hours_of_training(data, out, said, tmp_path):
    (tmp_path / "clips" / "train").mkdir(parents=True)
    command = [sys.executable, str(ROOT / "examples" / "finetune.py"), data, "--model", NAME, "--out", out]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.fixture(scope="module")
def ours(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "ours.safetensors"
    *epochs, written = finetune(folder, out, epochs=(1, 1))
    assert written == str(out)
    assert [line.split(":")[0] for line in epochs] == [f"epoch {number}" for number in (1, 2)]
    assert float(epochs[-1].split()[2]) >= 70, epochs
    return out


@pytest.mark.slow
def test_six_motions_are_learnt_and_the_file_is_measured_with_nothing_beside_it(ours, folder, run):
    """By the protocol's nine views of each video, as a folder of class folders."""
    code, out, _ = run("benchmark", NAME, "--data", folder / "val", "--checkpoint", ours, "--json")
    assert code == 0
    numbers = {number["metric"]: number["value"] for number in json.loads(out)["numbers"]}
    assert numbers["top-1"] >= 70


@pytest.mark.slow
def test_the_file_predicts_under_its_own_names(ours, folder, run):
    video = sorted((folder / "val" / "left").iterdir())[0]
    code, out, _ = run("predict", video, "--model", NAME, "--checkpoint", ours, "--topk", 6, "--json")
    assert code == 0
    assert set(SIX) == {name for name in SIX if f'"{name}"' in out}
    predictions = videohub.predict(video, videohub.load(NAME, checkpoint=ours), topk=6)
    assert {each.label for each in predictions} == set(SIX)
    assert sum(each.probability for each in predictions) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_the_file_is_exported_and_what_comes_out_knows_the_classes_too(ours, folder, tmp_path, run):
    exported = tmp_path / "ours.onnx"
    assert run("export", NAME, "--checkpoint", ours, "-o", exported)[0] == 0
    code, out, _ = run("predict", sorted((folder / "val" / "left").iterdir())[0], "--model", exported, "--topk", 6)
    assert code == 0
    assert all(name in out for name in SIX)


@pytest.mark.slow
def test_two_processes_train_together(folder, tmp_path):
    *epochs, written = finetune(folder, tmp_path / "two.safetensors", epochs=(1, 1), processes=2)
    assert len(epochs) == 2
    assert videohub.load(NAME, checkpoint=written).record.labels == tuple(sorted(SIX))
