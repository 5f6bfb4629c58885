"""Archives and model files made to run code or to fill the memory: refused, and the error says what they asked for."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from tests.convert.files import Call, tar_bytes, torch_bytes, torch_state, zip_bytes
from tests.fuzz.reading import MEMORY, SECONDS
from videohub.convert import read
from videohub.errors import FormatError


def tar_of(name: str, kind: bytes, link: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)
    return file.getvalue()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(write, kind, refused):
    refused(write(tar_of("model.pkl", kind, "/etc/passwd")), "a link, a device")


@pytest.mark.parametrize(
    "name", ["../model.pkl", "a/../../model.pkl", "/tmp/model.pkl", "..\\model.pkl", "C:\\model.pkl"]
)
def test_names_that_lead_out_of_an_archive_are_refused(write, tmp_path, name, refused):
    good = pickle.dumps({"conv1_w": 1}, 2)
    refused(write(tar_bytes({name: good})), "leads out of it")
    refused(write(zip_bytes({name: good})), "leads out of it")
    assert sorted(path.name for path in tmp_path.parent.iterdir() if path.name == "model.pkl") == []


def test_wrappings_without_end_are_refused(write, refused):
    data = pickle.dumps({"conv1_w": 1}, 2)
    for _ in range(4):
        data = gzip.compress(data)
    refused(write(data), "at most 3 wrappings")


def test_a_tar_header_cannot_ask_for_memory(reader):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 60_000_000
    answer = reader.ask(gzip.compress(info.tobuf() + os.urandom(1_000_000) + b"\0" * 59_001_000), SECONDS)
    assert "a name of 60000000 bytes" in answer["message"]
    assert answer["memory"] < MEMORY


def rezip(data: bytes, change, method: int = zipfile.ZIP_STORED) -> bytes:
    """Write a torch file again, its members passed through `change(name, data)`."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", method) as new:
        for info in old.infolist():
            changed = change(info.filename, old.read(info))
            if changed is not None:
                new.writestr(info.filename, changed)
    return file.getvalue()


def swap(old: bytes, new: bytes):
    def change(name, data):
        if not name.endswith("data.pkl"):
            return data
        assert old in data
        return data.replace(old, new)

    return change


@pytest.mark.parametrize("legacy", [False, True])
def test_a_torch_file_that_calls_something_is_refused_by_its_name(write, canary, legacy, refused):
    hostile = torch_bytes({"model_state": torch_state(), "x": Call(os.system, f"touch {canary}")}, legacy=legacy)
    refused(write(hostile), r"posix\.system")
    flood = torch_bytes({"model_state": torch_state(), "x": Call(bytearray, 10**12)}, legacy=legacy)
    refused(write(flood), r"(__builtin__|builtins)\.bytearray")
    module = torch_bytes(torch.nn.Linear(2, 2), legacy=legacy)
    with pytest.raises(FormatError, match=r"asks for torch\.nn\.modules\.linear\.Linear|own class"):
        read(write(module))


def test_a_torch_storage_that_claims_more_than_its_member_is_refused(write, refused):
    good = torch_bytes({"w": torch.zeros(24)})
    refused(write(rezip(good, swap(b"K\x18t", b"J\x00\x00\x00\x7ft"))), "claims 8522825728 bytes, the file holds 96")
    refused(write(rezip(good, lambda name, data: None if name.endswith("data/0") else data)), "the file holds none")


def test_a_torch_tensor_that_leaves_its_storage_is_refused(write, refused):
    good = torch_bytes({"w": torch.zeros(24)})
    refused(write(rezip(good, swap(b"K\x18\x85", b"J\x00\x00\x00\x7f\x85"))), "claims more than 24 stored elements")
    refused(write(rezip(good, swap(b"QK\x00", b"QK\x01"))), "claims more than 24 stored elements")
    refused(write(torch_bytes({"w": torch.zeros(1).expand(10**9)})), "claims more than 1 stored elements")


def test_a_legacy_torch_file_cannot_ask_for_more_than_it_holds(write):
    good = torch_bytes({"w": torch.zeros(24)}, legacy=True)
    assert b"K\x18Nt" in good
    with pytest.raises(FormatError, match="claims 8522825728 bytes, the file holds 96"):
        read(write(good.replace(b"K\x18Nt", b"J\x00\x00\x00\x7fNt")))
    both = good.replace(b"K\x18Nt", b"J\x00\x00\x00\x7fNt").replace(
        struct.pack("<q", 24), struct.pack("<q", 0x7F000000)
    )
    with pytest.raises(FormatError, match="cut short: a storage of 8522825728 bytes begins where 96 are left"):
        read(write(both))


def test_views_that_multiply_one_storage_are_refused(write, refused):
    base = torch.zeros(100_000)
    views = {f"w{i}": base.reshape(100, 1000)[:, i : i + 900] for i in range(100)}
    refused(write(torch_bytes(views)), "four times the file")


def test_a_compressed_torch_file_is_refused(write, refused):
    data = rezip(torch_bytes({"w": torch.zeros(10_000)}), lambda _, data: data, zipfile.ZIP_DEFLATED)
    refused(write(data), "is compressed")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_holds_a_name_twice_is_refused(write, refused):
    file = io.BytesIO(torch_bytes())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    refused(write(file.getvalue()), "twice")


def test_a_torch_pickle_of_another_protocol_says_how_to_save_it(write):
    file = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, file, pickle_protocol=4)
    with pytest.raises(FormatError, match="protocol 4, expected 2"):
        read(write(file.getvalue()))


def npz(header: str, data: bytes = b"\0" * 16) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return zip_bytes({"w.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data})


def test_hostile_npz_files_are_refused(write, reader, refused):
    file = io.BytesIO()
    np.savez(file, w=np.array([print], dtype=object))
    refused(write(file.getvalue()), "dtype object")
    huge = npz("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000,)}")
    answer = reader.ask(huge, SECONDS)
    assert "needs 16000000000 bytes, 16 are there" in answer["message"]
    assert answer["memory"] < MEMORY
    with pytest.raises(FormatError):
        read(write(npz("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}")))
    with pytest.raises(FormatError, match="damaged npz"):
        read(write(npz("{'descr': __import__('os').getpid(), 'fortran_order': False, 'shape': ()}")))


def safetensors(header: bytes, data: bytes = b"\0" * 8) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize(
    "data",
    [
        safetensors(b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8000000000]}}'),
        safetensors(b'{"w":{"dtype":"F32","shape":[2000000000],"data_offsets":[0,8]}}'),
        safetensors(b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'),
        safetensors(
            b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
        ),
        safetensors(b'{"w":' + b"[" * 100_000 + b"}"),
        safetensors(b'{"w":3}'),
        struct.pack("<Q", 1 << 60) + b'{"w":',
    ],
)
def test_hostile_safetensors_files_are_refused(reader, data, refused):
    answer = reader.ask(data, SECONDS)
    assert answer["outcome"] in ("FormatError", "UnsafeFileError")
    assert answer["memory"] < MEMORY
