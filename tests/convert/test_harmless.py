"""What a guard could take for an attack, and is none: it is read."""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch

from tests.convert.attacks.archives import records
from tests.convert.attacks.models import GOOD, NO_HOOKS, STORAGE, state, torch_legacy, torch_zip
from tests.convert.attacks.sample import Call, opcodes
from tests.convert.files import BIAS, caffe2_bytes, torch_bytes, torch_state, zip_bytes
from videohub.convert import read


def test_a_blob_with_a_long_name_is_read(write):
    assert list(read(write(pickle.dumps({"a" * 5000: BIAS}, 2))).tensors) == ["a" * 5000]


def test_a_dict_that_python_2_kept_in_order_is_read(write):
    """It pickled as a call with a list of pairs."""

    class Ordered(OrderedDict):
        def __reduce__(self):
            return OrderedDict, ([list(pair) for pair in self.items()],)

    tensors = read(write(pickle.dumps(Ordered(pred_b=BIAS, lr=0.5), 2))).tensors
    np.testing.assert_array_equal(tensors["pred_b"], BIAS)
    assert tensors["lr"] == 0.5


@pytest.mark.parametrize("legacy", [False, True])
def test_what_schedulers_save_beside_the_weights_is_no_obstacle(write, legacy):
    beside = {"milestones": Counter({30: 1, 60: 2}), "shape": torch.Size([2, 3]), "order": OrderedDict(a=1)}
    content = {"model_state": torch_state(), **beside}
    assert read(write(torch_bytes(content, legacy=legacy))).meta["other_keys"] == ["milestones", "shape", "order"]


def test_a_part_of_a_storage_is_read_as_torch_once_wrote_it(write):
    half = opcodes((*STORAGE, ("part", 0, 12))) + b"q\x00Q"
    tensor = Call("torch._utils:_rebuild_tensor_v2", half, 0, (12,), (1,), False, NO_HOOKS)
    assert read(write(torch_legacy(state(tensor)))).tensors["w"].shape == (12,)


def test_a_zip_with_the_records_of_a_large_one_is_read(write):
    good = torch_zip(GOOD)
    begin, length, end = records(good)
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 4, 4, length, begin)
    pointer = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    assert list(read(write(good[:end] + large + pointer + good[end:])).tensors) == ["w"]


def test_a_zip_with_a_comment_and_folders_is_read(write):
    data = zip_bytes({"a/": b"", "a/b/": b"", "a/b/model.pkl": caffe2_bytes()})
    assert "pred_b" in read(write(data[:-2] + b"\x05\x00hello")).tensors
