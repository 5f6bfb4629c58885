"""What is no checkpoint, or no whole one, is refused: the error calls it by its name and says what to do."""

from __future__ import annotations

import gzip
import io
import os
import pickle

import numpy as np
import pytest
import safetensors.numpy
import torch

from tests.convert.files import CONTAINERS, tar_bytes, torch_bytes, torch_state, zip_bytes
from videohub.convert import read
from videohub.errors import FormatError, UnsafeFileError, UsageError

REFUSALS = {
    "empty": (b"", "empty"),
    "html": (b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>", "web page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s138--0f5a.pkl\n", "git annex get"),
    "text": (b"hello, this is no model\n", "text file"),
    "json": (b'{"error": "not found"}', "text file"),
    "parenthesis": (b"(see the model zoo)\n", "text file"),
    "mp4": (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2", "a video"),
    "avi": (b"RIFF\x24\x00\x00\x00AVI LIST", "a video"),
    "mkv": (b"\x1aE\xdf\xa3\x01\x00\x00\x00", "a video"),
    "png": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "an image"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "an image"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "xz": (b"\xfd7zXZ\x00\x00\x04", "xz"),
    "unknown": (bytes(range(1, 200)), "01 02 03 04"),
    "number": (pickle.dumps(3), "pickle of int"),
    "text blob": (pickle.dumps({"conv1_w": "a"}, 2), "'conv1_w' is a str"),
    "no blobs": (pickle.dumps({"blobs": {}}, 2), "without tensors"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_is_no_checkpoint_is_called_by_its_name(write, kind):
    data, words = REFUSALS[kind]
    path = write(data)
    with pytest.raises(FormatError, match=words) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n  " in str(caught.value)


def test_paths_that_are_no_files_are_misuse(tmp_path):
    with pytest.raises(UsageError, match="no such checkpoint file"):
        read(tmp_path / "nothing.pkl")
    with pytest.raises(UsageError, match="a folder"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="a pipe"):
        read(tmp_path / "pipe")


def test_a_broken_annex_link_says_how_to_get_the_file(tmp_path):
    (tmp_path / "model.pkl").symlink_to(".git/annex/objects/aa/bb/SHA256E-s1--c")
    with pytest.raises(FormatError, match="git annex get"):
        read(tmp_path / "model.pkl")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("container", [*CONTAINERS, "gzip", "tar"])
def test_a_truncated_file_is_refused_as_cut_short(write, container, share):
    noise = np.random.default_rng(0).random(4000).astype(np.float32)
    blobs = {f"res2_{i}_branch2a_w": noise[i:] for i in range(4)}
    make = {
        "caffe2": lambda: pickle.dumps({"blobs": blobs}, 2),
        "torch": lambda: torch_bytes({name: torch.from_numpy(value.copy()) for name, value in blobs.items()}),
        "torch_legacy": lambda: torch_bytes(
            {name: torch.from_numpy(value.copy()) for name, value in blobs.items()}, legacy=True
        ),
        "safetensors": lambda: safetensors.numpy.save(blobs),
        "npz": lambda: zip_bytes({"a.npy": pickle.dumps(noise)}),
        "gzip": lambda: gzip.compress(pickle.dumps(blobs)),
        "tar": lambda: tar_bytes({"m": pickle.dumps(blobs)})[:65000],
    }
    data = make[container]()
    with pytest.raises(FormatError, match="cut short"):
        read(write(data[: int(len(data) * share)]))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict_with_other_weights_in_it_is_refused_by_name(write, legacy):
    with pytest.raises(FormatError, match="'mean' in the state dict is a numpy array"):
        read(write(torch_bytes({"model_state": {**torch_state(), "mean": np.zeros(3)}}, legacy=legacy)))
    for inner in ({"weight": torch.ones(3)}, [torch.ones(3)]):
        with pytest.raises(FormatError, match=r"'encoder' in the state dict is a (dict|list), expected a tensor"):
            read(write(torch_bytes({**torch_state(), "encoder": inner}, legacy=legacy)))
    with pytest.raises(FormatError, match="keys epoch, losses"):
        read(write(torch_bytes({"epoch": 3, "losses": [1.0]}, legacy=legacy)))
    with pytest.raises(FormatError, match="'lr' in the state dict is a float, expected a tensor"):
        read(write(torch_bytes({"model": {"lr": 0.1}}, legacy=legacy)))
    with pytest.raises(FormatError, match="a torch file of a list"):
        read(write(torch_bytes([1], legacy=legacy)))


@pytest.mark.parametrize("under", [None, "model_state"])
@pytest.mark.parametrize("legacy", [False, True])
def test_numbers_and_texts_among_the_tensors_are_named_and_left_aside(write, legacy, under):
    extra = {
        "epoch": 3,
        "best": np.float64(0.5),
        "name": "a" * 9000,
        "arch": None,
        "options": {"lr": 0.1, "milestones": [1, 2]},
    }
    whole = {**torch_state(), **extra}
    result = read(write(torch_bytes({under: whole} if under else whole, legacy=legacy)))
    assert result.tensors.keys() == torch_state().keys()
    assert result.meta["epoch"] == 3
    assert result.meta["other_keys"] == ["best", "name", "arch", "options"]


def test_what_pickle_and_torch_write_of_other_tensors_is_refused_with_what_to_save(write):
    with pytest.raises(UnsafeFileError, match=r"write its state dict with torch\.save, not with pickle"):
        read(write(pickle.dumps(torch_state())))
    eights = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in torch_state().items()}
    with pytest.raises(UnsafeFileError, match=r"save its tensors whole and as plain numbers \(float32, not quantised"):
        read(write(torch_bytes(eights)))
    for protocol in (3, 4, 5):
        stream = io.BytesIO()
        torch.save(torch_state(), stream, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
        with pytest.raises(FormatError, match=f"a torch file pickled with protocol {protocol}, expected 2"):
            read(write(stream.getvalue()))


def test_folders_of_other_libraries_say_what_to_do(tmp_path):
    from torch.distributed.checkpoint import format_utils

    torch.save(torch_state(), tmp_path / "whole.pt")
    format_utils.torch_save_to_dcp(tmp_path / "whole.pt", tmp_path / "parts")
    with pytest.raises(UsageError, match=r"this is a folder.*\n.*dcp_to_torch_save makes a file"):
        read(tmp_path / "parts")
    format_utils.dcp_to_torch_save(tmp_path / "parts", tmp_path / "joined.pt")
    assert read(tmp_path / "joined.pt").tensors.keys() == torch_state().keys()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="It is one of transformers; name it in place of a record"):
        read(tmp_path / "folder")


def test_torchscript_is_refused_as_a_program(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "model.pt"))
    with pytest.raises(UnsafeFileError, match="TorchScript archive"):
        read(tmp_path / "model.pt")
