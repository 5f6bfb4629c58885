"""Arrays of odd shapes, types and orders: read with their values, or refused by an error of ours."""

from __future__ import annotations

import io
import pickle
import struct

import numpy as np
import pytest
import torch

from tests.convert.attacks.models import NO_HOOKS, STORAGE, state, torch_legacy, torch_zip
from tests.convert.attacks.sample import Call, opcodes
from tests.convert.files import WEIGHT, torch_bytes, zip_bytes
from tests.convert.python2_pickles import bytes_pickle
from videohub.convert import kept_weights, read, to_state_dict
from videohub.convert.checkpoint import Checkpoint
from videohub.convert.recognition import check_state_dict
from videohub.errors import ConversionError, FormatError


def numbers(*values: int) -> bytes:
    """The opcodes of a tuple of numbers of any size."""
    return b"(" + b"".join(b"\x8a\x09" + value.to_bytes(9, "little") for value in values) + b"t"


def odd_tensor(shape: tuple[int, ...]) -> bytes:
    """The opcodes of a state dict with a tensor of this shape."""
    storage, strides = opcodes(STORAGE) + b"q\x00Q", numbers(*[1] * len(shape))
    return state(Call("torch._utils:_rebuild_tensor_v2", storage, 0, numbers(*shape), strides, False, NO_HOOKS))


def npz_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, w=array)
    return file.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return zip_bytes({"w.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data})


def safetensors(shape: str, dtype: str = "F32") -> bytes:
    header = b'{"w":{"dtype":"%s","shape":%s,"data_offsets":[0,0]}}' % (dtype.encode(), shape.encode())
    return struct.pack("<Q", len(header)) + header


def pickled(shape: tuple[int, ...]) -> bytes:
    """A pickle of an array without elements, whose shape is then changed to one that numpy cannot make."""
    data = pickle.dumps({"conv1_w": np.zeros((0, 7), np.float32)}, 2)
    assert data.count(b"K\x00K\x07\x86") == 1
    return data.replace(b"K\x00K\x07\x86", numbers(*shape))


HUGE = {
    "torch": torch_zip(odd_tensor((0, 2**61))),
    "torch of three": torch_zip(odd_tensor((2**61, 0, 2**61))),
    "torch_legacy": torch_legacy(odd_tensor((0, 2**61))),
    "npz": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2305843009213693952)}"),
    "npz of bytes": npy("{'descr': '|u1', 'fortran_order': True, 'shape': (4611686018427387903, 0, 5)}"),
    "safetensors": safetensors(f"[0,{2**61}]"),
    "safetensors of many": safetensors(str([0, *[2**31] * 40]).replace(" ", "")),
    "caffe2": pickled((0, 2**61)),
}  # fmt: skip


@pytest.mark.parametrize("kind", HUGE)
def test_an_empty_array_that_no_machine_can_address_is_refused(write, kind, refused):
    refused(write(HUGE[kind]), "an array of shape")


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2**20)])
def test_empty_arrays_are_read(write, shape):
    for data in (
        torch_bytes({"w": torch.zeros(shape)}),
        npz_of(np.zeros(shape, "f4")),
        pickle.dumps({"w": np.zeros(shape)}),
    ):
        assert read(write(data)).tensors["w"].shape == shape


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        ("g", "float128|longdouble|expected one of"),
        ("G", "expected one of"),
        ("O", "Python objects can run code"),
        ("U3", "expected numbers"),
        ("S3", "expected numbers"),
        ("M8[s]", "expected numbers"),
        ([("a", "f4"), ("b", "i2")], "expected numbers"),
        (("f4", (2,)), ""),
    ],
)
def test_arrays_of_anything_but_plain_numbers_are_refused_in_npz(write, dtype, words):
    array = np.zeros(3, dtype)
    if array.dtype == np.float32:  # a shape in a dtype is a shape
        np.testing.assert_array_equal(read(write(npz_of(array))).tensors["w"], array)
        return
    with pytest.raises(FormatError, match=words):
        read(write(npz_of(array)))


ORDERS = {
    "columns": np.asfortranarray,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "big-endian columns": lambda array: np.asfortranarray(array.astype(array.dtype.newbyteorder(">"))),
    "turned": lambda array: array.transpose(2, 0, 1),
    "every other": lambda array: array[:, ::2, ::-1],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i8", "u1", "c8"])
def test_arrays_of_every_order_keep_their_values(write, order, dtype):
    array = ORDERS[order](WEIGHT.astype(dtype))
    for data in (npz_of(array), *(pickle.dumps({"w": array}, protocol) for protocol in (0, 2, 5))):
        result = read(write(data)).tensors["w"]
        assert result.flags.c_contiguous
        assert result.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(result, array)


def test_arrays_longer_than_one_piece_keep_their_values(write):
    """Every byte occurs, in every escape that a pickle of text has, and at every place of a piece."""
    array = np.random.default_rng(0).integers(0, 256, 3_000_001, np.uint8)
    for protocol in (0, 1, 2, 4):
        np.testing.assert_array_equal(read(write(pickle.dumps({"w": array}, protocol))).tensors["w"], array)
    escapes = np.frombuffer(rb"\'" + b"'\\x41\\n\n\r\t\0\x80" * 20_000, np.uint8)
    for protocol in (0, 2, 4):
        np.testing.assert_array_equal(read(write(pickle.dumps({"w": escapes}, protocol))).tensors["w"], escapes)


def test_strings_of_python_2_in_digits_are_read_whatever_their_length(write):
    array = np.random.default_rng(1).integers(0, 256, 300_007, np.uint8)
    for protocol in (0, 1):
        np.testing.assert_array_equal(read(write(bytes_pickle(array.tobytes(), protocol))).tensors["w"], array)


@pytest.mark.parametrize("legacy", [False, True])
def test_views_of_every_kind_keep_their_values(write, legacy):
    base = torch.arange(5 * 700 * 900, dtype=torch.float32)
    views = {
        "turned": base.view(5, 700, 900).permute(2, 0, 1),
        "gaps": base[::3],
        "gaps in rows": base.view(5, 700, 900)[:, ::2, 5:800:7],
        "far apart": base.view(5, 700, 900)[:, 0, 0],
        "windows": base[:40].unfold(0, 7, 3),
        "one of a row": base.view(5, 700, 900)[:, :, :1],
        "part": base[17:400_017],
    }
    result = read(write(torch_bytes(views, legacy=legacy))).tensors
    for name, view in views.items():
        np.testing.assert_array_equal(result[name], view.numpy(), err_msg=name)


DEEP = '{"a":' * 900 + "1" + "}" * 900


@pytest.mark.parametrize(
    "record", [DEEP, "[" * 100_000, "", "null", "3", '{"name": 3}', '{"name": "' + "x" * 10**6 + '"}']
)
def test_a_record_that_cannot_be_read_is_another_record(record):
    meta = {"videohub": "1", "record": record}
    weights = Checkpoint("safetensors", (), {"head.projection.bias": WEIGHT}, meta, "file")
    with pytest.raises(ConversionError, match="holds converted weights of") as caught:
        to_state_dict(weights, "slowfast_r50_8x8")
    assert len(str(caught.value)) < 2000


def test_a_header_nested_without_end_is_no_whole_file(write):
    header = b'{"w":' + b"[" * 100_000
    path = write(struct.pack("<Q", len(header)) + header)
    for reader in (kept_weights.origin, read):
        with pytest.raises(FormatError, match="unreadable"):
            reader(path)


def test_a_header_that_no_reader_takes_is_not_read_to_see_whether_its_file_is_whole(write):
    header = b'{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' + b" " * (4 << 20) + b"}"
    with pytest.raises(FormatError, match="a safetensors header of"):
        kept_weights.origin(write(struct.pack("<Q", len(header)) + header))


def test_messages_stay_short_whatever_the_names_are(write):
    long = {f"{place}{'k' * 7000}.weight": WEIGHT for place in range(300)}
    path = write(pickle.dumps({"pred_b": WEIGHT, **long}, 2))
    with pytest.raises(ConversionError) as caught:
        to_state_dict(read(path), "slowfast_r50_8x8")
    assert len(str(caught.value)) < 20_000
    with pytest.raises(ConversionError) as caught:
        check_state_dict({name: torch.zeros(2) for name in long}, {"w": torch.zeros(2)}, "slowfast_r50_8x8")
    assert len(str(caught.value)) < 30_000


def test_a_name_of_megabytes_is_refused_in_a_short_message(write):
    for data in (
        pickle.dumps({"k" * (64 << 20): WEIGHT}, 2),
        pickle.dumps({"blobs": {"k" * (64 << 20): WEIGHT}}, 0),
        torch_bytes({"model_state": {"k" * (60 << 20): torch.zeros(2)}}),
    ):
        with pytest.raises(FormatError) as caught:
            read(write(data))
        assert len(str(caught.value)) < 2000
