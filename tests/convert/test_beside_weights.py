"""Files that were written in training: beside the weights lie histories of losses and options, which nobody reads."""

from __future__ import annotations

import argparse
import pathlib
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch

from tests.convert.files import torch_bytes
from videohub.convert import read
from videohub.errors import FormatError

CLASS = b"cmmengine.logging.history_buffer\nHistoryBuffer\n"


@pytest.fixture
def history(monkeypatch):
    """Return a maker of what MMEngine 0.10 keeps of a loss, and, as older versions did, its class's methods in it."""
    module = types.ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def min(self): ...

        def max(self): ...

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, "HistoryBuffer"
    for name in ("min", "max"):
        getattr(HistoryBuffer, name).__module__ = module.__name__
        getattr(HistoryBuffer, name).__qualname__ = f"HistoryBuffer.{name}"
    module.HistoryBuffer = HistoryBuffer
    for parent in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def made(methods: bool) -> object:
        buffer = HistoryBuffer()
        buffer.max_length = 1000000
        buffer._log_history, buffer._count_history = np.linspace(3, 1, 7), np.ones(7, np.int64)
        if methods:
            buffer._statistics_methods = {"min": HistoryBuffer.min, "max": HistoryBuffer.max}
        return buffer

    return made


@pytest.mark.parametrize("methods", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_the_weights_beside_histories_are_read_and_nothing_is_imported(write, history, monkeypatch, methods, legacy):
    weights = OrderedDict({"backbone.conv1.conv.weight": torch.arange(6.0).reshape(2, 3)})
    hub = {"log_scalars": OrderedDict(loss=history(methods), lr=history(methods)), "runtime_info": {"iter": 7}}
    data = torch_bytes({"meta": {"epoch": 3}, "state_dict": weights, "message_hub": hub}, legacy=legacy)
    assert b"HistoryBuffer" in data
    assert (b"getattr" in data) == methods
    for name in [name for name in sys.modules if name.startswith("mmengine")]:
        monkeypatch.delitem(sys.modules, name)
    result = read(write(data))
    assert np.asarray(result.tensors["backbone.conv1.conv.weight"]).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert result.meta["other_keys"] == ["meta", "message_hub"]
    assert not any(name.startswith("mmengine") for name in sys.modules)


def options_of(name: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """Return options as a training script keeps them: argparse's, or a dict's of a library that is not here."""
    if name == "argparse.Namespace":
        place = argparse.Namespace(of=pathlib.Path("runs"), kinds={"a", "b"}, none=None)
        return argparse.Namespace(
            lr=0.1, device=torch.device("cpu"), dtype=torch.bfloat16, size=torch.Size([2]), **vars(place)
        )
    module, _, ours = name.rpartition(".")
    kind = type(ours, (dict,), {"__module__": module, "__qualname__": ours})
    for depth in range(module.count(".") + 1):
        parent = module.rsplit(".", depth)[0]
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    setattr(sys.modules[module], ours, kind)
    options = kind(TRAIN=kind(LR=0.1, BATCH=8), GPUS=[0, 1])
    options.__dict__["frozen"] = {True}
    return options


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "name",
    ["argparse.Namespace", "yacs.config.CfgNode", "easydict.EasyDict", "lightning_fabric.utilities.data.AttributeDict"],
)
def test_the_weights_beside_options_are_read_and_nothing_is_imported(write, monkeypatch, name, legacy):
    options = options_of(name, monkeypatch)
    data = torch_bytes({"model": {"head.weight": torch.arange(3.0)}, "args": options, "epoch": 4}, legacy=legacy)
    for imported in [imported for imported in sys.modules if imported.partition(".")[0] == name.partition(".")[0]]:
        monkeypatch.setitem(sys.modules, imported, None)  # an import would fail
    result = read(write(data))
    assert np.asarray(result.tensors["head.weight"]).tolist() == [0, 1, 2]
    assert (result.meta["epoch"], result.meta["other_keys"], result.meta["other_weights"]) == (4, ["args"], [])


def test_options_are_no_weights(write):
    with pytest.raises(FormatError, match="'lr' in the state dict is an object, expected a tensor"):
        read(write(torch_bytes({"model": {"lr": argparse.Namespace(lr=0.1)}})))
    with pytest.raises(FormatError, match="a torch file of an object, expected a state dict"):
        read(write(torch_bytes(argparse.Namespace(lr=0.1))))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (b"ctorch\nFloatStorage\n)\x81", "object of its own class"),  # of another global that is known
        (CLASS + b"0ctorch\nFloatStorage\n)\x81", "object of its own class"),
        (b"c__builtin__\ngetattr\n" + CLASS + b"U\x03min\x86R", "__builtin__.getattr"),  # before the class was named
        (CLASS + b"0c__builtin__\ngetattr\nctorch\nFloatStorage\nU\x08__init__\x86R", "asks for an attribute"),
        (CLASS + b")\x810c__builtin__\ngetattr\nU\x01aU\x01b\x86R", "asks for an attribute"),
        (b"cmmengine.logging.history_buffer\nnp\n", "mmengine.logging.history_buffer.np"),
    ],
)
def test_nothing_else_is_made_and_no_other_attribute_is_given(write, refused, what, message):
    refused(write(legacy_file(b"\x80\x02}U\x01a" + what + b"s.")), message)


def legacy_file(outline: bytes) -> bytes:
    """Return a torch file of five pickles whose fourth is `outline`, and which has no storages."""
    parts = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001}]
    return b"".join(pickle.dumps(part, 2) for part in parts) + outline + pickle.dumps([], 2)
