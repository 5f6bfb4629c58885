"""Whole files of every container, and the wrappings to put around them; the same bytes on every run."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import struct
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from tests.convert.files import BLOBS, STATE, WEIGHT, npz_bytes, safetensors_bytes, torch_bytes, torch_state
from tests.convert.python2_pickles import FULL, TWO
from videohub.convert import kept_weights

# What torch writes for a storage: its key, where it lay, its length; a legacy file has one item more, which is None.
STORAGE = re.compile(rb"X.\0\0\0(\d+)q.(?:X\x03\0\0\0cpuq.|h.)K(.)tq.Q", re.DOTALL)
END_OF_STORAGE = re.compile(rb"((?:cpuq.|h.)K.)(tq.Q)", re.DOTALL)
Members = Iterable[tuple[str, bytes]]


class Command:
    """Pickles as a command that makes a file."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def whole_files(canary: str) -> dict[str, list[bytes]]:
    """Return whole files by container; the hostile ones would make the file `canary` if anything in them were run."""
    torch_files = [
        torch_bytes(),
        torch_bytes(training()),
        torch_bytes(kinds()),
        torch_bytes({"model_state": torch_state(), "x": Command(canary)}),
    ]
    return {
        "caffe2": [*FULL.values(), *TWO.values(), *(pickle.dumps({"blobs": BLOBS}, number) for number in range(6))],
        "torch": torch_files,
        "torch_legacy": [as_legacy(data) for data in torch_files],
        "safetensors": [in_order(safetensors_bytes({"format": "pt"})), in_order(narrow_safetensors())],
        "converted": [converted()],
        "npz": [npz_bytes(), npz_bytes(compressed=True), object_npz(canary)],
        "hostile": [pickle.dumps({"blobs": {"conv1_w": Command(canary)}}, number) for number in range(6)],
    }


def training() -> dict:
    """What training code saves: a state dict beside an optimizer, an epoch and a configuration."""
    slots = {0: {"momentum_buffer": torch.ones(3), "step": np.float64(3)}}
    groups = [{"lr": np.float64(0.1), "params": [0]}]
    return {
        "epoch": 195,
        "model_state": torch_state(),
        "optimizer_state": {"state": slots, "param_groups": groups},
        "cfg": "MODEL: {}\n",
    }


def kinds() -> dict:
    """Tensors of several types and shapes, two of them with the same storage."""
    base = torch.arange(12, dtype=torch.float32)
    return {
        "bfloat16": torch.ones(2, dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "turned": base.reshape(3, 4).t(),
        "part": base[4:8],
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


def as_legacy(archive: bytes) -> bytes:
    """Write a torch file as versions before 1.6 did; they named storages by where they lay in memory, this does not."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        pickled = file.read("archive/data.pkl")
        lengths = {key.decode(): length[0] for key, length in STORAGE.findall(pickled)}
        storages = [struct.pack("<q", length) + file.read(f"archive/data/{key}") for key, length in lengths.items()]
    start = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
    parts = [*(pickle.dumps(part, 2) for part in start), END_OF_STORAGE.sub(rb"\1N\2", pickled)]
    return b"".join([*parts, pickle.dumps(list(lengths), 2), *storages])


def converted() -> bytes:
    """Weights as videohub keeps them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights")
        kept_weights.write(path, dict(torch_state()), {"videohub": "1", "record": '{"name": "slowfast_r50_8x8"}'})
        return in_order(path.read_bytes())


def in_order(safetensors: bytes) -> bytes:
    """Sort the header, whose order is by chance."""
    length = int.from_bytes(safetensors[:8], "little")
    header = json.dumps(json.loads(safetensors[8 : 8 + length]), sort_keys=True).encode()
    return struct.pack("<Q", len(header)) + header + safetensors[8 + length :]


def narrow_safetensors() -> bytes:
    from safetensors.torch import save

    return save({"a": torch.tensor([1.5, -2], dtype=torch.bfloat16), "b": torch.from_numpy(WEIGHT.copy())})


def object_npz(canary: str) -> bytes:
    file = io.BytesIO()
    np.savez(file, conv1_w=np.array([Command(canary)], dtype=object), **STATE)
    return file.getvalue()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def in_tar(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in {"a/README.md": b"# the model\n", "a/é" + "x" * 120: data}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def in_zip(data: bytes) -> bytes:
    return zipped({"a/README.md": b"# the model\n", "a/model.bin": data}.items())


def zipped(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that occur twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


WRAP: dict[str, Callable[[bytes], bytes]] = {"gzip": gzipped, "tar": in_tar, "zip": in_zip}
WRAPPINGS = [
    (),
    ("gzip",),
    ("tar",),
    ("zip",),
    ("gzip", "tar"),
    ("tar", "gzip"),
    ("zip", "gzip"),
    ("gzip", "tar", "gzip"),
]
