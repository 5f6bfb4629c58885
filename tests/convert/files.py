"""Small checkpoints of every container, as bytes, for the tests of reading."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import torch

WEIGHT = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 7
BIAS = np.array([0.5, -1.25], np.float32)
STATE = {"s1.pathway0_stem.conv.weight": WEIGHT, "head.projection.bias": BIAS}
BLOBS = {"conv1_w": WEIGHT, "pred_b": BIAS}


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def torch_state():
    return OrderedDict((name, torch.from_numpy(value.copy())) for name, value in STATE.items())


def caffe2_bytes(protocol: int = 2) -> bytes:
    return pickle.dumps({"blobs": BLOBS}, protocol)


def torch_bytes(content=None, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    content = {"model_state": torch_state()} if content is None else content
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def safetensors_bytes(metadata=None) -> bytes:
    from safetensors.numpy import save

    return save(dict(STATE), metadata=metadata)


def npz_bytes(compressed: bool = False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **BLOBS)
    return file.getvalue()


def tar_bytes(members: dict[str, bytes], **options) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zip_bytes(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


CONTAINERS = {
    "caffe2": (caffe2_bytes, BLOBS, "caffe2"),
    "torch": (torch_bytes, STATE, "pyslowfast"),
    "torch_legacy": (lambda: torch_bytes(legacy=True), STATE, "pyslowfast"),
    "safetensors": (safetensors_bytes, STATE, "pyslowfast"),
    "npz": (npz_bytes, BLOBS, "caffe2"),
}
WRAPPINGS = {
    (): lambda data: data,
    ("gzip",): gzip.compress,
    ("tar",): lambda data: tar_bytes({"a/model.bin": data, "a/README.md": b"# the model\n"}),
    ("zip",): lambda data: zip_bytes({"a/model.bin": data, "a/README.md": b"# the model\n"}),
    ("gzip", "tar"): lambda data: gzip.compress(tar_bytes({"model": data})),
    ("tar", "gzip"): lambda data: tar_bytes({"model.gz": gzip.compress(data)}),
    ("gzip", "tar", "gzip"): lambda data: gzip.compress(tar_bytes({"model": gzip.compress(data)})),
}
