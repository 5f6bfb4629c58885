"""Files that MMEngine wrote while it trained: histories of losses lie beside the weights, and are not looked at."""

from __future__ import annotations

import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch

from tests.convert.files import torch_bytes
from videohub.convert import read

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
    found = read(write(data))
    assert np.asarray(found.tensors["backbone.conv1.conv.weight"]).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.meta["other_keys"] == ["meta", "message_hub"]
    assert not any(name.startswith("mmengine") for name in sys.modules)


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
