"""What somebody saved from a network of ours loads again, in whichever of the usual ways it was saved."""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import videohub
from tests.convert.key_names import to_published
from tests.golden import synth
from videohub import convert, registry
from videohub.building import build_empty
from videohub.convert import caffe2_pickle, recognition, tables
from videohub.errors import ChecksumError, ConversionError, FormatError, UnsafeFileError, UsageError
from videohub.hub import cache
from videohub.weights import convert_file, fetch

NAME = "slowfast_motions"


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def state():
    return synthetic(videohub.build(NAME))


def synthetic(model):
    """Golden values in the tensors of a network; batch counts that have counted."""
    result = {
        key: torch.from_numpy(synth.synth(key, tuple(tensor.shape))).to(tensor.dtype)
        for key, tensor in model.state_dict().items()
    }
    return {key: tensor + 7 if key.endswith("tracked") else tensor for key, tensor in result.items()}


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def in_pyslowfast(state):
    published = to_published(tables.find("slowfast", "pyslowfast"), state)
    return {published[key][0]: tensor for key, tensor in state.items()}


def in_caffe2(state):
    published = to_published(tables.find("slowfast", "caffe2"), state)
    return {names[0]: state[key].numpy() for key, names in published.items() if names}


# --- our own names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "npz"])
def test_a_network_s_own_state_dict_loads_again(tmp_path, state, suffix):
    file = tmp_path / f"own.{suffix}"
    if suffix == "pth":
        torch.save(state, file)
    elif suffix == "npz":
        np.savez(file, **state)
    else:
        save_file(state, file)
    assert convert.read(file).layout == "videohub"
    assert same(videohub.load(NAME, checkpoint=file).state_dict(), state)
    assert same(load_file(fetch(NAME, checkpoint=file)), state)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "model.",
                                    "backbone_x.", "a.b.c.d."])  # fmt: skip
@pytest.mark.parametrize("names", ["ours", "pyslowfast"])
def test_a_prefix_that_all_keys_share_is_taken_off_and_told(tmp_path, state, prefix, names, caplog):
    spelt = state if names == "ours" else in_pyslowfast(state)
    torch.save({"state_dict": {prefix + key: tensor for key, tensor in spelt.items()}}, tmp_path / "own.pth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "own.pth")), state)
    assert [record.getMessage() for record in caplog.records] == [
        f"{NAME}: took {prefix} off all keys of {tmp_path / 'own.pth'}"
    ]


def wrapped(model, wrap):
    """A network whose stages and head a trainer has wrapped, one by one."""
    for name in ("slow", "head"):
        setattr(model, name, wrap(getattr(model, name)))
    return model


@pytest.mark.parametrize("wrap", [torch.compile, torch.nn.DataParallel], ids=["compiled", "parallel"])
def test_the_state_dict_of_a_network_whose_parts_are_wrapped_loads_and_saves(tmp_path, state, wrap, caplog):
    model = wrapped(videohub.build(NAME), wrap).eval()
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    spelt = model.state_dict()
    assert len(spelt.keys() - state.keys()) > len(state) / 3
    for begins in ("", "module."):
        torch.save({begins + key: tensor for key, tensor in spelt.items()}, tmp_path / "own.pth")
        assert same(videohub.load(NAME, checkpoint=tmp_path / "own.pth").state_dict(), state)
        assert "took the names of torch's wrappers, such as _orig_mod, out of" in caplog.text
    videohub.save(model, tmp_path / "own.safetensors")
    assert same(load_file(tmp_path / "own.safetensors"), state)


@pytest.mark.parametrize("begins", ["", "_orig_mod."])
def test_an_averaged_network_s_count_is_left_aside_within_a_wrapper_too(tmp_path, state, begins):
    averaged = {f"{begins}n_averaged": torch.tensor(3), **{f"{begins}module.{key}": state[key] for key in state}}
    torch.save(averaged, tmp_path / "own.pth")
    assert same(videohub.load(NAME, checkpoint=tmp_path / "own.pth").state_dict(), state)


def test_names_that_would_become_one_without_their_wrapper_stay():
    both = {"a.module.weight": 1, "a.weight": 2, "b.module.weight": 3}
    assert recognition.without_wrappers(both) == both
    assert recognition.without_wrappers({"module.a._orig_mod.module.weight": 1, "module.b": 2}) == {
        "module.a.weight": 1, "module.b": 2
    }  # fmt: skip


def test_blobs_behind_a_prefix_are_known_too(tmp_path, state):
    np.savez(tmp_path / "own.npz", **{f"gpu_0.{name}": array for name, array in in_caffe2(state).items()})
    result = load_file(fetch(NAME, checkpoint=tmp_path / "own.npz"))
    assert all(torch.equal(result[key], state[key]) for key in state if not key.endswith("tracked"))


def test_a_network_whose_own_keys_begin_alike_loses_nothing():
    for prefix in ("", "slow."):
        result = recognition.recognise([f"{prefix}slow.stem.conv.weight", f"{prefix}slow.stem.norm.weight"], "slowfast")
        assert (result.layout, result.prefix) == ("videohub", prefix)


def test_keys_without_the_prefix_of_the_others_are_named(tmp_path, state):
    trained = {"weight": torch.ones(6), **{f"module.{key}": tensor for key, tensor in state.items()}}
    torch.save(trained, tmp_path / "loss.pth")
    with pytest.raises(ConversionError, match=r"(?s)no rule knows 1 of .*begin with module\. .*:\n    weight \(6,\)"):
        fetch(NAME, checkpoint=tmp_path / "loss.pth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "loss.pth", ignore=["weight"])), state)


def test_what_a_lightning_module_saved_loads_without_its_loss(tmp_path, state):
    tensors = {"loss.weight": torch.ones(6), **{f"model.{key}": tensor for key, tensor in state.items()}}
    options = argparse.Namespace(lr=0.1, folder=pathlib.Path("runs"))
    torch.save({"state_dict": tensors, "hyper_parameters": options, "epoch": 3}, tmp_path / "last.ckpt")
    with pytest.raises(ConversionError, match=r"leave keys aside\):\n    loss\.weight \(6,\)"):
        videohub.load(NAME, checkpoint=tmp_path / "last.ckpt")
    assert same(videohub.load(NAME, checkpoint=tmp_path / "last.ckpt", ignore=["loss.*"]).state_dict(), state)
    with pytest.raises(UsageError, match=r"found 'loss\.\*', expected a list of patterns"):
        videohub.load(NAME, checkpoint=tmp_path / "last.ckpt", ignore="loss.*")


def test_torch_s_average_of_networks_is_read_without_its_count(tmp_path, state):
    model = videohub.build(NAME)
    model.load_state_dict(state)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    torch.save(averaged.state_dict(), tmp_path / "average.pth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "average.pth")), state)


def test_that_another_network_is_in_the_file_is_told(tmp_path, state, caplog):
    other = {key: tensor + 1 for key, tensor in state.items()}
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": []}
    torch.save({"state_dict_ema": other, "state_dict": state, "optimizer": optimizer, "epoch": 3}, tmp_path / "two.pth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "two.pth")), state)
    assert "two.pth, which also holds state_dict_ema: " in caplog.text
    assert "optimizer" not in caplog.text


def test_that_other_weights_are_in_the_file_is_told_however_few_they_are_and_wherever_they_lie(tmp_path, state, caplog):
    parameters = {key: tensor for key, tensor in state.items() if "norm" not in key}
    content = {"state_dict": state, "ema": {"decay": 0.9, "shadow": [parameters]}, "lora": {"a": torch.ones(2, 3)},
               "head.projection.weight": torch.ones(4, 5), "loss": torch.tensor(0.5), "epochs": torch.tensor([1, 2]),
               "confusion": np.eye(4),
               "optim": {"exp_avg": torch.ones(3)}}  # fmt: skip
    torch.save(content, tmp_path / "more.pth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "more.pth")), state)
    assert "more.pth, which also holds ema, lora, head.projection.weight: " in caplog.text


@pytest.mark.parametrize("how", ["replaced", "written to"])
def test_a_file_that_changes_after_its_digest_was_taken_makes_no_weights(tmp_path, state, monkeypatch, how):
    """As training does with its latest file; what it held before is asked for later, by its own file."""
    latest, before, after = (tmp_path / name for name in ("latest.pth", "before.pth", "after.pth"))
    torch.save(state, before)
    torch.save({key: tensor + 1 for key, tensor in state.items()}, after)
    shutil.copy(before, latest)
    digest = cache.sha256_of

    def slowly(path):
        result = digest(path)
        if path == latest:
            if how == "replaced":
                os.replace(shutil.copy(after, tmp_path / "new"), latest)
            else:
                latest.write_bytes(after.read_bytes())
        return result

    with monkeypatch.context() as patch:
        patch.setattr(cache, "sha256_of", slowly)
        with pytest.raises(ChecksumError, match=r"latest\.pth was written to while it was read; before, it had sha256"):
            fetch(NAME, checkpoint=latest)
        with pytest.raises(ChecksumError, match="Nothing was kept"):
            convert_file(shutil.copy(before, latest), NAME, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
    assert same(load_file(fetch(NAME, checkpoint=before)), state)


def test_a_file_whose_time_alone_changes_while_it_is_read_is_the_same(tmp_path, state, monkeypatch):
    torch.save(state, tmp_path / "own.pth")
    digest = cache.sha256_of

    def touched(path):
        result = digest(path)
        path.touch()
        return result

    monkeypatch.setattr(cache, "sha256_of", touched)
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "own.pth")), state)


def test_a_classifier_without_outputs_is_none(tmp_path, state):
    empty = {"head.projection.weight": torch.zeros(0, 448), "head.projection.bias": torch.zeros(0)}
    torch.save({**state, **empty}, tmp_path / "zero.pth")
    with pytest.raises(ConversionError, match=r"head\.projection\.weight"):
        fetch(NAME, checkpoint=tmp_path / "zero.pth")


def test_a_file_that_is_called_as_another_kind_is_told(tmp_path, state, caplog):
    model = videohub.build(NAME)
    videohub.save(model, tmp_path / "good.safetensors")
    assert convert_file(tmp_path / "good.safetensors", NAME, tmp_path / "good.pth", layout="pyslowfast")
    assert "safetensors" not in caplog.text
    videohub.save(model, tmp_path / "bad.pth")
    assert "bad.pth: holds safetensors, which torch.load does not read; call it .safetensors" in caplog.text
    convert_file(tmp_path / "good.pth", NAME, tmp_path / "bad.safetensors", layout="pyslowfast")
    assert "bad.safetensors: holds no safetensors" in caplog.text


def test_a_path_that_no_disk_has_is_no_checkpoint(tmp_path):
    with pytest.raises(UsageError, match=r"slowfast_motions: x+: this path leads to no checkpoint file: "):
        fetch(NAME, checkpoint="x" * 5000)


def test_a_network_saved_whole_is_told_what_to_save(tmp_path):
    torch.save(videohub.build(NAME), tmp_path / "whole.pth")
    with pytest.raises(UnsafeFileError, match=r"Nothing from it was run\. .* save its state dict alone"):
        fetch(NAME, checkpoint=tmp_path / "whole.pth")


def test_one_of_two_networks_in_a_file_is_chosen_by_leaving_the_other_aside(tmp_path, state):
    both = {f"{which}.{key}": tensor for which in ("student", "teacher") for key, tensor in state.items()}
    save_file({key: tensor.clone() for key, tensor in both.items()}, tmp_path / "both.safetensors")
    with pytest.raises(ConversionError, match="no rule knows"):
        fetch(NAME, checkpoint=tmp_path / "both.safetensors")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "both.safetensors", ignore=["teacher.*"])), state)


@pytest.mark.parametrize("under", ["state_dict", "model", "model_state", "model_state_dict", "net", "module"])
def test_a_whole_training_checkpoint_is_read_for_its_network(tmp_path, state, under):
    model = videohub.build(NAME)
    model.load_state_dict(state)
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()(torch.randn(2, 3, 16, 64, 64)).sum().backward()
    optimizer.step()
    trained = model.state_dict()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    file = tmp_path / "checkpoint_best.pth"
    torch.save({"epoch": 3, "optimizer": optimizer.state_dict(), under: trained, "best": torch.tensor(0.5),
                "scheduler": schedule.state_dict(), "args": {"lr": 0.1, "names": ["a", "b"]}}, file)  # fmt: skip
    assert same(load_file(fetch(NAME, checkpoint=file)), trained)


@pytest.mark.parametrize(
    "beside", [{}, {"model": {"depth": 50, "classes": ["a"]}}, {"net": "slowfast"}, {"optimizer": {"state": {0: {}}}}]
)
def test_a_network_under_a_name_of_somebody_s_own_is_found_if_nothing_else_could_be_meant(tmp_path, state, beside):
    torch.save({"epoch": 3, "my_network": state, **beside}, tmp_path / "own.pth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "own.pth")), state)
    torch.save({"mine": state, "yours": state, **beside}, tmp_path / "two.pth")
    with pytest.raises(FormatError, match=r"expected a (state dict|tensor)"):
        fetch(NAME, checkpoint=tmp_path / "two.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("counts", [False, True])
def test_other_precisions_become_float32(tmp_path, state, dtype, suffix, counts):
    saved = {key: tensor.to(dtype) if counts or tensor.is_floating_point() else tensor for key, tensor in state.items()}
    (torch.save if suffix == "pth" else save_file)(saved, tmp_path / f"own.{suffix}")
    expected = {key: tensor.to(state[key].dtype) for key, tensor in saved.items()}
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / f"own.{suffix}")), expected)


def test_a_count_that_half_precision_made_infinite_is_no_count(tmp_path, state):
    saved = {key: (tensor + 99_999).half() if key.endswith("tracked") else tensor for key, tensor in state.items()}
    torch.save(saved, tmp_path / "half.pth")
    result = load_file(fetch(NAME, checkpoint=tmp_path / "half.pth"))
    assert {int(tensor) for key, tensor in result.items() if key.endswith("tracked")} == {0}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_optimised_network_is_told_as_what_it_is(tmp_path, state, prefix):
    model = videohub.build(NAME)
    model.load_state_dict(state)
    folded = videohub.optimize(model).state_dict()
    torch.save({prefix + key: tensor for key, tensor in folded.items()}, tmp_path / "fast.pth")
    with pytest.raises(ConversionError, match=r"This is a network of .*optimize: batch norms have become part"):
        fetch(NAME, checkpoint=tmp_path / "fast.pth")


def test_an_own_file_is_converted_to_every_layout_and_back(tmp_path, state):
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, tmp_path / "own.pth")
    convert_file(tmp_path / "own.pth", NAME, tmp_path / "own.pyth", layout="pyslowfast")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "own.pyth")), state)


def test_another_network_of_ours_is_refused_with_its_keys(tmp_path):
    slow = registry.record("slow_r50_8x8")
    torch.save({key: torch.zeros(1) for key in videohub.build(slow).state_dict()}, tmp_path / "slow.pth")
    with pytest.raises(ConversionError, match=r"no rule knows[^\0]*stem\.conv\.weight"):
        fetch(NAME, checkpoint=tmp_path / "slow.pth")


@pytest.mark.parametrize("layout", ["caffe2", "pyslowfast", "videohub"])
@pytest.mark.parametrize("name", ["slowfast_motions", "i3d_nln_r50_8x8", "slowfast_r101_8x8_ava22"])
def test_every_layout_is_known_by_its_keys_alone(name, layout):
    record = registry.record(name)
    keys = {key: [key] for key in videohub.building.build_empty(record).state_dict()}
    if layout != "videohub":
        keys = to_published(tables.find(record.family, layout), keys)
    spelt = [f"x.{names[0]}" for names in keys.values() if names]
    result = recognition.recognise(spelt, record.family)
    assert (result.layout, result.prefix, result.table.family) == (layout, "x.", record.family)
    assert result.knows(spelt) == len(spelt)
    assert recognition.layout_of(spelt) == layout


# --- PySlowFast's own training ---------------------------------------------------------------------------------------


def test_the_statistics_of_a_split_norm_become_those_of_the_whole_batch(tmp_path, state):
    """Two parts of two channels: means 1, 3 and 2, 2; variances 4, 6 and 1, 3. By hand: 2, 2 and 5 + 1, 2 + 0."""
    published = in_pyslowfast(state)
    split = {}
    for key, tensor in published.items():
        if result := re.fullmatch(r"(.*bn)\.(running_mean|running_var|num_batches_tracked)", key):
            split[f"{result[1]}.bn.{result[2]}"] = (
                tensor * 0
            )  # of before training, as a state dict of its middle has it
            split[f"{result[1]}.split_bn.{result[2]}"] = tensor.repeat(2) if tensor.ndim else tensor
        else:
            split[key] = tensor
    channels = len(published["s1.pathway0_stem.bn.weight"])
    even = torch.arange(channels) % 2 == 0
    stem = "s1.pathway0_stem.bn.split_bn"
    split[f"{stem}.running_mean"] = torch.cat([torch.where(even, 1.0, 2.0), torch.where(even, 3.0, 2.0)])
    split[f"{stem}.running_var"] = torch.cat([torch.where(even, 4.0, 1.0), torch.where(even, 6.0, 3.0)])
    split["s1.pathway0_stem.bn.weight"] = split["s1.pathway0_stem.bn.weight"].reshape(-1, 1, 1, 1)
    torch.save({"epoch": 9, "model_state": split, "cfg": "BN:\n  NORM_TYPE: sub_batchnorm\n"}, tmp_path / "own.pyth")
    result = load_file(fetch(NAME, checkpoint=tmp_path / "own.pyth"))
    mean, variance = result.pop("slow.stem.norm.running_mean"), result.pop("slow.stem.norm.running_var")
    assert torch.equal(mean, torch.full((channels,), 2.0))
    assert torch.equal(variance, torch.where(even, 6.0, 2.0))
    assert all(torch.allclose(result[key], state[key], rtol=1e-6) for key in result)
    assert {key for key in state if key not in result} == {
        "slow.stem.norm.running_mean", "slow.stem.norm.running_var"
    }  # fmt: skip


def test_a_split_norm_s_aggregate_alone_is_the_norm(tmp_path, state):
    spelt = {re.sub(r"bn\.(running|num)", r"bn.bn.\1", key): value for key, value in in_pyslowfast(state).items()}
    assert any(".bn.bn.running_mean" in key for key in spelt)
    torch.save({"model_state": spelt}, tmp_path / "own.pyth")
    assert same(load_file(fetch(NAME, checkpoint=tmp_path / "own.pyth")), state)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module."])
def test_split_norms_behind_a_prefix_are_joined_too(tmp_path, state, prefix):
    split = {}
    for key, tensor in in_pyslowfast(state).items():
        result = re.fullmatch(r"(.*bn)\.(running_mean|running_var)", key)
        split[prefix + (f"{result[1]}.split_bn.{result[2]}" if result else key)] = (
            tensor.repeat(4) if result else tensor
        )
    torch.save({"model_state": split}, tmp_path / "own.pyth")
    result = load_file(fetch(NAME, checkpoint=tmp_path / "own.pyth"))
    assert result.keys() == state.keys()
    assert all(torch.allclose(result[key], state[key], rtol=1e-6) for key in state)


@pytest.mark.parametrize("shape", [(3,), (7, 2), (0,)])
def test_split_statistics_of_another_size_are_refused(tmp_path, state, shape):
    """The stem of this network has 7 channels."""
    spelt = in_pyslowfast(state)
    for what in ("mean", "var"):
        spelt[f"s1.pathway0_stem.bn.split_bn.running_{what}"] = torch.ones(shape)
        del spelt[f"s1.pathway0_stem.bn.running_{what}"]
    torch.save({"model_state": spelt}, tmp_path / "own.pyth")
    with pytest.raises(ConversionError, match=r"pathway0_stem\.bn: a split batch norm of 7 channels with \([0-9, ]*\)"):
        fetch(NAME, checkpoint=tmp_path / "own.pyth")


def test_a_file_of_pyslowfast_s_trainer_is_read_for_its_network(tmp_path, state):
    momentum = {index: {"momentum_buffer": torch.ones(3)} for index in range(4)}
    file = tmp_path / "checkpoint_epoch_00196.pyth"
    torch.save({"epoch": 195, "model_state": in_pyslowfast(state), "cfg": "MODEL:\n  NUM_CLASSES: 10\n",
                "optimizer_state": {"state": momentum, "param_groups": [{"lr": 0.1, "params": [0, 1, 2, 3]}]},
                "scaler_state": {"scale": 65536.0, "growth_factor": 2.0}}, file)  # fmt: skip
    assert same(load_file(fetch(NAME, checkpoint=file)), state)


def test_blobs_of_an_own_training_are_read_beside_their_momentum(tmp_path, state):
    blobs = in_caffe2(state)
    momentum = {f"{name}_momentum": array * 0 for name, array in blobs.items()}
    caffe2_pickle.write(tmp_path / "own.pkl", {**blobs, **momentum, "lr": np.float32(0.1), "model_iter": np.array(7)})
    result = load_file(fetch(NAME, checkpoint=tmp_path / "own.pkl"))
    assert all(torch.equal(result[key], state[key]) for key in state if not key.endswith("tracked"))


# --- files of other networks, and parts of one -----------------------------------------------------------------------


def published(name, **changed):
    """The tensors of a record's file, each of one number but for those that are given."""
    record = registry.record(name)
    table = tables.find(record.family, record.checkpoint.layout).of(tables.arguments_of(record))
    result = to_published(table, build_empty(record).state_dict()).values()
    return {key: torch.zeros(1) for keys in result for key in keys[:1]} | changed


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("mma_slow_r50_4x16_ava21", "mma_slow_r50_4x16", r"\(for classification; mma_slow_r50_4x16_ava21 is for detec"),
        ("mma_slow_r50_4x16", "mma_slow_r50_4x16_ava21", r"\(for detection; mma_slow_r50_4x16 is for classification\)"),
        ("mma_x3d_s_13x6", "mma_tsm_r50_8", ""),
    ],
)
def test_whose_a_file_may_be_is_told_where_it_is_another_record_s(tmp_path, name, given, told):
    file = tmp_path / "other.pth"
    for prefix in ("", "module."):
        torch.save({"state_dict": {prefix + key: tensor for key, tensor in published(given).items()}}, file)
        words = rf"(?s)the keys do not fit.*\n  The files of {given}, .*{told}.*or take a file of {name}\."
        with pytest.raises(ConversionError, match=words):
            fetch(name, checkpoint=file)


def test_a_key_that_no_record_has_is_said_to_be_nobody_s(tmp_path):
    torch.save({"state_dict": published("mma_tsm_r50_8", surprise=torch.zeros(1))}, tmp_path / "more.pth")
    with pytest.raises(ConversionError, match=r"no rule knows 1 of 321 keys .*:\n    surprise \(1,\)$"):
        fetch("mma_tsm_r50_8", checkpoint=tmp_path / "more.pth")


def test_a_file_without_its_head_and_half_a_file_are_told_what_to_do(tmp_path, state):
    headless = {key: tensor for key, tensor in state.items() if not key.startswith("head.")}
    half = dict(list(state.items())[::2])
    for saved, advice in (
        (headless, "a network without its head: take a file that has one"),
        (half, "Take a whole file"),
    ):
        torch.save(saved, tmp_path / "part.pth")
        count = len(state) - len(saved)
        with pytest.raises(
            ConversionError, match=rf"(?s)missing from the file, {count} of {len(state)}:.*\n  .*{advice}"
        ):
            fetch(NAME, checkpoint=tmp_path / "part.pth")


def test_a_file_without_its_head_starts_a_training_as_its_message_says(tmp_path, state):
    torch.save({key: tensor for key, tensor in state.items() if not key.startswith("head.")}, tmp_path / "part.pth")
    with pytest.raises(ConversionError) as refused:
        fetch(NAME, checkpoint=tmp_path / "part.pth")
    messages = " ".join(str(refused.value).split())
    assert "model.load_state_dict({**model.state_dict(), **state})" in messages
    assert "videohub.convert.to_state_dict(videohub.convert.read(FILE), NAME)" in messages
    model = videohub.build(NAME, num_classes=3)
    taken = videohub.convert.to_state_dict(videohub.convert.read(tmp_path / "part.pth"), NAME)
    model.load_state_dict({**model.state_dict(), **taken})
    assert all(torch.equal(model.state_dict()[key], state[key]) for key in taken)
    assert model.state_dict().keys() - taken.keys() == {key for key in state if key.startswith("head.")}


def test_a_detector_with_other_classes_is_told_that_its_first_output_counts(tmp_path, caplog):
    """MMAction2's heads for AVA leave output 0 untrained; how many classes somebody's own file has, it does not say."""
    name = "mma_slow_r50_4x16_ava21"
    videohub.save(videohub.build(name, num_classes=7), tmp_path / "seven.safetensors")
    assert videohub.load(name, checkpoint=tmp_path / "seven.safetensors").record.model.background_outputs == 0
    assert "output 0 of seven.safetensors counts as a class here" in caplog.text
