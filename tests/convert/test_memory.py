"""What a file may take: no more than two and a half times what the network needs, whatever the file claims."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

import videohub
from tests.convert.files import torch_bytes, zip_bytes
from tests.convert.key_names import to_published
from tests.fuzz.watched import MEASURED
from tests.own_registry import like, write_registry
from videohub.architectures.resnet import ResNet
from videohub.convert import tables

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not MEASURED, reason="memory is measured through /proc")]

RECORD = "small_video"
HUGE = 1 << 27  # bytes of what packs well; those that do not pack are of LARGE
LARGE = 60_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A registry with one network of 20 MB, the environment that names it, and a folder for files."""
    folder = tmp_path_factory.mktemp("memory")
    model = ResNet(variant="i3d", depth=(1, 1, 1, 1), width=48)
    write_registry(folder / "small.yaml", like("i3d_r50_8x8", name=RECORD, model=model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOHUB_REGISTRY", str(folder / "small.yaml"))
        patch.setenv("VIDEOHUB_HOME", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def state(home):
    """The network's tensors, of noise, which does not pack."""
    torch.manual_seed(0)
    return {
        key: torch.randn_like(tensor) if tensor.is_floating_point() else tensor
        for key, tensor in videohub.build(RECORD).state_dict().items()
    }


@pytest.fixture(scope="module")
def need(state):
    return sum(tensor.nbytes for tensor in state.values())


@pytest.fixture(scope="module")
def blobs(state):
    """The tensors as a Caffe2 file names them."""
    table = tables.find("resnet", "caffe2")
    names = to_published(table, [key for key in state if not key.endswith("num_batches_tracked")])
    return {blob: state[key].numpy() for key, (blob,) in names.items()}


@pytest.fixture(scope="module")
def published(state):
    """The tensors as a torch file names them."""
    table = tables.find("resnet", "pyslowfast")
    return {name: state[key] for key, (name,) in to_published(table, state).items()}


@pytest.fixture(scope="module")
def converter(home, blobs):
    command = [sys.executable, "-m", "tests.convert.peaks", RECORD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def convert(data: bytes) -> dict:
            (home / "model").write_bytes(data)
            process.stdin.write(f"{home / 'model'}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        convert(pickle.dumps(blobs, 2))
        yield convert
        process.stdin.close()


def npz(arrays, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an npz file, packed as fast as possible."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array))
    return file.getvalue()


def st(tensors: dict[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def widened(arrays, dtype):
    return {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in arrays.items()}


def as_type(tensors, dtype):
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def turned(tensors):
    """The same shapes, whose elements lie in another order."""
    return {
        name: tensor.transpose(0, 1).contiguous().transpose(0, 1) if tensor.ndim > 1 else tensor
        for name, tensor in tensors.items()
    }


def one_storage(tensors):
    """The same shapes, all views of one storage that is four times as long as the largest of them."""
    base = torch.zeros(4 * max(tensor.numel() for tensor in tensors.values()))
    return {name: base[: 2 * tensor.numel() : 2].view(tensor.shape) if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()}  # fmt: skip


# The network itself, in types and orders that a reader could widen or copy: converted.
ACCEPTED = {
    "caffe2": lambda blobs, _: pickle.dumps({"blobs": blobs}, 2),
    "caffe2 of half": lambda blobs, _: pickle.dumps({"blobs": widened(blobs, "f2")}, 4),
    "caffe2 of double": lambda blobs, _: pickle.dumps({"blobs": widened(blobs, "f8")}, 4),
    "caffe2 of big-endian double": lambda blobs, _: pickle.dumps({"blobs": widened(blobs, ">f8")}, 4),
    "caffe2 as text": lambda blobs, _: pickle.dumps({"blobs": blobs}, 0),
    "caffe2 as text of half": lambda blobs, _: pickle.dumps({"blobs": widened(blobs, "f2")}, 0),
    "caffe2 with momentum": lambda blobs, _: pickle.dumps(
        {"blobs": blobs | {f"{name}_momentum": np.zeros((*array.shape, 2), "f8") for name, array in blobs.items()}}, 2
    ),
    "caffe2 in gzip": lambda blobs, _: gzip.compress(pickle.dumps({"blobs": blobs}, 4) , 1),
    "npz of half": lambda blobs, _: npz(widened(blobs, "f2")),
    "npz of double": lambda blobs, _: npz(widened(blobs, "f8")),
    "npz in columns": lambda blobs, _: npz({name: np.asfortranarray(array) for name, array in blobs.items()}),
    "npz unpacked": lambda blobs, _: npz(blobs, zipfile.ZIP_STORED),
    **{
        f"{kind} of {name}": lambda _, published, write=write, change=change: write(change(published))
        for kind, write in (
            ("torch", torch_bytes),
            ("torch_legacy", lambda content: torch_bytes(content, legacy=True)),
        )
        for name, change in {
            "bfloat16": lambda tensors: as_type(tensors, torch.bfloat16),
            "double": lambda tensors: as_type(tensors, torch.float64),
            "turned": turned,
            "one storage": one_storage,
            "optimizer": lambda tensors: {"model_state": tensors, "optimizer_state": [torch.zeros(20_000_000)]},
            "long cfg": lambda tensors: {"model_state": tensors, "cfg": "é" * 30_000_000},
        }.items()
    },
    "safetensors of bfloat16": lambda _, published: st(as_type(published, torch.bfloat16)),
    "safetensors of double": lambda _, published: st(as_type(published, torch.float64)),
    "torch in zip": lambda _, published: zip_bytes({"m": torch_bytes(as_type(published, torch.bfloat16))}),
}  # fmt: skip

BIAS = "head.projection.bias"


def torch_bias(size: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {BIAS: torch.zeros(size // dtype.itemsize, dtype=dtype)}


# Files that claim more than the network, or other things: refused.
REFUSED = {
    **{
        f"npz of {dtype}": (
            lambda blobs, _, dtype=dtype: npz(blobs | {"pred_b": np.zeros(HUGE // np.dtype(dtype).itemsize, dtype)}),
            "of another shape",
        )
        for dtype in ("u1", "f2", "f8")
    },
    "npz in columns": (
        lambda blobs, _: npz(blobs | {"pred_w": np.zeros((HUGE // 8, 2), "f4", "F")}),
        "of another shape",
    ),
    "npz with more": (lambda blobs, _: npz(blobs | {"surprise": np.zeros(HUGE, "?")}), "no rule knows 1 of"),
    "npz of whole numbers": (lambda blobs, _: npz(widened(blobs, "u1")), "whole numbers where"),
    **{
        f"caffe2 of {dtype}, protocol {protocol}": (
            lambda blobs, _, size=size, dtype=dtype, protocol=protocol: pickle.dumps(
                {"blobs": blobs | {"pred_b": np.zeros(size // np.dtype(dtype).itemsize, dtype)}}, protocol
            ),
            "of another shape",
        )
        for dtype, protocol, size in (("u1", 0, LARGE // 4), ("u1", 2, LARGE), ("f2", 2, LARGE), ("u1", 4, LARGE))
    },
    "caffe2 in gzip": (
        lambda blobs, _: gzip.compress(pickle.dumps({"blobs": blobs | {"pred_b": np.zeros(HUGE, "u1")}}, 4), 1),
        "of another shape",
    ),
    "caffe2 with a long key": (
        lambda blobs, _: pickle.dumps({"blobs": blobs | {"k" * LARGE: np.zeros(3)}}, 2),
        "expected a short string",
    ),
    **{
        f"caffe2 with short {kind}": (
            lambda blobs, _, texts=texts: pickle.dumps({"blobs": blobs, "notes": texts}, 4),
            "bytes of short values",
        )
        for kind, texts in {
            "strings": [f"{place} \N{MICROSCOPE}{'a' * 8000}" for place in range(3900)],
            "bytes": [b"%d" % place + b"a" * 2000 for place in range(15_000)],
        }.items()
    },
    "torch with short strings": (
        lambda _, published: torch_bytes({"model_state": published} | {f"k{k}": f"{k}é" * 250 for k in range(15_000)}),
        "bytes of short values",
    ),
    "torch of u1": (lambda _, published: torch_bytes(published | torch_bias(LARGE, torch.uint8)), "of another shape"),
    "torch_legacy of bfloat16": (
        lambda _, published: torch_bytes(published | torch_bias(LARGE, torch.bfloat16), legacy=True),
        "of another shape",
    ),
    "safetensors of bfloat16": (
        lambda _, published: st(published | torch_bias(LARGE, torch.bfloat16)),
        "of another shape",
    ),
    "torch of batch counts": (
        lambda _, published: torch_bytes(
            published | {"s1.pathway0_stem.bn.num_batches_tracked": torch.zeros(LARGE, dtype=torch.uint8)}
        ),
        "of another shape",
    ),
    "torch of expanded ones": (
        lambda _, published: torch_bytes(
            {name: torch.zeros(1).expand(tensor.shape) if tensor.ndim else tensor for name, tensor in published.items()}
        ),
        "claims more than 1 stored elements",
    ),
    "torch of many views": (
        lambda _, published: torch_bytes(
            {f"w{place}": view for place, view in enumerate(torch.zeros(9_000_000).unfold(0, 8_000_000, 200_000))}
        ),
        "four times the file",
    ),
    "torch with a long key": (
        lambda _, published: torch_bytes(published | {"k" * 60_000_000: torch.zeros(3)}),
        "in the state dict",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ACCEPTED)
def test_a_network_in_any_type_and_order_takes_what_it_needs(converter, blobs, published, need, kind):
    answer = converter(ACCEPTED[kind](blobs, published))
    assert (answer["outcome"], answer["message"]) == ("converted", "")
    assert 0.5 * need < answer["peak"] <= 2.5 * need  # less, and the measurement would see nothing


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_the_network_is_refused_before_it_is_read(converter, blobs, published, need, kind):
    make, words = REFUSED[kind]
    answer = converter(make(blobs, published))
    assert words in answer["message"], answer["outcome"]
    assert len(answer["message"]) < 20_000
    assert answer["peak"] <= 2.5 * need
