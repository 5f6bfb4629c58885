"""Checksums that a file holds are compared on every way in: each flipped bit of a tensor is found."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy
import torch

import videohub
from tests.convert.files import torch_bytes, zip_bytes
from videohub import convert
from videohub.convert import kept_weights, read
from videohub.convert.checkpoint import opened
from videohub.errors import FormatError
from videohub.weights import convert_file, fetch

NOISE = np.random.default_rng(0).random(4000).astype(np.float32)
NAME = "slowfast_motions"


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 0x10
    return bytes(changed)


def npz(method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, archive.open("w.npy", "w") as member:
        np.lib.format.write_array(member, NOISE)
    return file.getvalue()


def torch_noise(**options) -> bytes:
    return torch_bytes({"w": torch.from_numpy(NOISE.copy())}, **options)


CHECKED = {
    "torch": lambda: torch_bytes({"w": torch.from_numpy(NOISE.copy())}),
    "torch, a part of a storage": lambda: torch_bytes({"w": torch.from_numpy(NOISE.copy())[::7]}),
    "npz": lambda: npz(zipfile.ZIP_STORED),
    "npz, packed": lambda: npz(zipfile.ZIP_DEFLATED),
    "zip": lambda: zip_bytes({"m": torch_noise(legacy=True)}, zipfile.ZIP_STORED),
    "zip, packed": lambda: zip_bytes({"m": torch_noise(legacy=True)}),
    "gzip": lambda: gzip.compress(torch_noise(legacy=True)),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKED)
def test_a_flipped_bit_is_found_where_the_container_has_a_checksum(write, kind):
    whole = CHECKED[kind]()
    assert read(write(whole)).tensors
    for share in (0.2, 0.4, 0.6, 0.8):
        with pytest.raises(FormatError):
            read(write(flipped(whole, int(share * len(whole)))))


def test_what_is_not_needed_is_not_checked(write):
    """An optimizer's tensors are not read, whether they are whole or not."""
    whole = torch_bytes(
        {"model_state": {"w": torch.from_numpy(NOISE.copy())}, "optimizer_state": [torch.full((9,), 3.0)]}
    )
    slot = np.full(9, 3, np.float32).tobytes()
    assert whole.count(slot) == 1
    tensors = read(write(flipped(whole, whole.index(slot)))).tensors
    np.testing.assert_array_equal(tensors["w"], NOISE)


def test_a_torch_file_that_was_told_to_have_no_checksums_is_read(write):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        data = torch_bytes({"w": torch.from_numpy(NOISE.copy())})
    finally:
        torch.serialization.set_crc32_options(before)
    np.testing.assert_array_equal(read(write(data)).tensors["w"], NOISE)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Converted weights, as `videohub convert` writes them."""
    folder = tmp_path_factory.mktemp("converted")
    torch.manual_seed(0)
    source = convert.export(videohub.build(NAME).state_dict(), NAME, "caffe2", folder / "file.pkl")
    convert_file(source, NAME, folder / "out.safetensors")
    return (folder / "out.safetensors").read_bytes()


@pytest.fixture
def damaged(converted, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    path = tmp_path / "mine.safetensors"
    path.write_bytes(converted)
    assert convert.read(path).is_converted
    path.write_bytes(flipped(converted, len(converted) - 1001))  # of a weight, which stays a number
    return path


WAYS_IN = {
    "read": lambda path: convert.read(path),
    "convert": lambda path: convert_file(path, NAME, path.with_suffix(".pkl"), layout="caffe2"),
    "fetch": lambda path: fetch(NAME, checkpoint=path),
    "load": lambda path: videohub.load(NAME, checkpoint=path),
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_the_checksum_of_our_own_weights_is_compared_on_every_way_in(damaged, way):
    with pytest.raises(FormatError, match=r"its checksum is [0-9a-f]{64}, its header says"):
        WAYS_IN[way](damaged)


def test_a_word_of_the_header_that_is_changed_breaks_the_checksum(converted, tmp_path):
    assert converted.count(b'"source":"file.pkl"') == 1
    path = tmp_path / "mine.safetensors"
    path.write_bytes(converted.replace(b'"source":"file.pkl"', b'"source":"fine.pkl"'))
    with pytest.raises(FormatError, match="its checksum is"):
        convert.read(path)


def test_weights_outlive_their_file(converted, tmp_path):
    """They are read, not mapped: a mapped file that is cut short ends the process."""
    path = tmp_path / "mine.safetensors"
    path.write_bytes(converted)
    tensors = kept_weights.tensors(path)
    sums = {name: float(tensor.double().sum()) for name, tensor in tensors.items()}
    with path.open("r+b") as file:
        file.truncate(100)
    assert {name: float(tensor.double().sum()) for name, tensor in tensors.items()} == sums


@pytest.mark.parametrize("kind", ["torch", "torch_legacy", "caffe2", "npz", "safetensors"])
def test_a_file_that_is_cut_while_it_is_read_is_an_error(write, kind):
    make = {
        "torch": torch_noise,
        "torch_legacy": lambda: torch_noise(legacy=True),
        "caffe2": lambda: pickle.dumps({"conv1_w": NOISE}, 2),
        "npz": lambda: npz(zipfile.ZIP_STORED),
        "safetensors": lambda: safetensors.numpy.save({"w": NOISE}),
    }
    path = write(make[kind]())
    with pytest.raises(FormatError, match=r"cut short|damaged"), opened(path) as listing:
        _cut_and_read(path, listing)


def _cut_and_read(path, listing):
    with path.open("r+b") as file:
        file.truncate(200)
    for stored in listing.tensors.values():
        np.asarray(stored)
