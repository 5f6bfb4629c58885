"""Reading every container and wrapping, names that lie, and the refusal of what is no checkpoint."""

from __future__ import annotations

import gzip
import pickle
import pickletools
import subprocess
import sys
import tarfile
import tempfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from tests.convert.files import (
    BLOBS,
    CONTAINERS,
    STATE,
    WEIGHT,
    WRAPPINGS,
    caffe2_bytes,
    npz_bytes,
    safetensors_bytes,
    tar_bytes,
    torch_bytes,
    torch_state,
    zip_bytes,
)
from tests.convert.python2_pickles import FULL, TWO
from videohub.convert import Checkpoint, caffe2_pickle, read
from videohub.errors import FormatError, UsageError


def assert_holds(checkpoint: Checkpoint, expected: dict[str, np.ndarray]) -> None:
    assert sorted(checkpoint.tensors) == sorted(expected)
    for name, value in expected.items():
        result = checkpoint.tensors[name]
        assert result.dtype == value.dtype
        assert result.dtype.newbyteorder("=") == result.dtype
        assert result.flags.c_contiguous
        assert result.flags.writeable
        np.testing.assert_array_equal(result, value, strict=True)


@pytest.mark.parametrize("wrapping", WRAPPINGS, ids="-".join)
@pytest.mark.parametrize("container", CONTAINERS)
def test_each_container_is_read_in_each_wrapping(write, container, wrapping):
    make, expected, layout = CONTAINERS[container]
    checkpoint = read(write(WRAPPINGS[wrapping](make())))
    assert (checkpoint.container, checkpoint.wrapping, checkpoint.layout) == (container, wrapping, layout)
    assert_holds(checkpoint, expected)


@pytest.mark.parametrize("name", ["m.pkl", "m.pyth", "m.pt", "m.npz", "m.tar.gz", "m.html", "m"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_name_that_lies_changes_nothing(write, container, name):
    make, expected, _ = CONTAINERS[container]
    checkpoint = read(write(make(), name))
    assert checkpoint.container == container
    assert_holds(checkpoint, expected)


@pytest.mark.parametrize(("module", "protocol"), FULL)
def test_pickles_of_a_real_python_2_are_read_in_every_protocol(write, module, protocol):
    checkpoint = read(write(FULL[module, protocol]))
    assert (checkpoint.container, checkpoint.layout) == ("caffe2", "caffe2")
    weight = np.array([[-3, -2, -1], [0, 1, 2]], np.float32)
    expected = {
        "conv1_w": weight,
        "conv1_w_momentum": weight * 0,
        "model_iter": np.array(300000),
        "lr": np.float32(0.25),
    }
    for name, value in expected.items():
        np.testing.assert_array_equal(checkpoint.tensors.pop(name), np.asarray(value), strict=True)
    assert not checkpoint.tensors


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_python_3_are_read_in_every_protocol(write, protocol):
    odd = {
        "pred_w": np.asfortranarray(WEIGHT),
        "big": WEIGHT.astype(">f4"),
        "half": WEIGHT.astype(np.float16),
        "none": np.zeros((0, 3), np.float32),
        "strided": WEIGHT[:, ::2, ::-1],
        "yes": np.array([True, False]),
        "scalar": np.float32(0.25),
        "lr": 0.1,
        "model_iter": 7,
    }
    assert_holds(
        read(write(pickle.dumps(OrderedDict(odd), protocol))),
        {
            "pred_w": WEIGHT,
            "big": WEIGHT,
            "half": WEIGHT.astype(np.float16),
            "none": np.zeros((0, 3), np.float32),
            "strided": WEIGHT[:, ::2, ::-1],
            "yes": np.array([True, False]),
            "scalar": np.array(0.25, np.float32),
            "lr": np.array(0.1),
            "model_iter": np.array(7),
        },
    )


def test_the_module_that_numpy_2_renamed_is_known_by_both_names(write):
    old = TWO[2]
    assert b"numpy.core.multiarray" in old
    assert "conv1_w" in read(write(old.replace(b"numpy.core.multiarray", b"numpy._core.multiarray"))).tensors


def without_memo(data: bytes) -> list[tuple[str, object]]:
    """Return the opcodes of a pickle, but for the numbering of its memo."""
    return [
        (op.name, argument)
        for op, argument, _ in pickletools.genops(data)
        if op.name not in ("PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET")
    ]


def test_what_is_written_has_the_opcodes_of_a_real_python_2(tmp_path):
    blobs = {"conv1_w": np.array([[0, 2, 8], [32, 2, 0]], np.float32), "pred_b": np.array([8, 2], np.float32)}
    order = sorted(blobs, key=lambda name: TWO[2].index(name.encode()))
    caffe2_pickle.write(tmp_path / "out.pkl", {name: blobs[name] for name in order})
    assert without_memo((tmp_path / "out.pkl").read_bytes()) == without_memo(TWO[2])


def test_what_is_written_is_read_by_the_plain_reader_of_the_original(tmp_path):
    blobs = {
        "conv1_w": WEIGHT,
        "fortran": np.asfortranarray(WEIGHT),
        "big": WEIGHT.astype(">f4"),
        "long": np.arange(5000, dtype=np.float32),
        "bytes": np.arange(256, dtype=np.uint8),
        "none": np.zeros((0, 2), np.float32),
        "point": np.array(0.25, np.float32),
        "five": np.ones((1, 2, 1, 1, 1), np.float32),
        "model_iter": np.array(300000),
        "negative": np.array(-2),
        "epochs": np.array(0.1),
    }
    caffe2_pickle.write(tmp_path / "out.pkl", blobs)
    with open(tmp_path / "out.pkl", "rb") as file:
        result = pickle.load(file, encoding="latin1")["blobs"]
    assert list(result) == list(blobs)
    for name, value in blobs.items():
        np.testing.assert_array_equal(result[name], value)
    assert result["model_iter"] == 300000
    assert type(result["model_iter"]) is int
    assert result["epochs"] == 0.1
    again = read(tmp_path / "out.pkl").tensors
    for name, value in blobs.items():
        np.testing.assert_array_equal(again[name], value)


def test_more_blobs_than_one_batch_are_written(tmp_path):
    blobs = {f"res2_{i}_branch2a_w": np.array([i], np.float32) for i in range(2345)}
    caffe2_pickle.write(tmp_path / "out.pkl", blobs)
    assert_holds(read(tmp_path / "out.pkl"), blobs)


def test_what_caffe2_cannot_hold_is_not_written(tmp_path):
    with pytest.raises(UsageError, match="'conv1_w'"):
        caffe2_pickle.write(tmp_path / "out.pkl", {"conv1_w": np.array(["text"])})


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key", ["model_state", "state_dict", "model", None])
def test_a_torch_state_dict_is_found_where_training_code_puts_it(write, key, legacy):
    checkpoint = read(write(torch_bytes({key: torch_state()} if key else torch_state(), legacy=legacy)))
    assert_holds(checkpoint, STATE)
    assert checkpoint.meta["found_under"] == key


def test_a_network_in_two_state_dicts_is_read_as_one(write):
    checkpoint = read(write(torch_bytes({"trunk": torch_state(), "heads": torch_state(), "epoch": 3})))
    assert_holds(checkpoint, {f"{part}.{key}": array for part in ("trunk", "heads") for key, array in STATE.items()})
    assert (checkpoint.meta["found_under"], checkpoint.meta["epoch"]) == ("trunk and heads", 3)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_checkpoint_keeps_its_epoch_and_cfg_and_no_optimizer(write, legacy):
    group = {"lr": np.float64(0.1), "momentum": 0.9, "params": [140_000_000_000_000]}
    slots = {140_000_000_000_000: {"momentum_buffer": torch.ones(3)}}
    optimizer_state = {"state": slots, "param_groups": [group]}
    content = {"epoch": 195, "model_state": torch_state(), "optimizer_state": optimizer_state, "cfg": "MODEL: {}\n"}
    checkpoint = read(write(torch_bytes(content, legacy=legacy)))
    assert_holds(checkpoint, STATE)
    assert checkpoint.meta == {
        "found_under": "model_state",
        "epoch": 195,
        "cfg": "MODEL: {}\n",
        "other_keys": ["optimizer_state"],
        "other_weights": [],
    }


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_tensors_of_every_kind_keep_their_values(write, legacy):
    base = torch.arange(12, dtype=torch.float32)
    state = {
        "half": torch.tensor([1.5, -2], dtype=torch.float16),
        "bfloat16": torch.tensor([1.5, -(2.0**100)], dtype=torch.bfloat16),
        "double": torch.tensor([0.1], dtype=torch.float64),
        "count": torch.tensor(7),
        "flag": torch.tensor([True, False]),
        "turned": base.reshape(3, 4).t(),
        "part": base[4:8],
        "parameter": torch.nn.Parameter(base.clone()),
        "none": torch.zeros(0, 3),
    }
    values = np.arange(12, dtype=np.float32)
    assert_holds(
        read(write(torch_bytes(state, legacy=legacy))),
        {
            "half": np.array([1.5, -2], np.float16),
            "bfloat16": np.array([1.5, -(2.0**100)], np.float32),
            "double": np.array([0.1]),
            "count": np.array(7),
            "flag": np.array([True, False]),
            "turned": values.reshape(3, 4).T,
            "part": values[4:8],
            "parameter": values,
            "none": np.zeros((0, 3), np.float32),
        },
    )


def test_arrays_of_a_torch_file_outlive_the_file(write):
    path = write(torch_bytes())
    checkpoint = read(path)
    path.write_bytes(b"")
    assert_holds(checkpoint, STATE)


def test_bfloat16_of_safetensors_becomes_float32_exactly(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.tensor([1.5, -(2.0**100)], dtype=torch.bfloat16), "b": torch.ones(2)}, tmp_path / "m")
    tensors = read(tmp_path / "m").tensors
    np.testing.assert_array_equal(tensors["a"], np.array([1.5, -(2.0**100)], np.float32), strict=True)
    np.testing.assert_array_equal(tensors["b"], np.ones(2, np.float32), strict=True)


def test_a_file_of_our_own_is_known_by_its_header(write):
    checkpoint = read(write(safetensors_bytes({"videohub": "1", "record": "slowfast_r50_8x8"})))
    assert checkpoint.layout == "videohub"
    assert checkpoint.meta == {"videohub": "1", "record": "slowfast_r50_8x8"}


def test_compressed_npz_is_read(write):
    assert_holds(read(write(npz_bytes(compressed=True))), BLOBS)


def test_long_and_unicode_names_in_a_tar_are_read(write):
    name = "é" * 80 + "/" + "x" * 120 + ".pkl"
    for layout in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        checkpoint = read(write(tar_bytes({name: caffe2_bytes()}, format=layout)))
        assert checkpoint.source.endswith("::" + name)
        assert_holds(checkpoint, BLOBS)


def test_an_archive_of_several_checkpoints_is_refused_with_their_names(write):
    both = {"I3D_8x8_R50.pkl": caffe2_bytes(), "I3D_NLN_8x8_R50.pkl": caffe2_bytes()}
    for data in (gzip.compress(tar_bytes(both)), zip_bytes(both)):
        with pytest.raises(FormatError, match=r"(?s)holds 2 checkpoints.*I3D_8x8_R50.pkl.*I3D_NLN_8x8_R50.pkl"):
            read(write(data, "C2D_NOPOOL_8x8_R50.pkl"))


def test_an_archive_without_a_checkpoint_is_refused_with_what_it_holds(write):
    with pytest.raises(FormatError, match=r"(?s)without a checkpoint.*README.md"):
        read(write(tar_bytes({"README.md": b"hello\n"})))


def test_nothing_stays_in_the_temporary_folder(write, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    read(write(gzip.compress(tar_bytes({"m": caffe2_bytes()}))))
    with pytest.raises(FormatError):
        read(write(gzip.compress(tar_bytes({"m": caffe2_bytes()[:-9]}))))
    assert list(temporary.iterdir()) == []


def test_torch_is_not_imported_for_a_caffe2_pickle(write):
    code = (
        f"import sys; from videohub.convert import read; read({str(write(TWO[2]))!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_of_two_tables_with_parts_of_one_name_the_one_that_reads_the_file_is_taken(write, tmp_path, monkeypatch):
    """Omnivore's files have a trunk, too, which its table calls `trunk.`."""
    (tmp_path / "converters" / "vit").mkdir(parents=True)
    (tmp_path / "own.yaml").write_text("records: []\n")
    (tmp_path / "converters" / "vit" / "zlab.yaml").write_text(
        'recognised_by: {has: ["zz.tokens"]}\n'
        'written_as: {container: torch}\nparts: {"zz.": {under: trunk}}\n'
        'fields: {}\nrules: ["zz.tokens <-> embedding.tokens"]\n'
    )
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "own.yaml"))
    both = read(write(torch_bytes({"trunk": {"layers.0.w": torch.ones(2)}, "heads": {"b": torch.ones(2)}})))
    assert list(both.tensors) == ["trunk.layers.0.w", "heads.b"]
    omnivore = {"patch_embed.proj.weight": torch.ones(2)}
    assert list(read(write(torch_bytes({"trunk": omnivore, "epoch": 1}))).tensors) == ["trunk.patch_embed.proj.weight"]
    theirs = {"tokens": torch.ones(2)}
    assert list(read(write(torch_bytes({"trunk": theirs, "epoch": 1}))).tensors) == ["zz.tokens"]
