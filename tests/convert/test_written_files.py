"""Files that we write: their bytes follow from their tensors, and they hold nothing else."""

import hashlib

import pytest
import torch

from tests.golden import synth
from videohub import convert, models, registry
from videohub.architectures.mvit import MViT
from videohub.convert import conversion, tables

NAME = "slowfast_motions"
MVIT = MViT(version=1, blocks=(1, 1, 1, 1), width=8, crop=32, num_classes=5)


def weights(arch):
    """Return tensors for the network of an architecture, each made from its name."""
    with torch.device("meta"):
        empty = models.build(arch, frames=8).state_dict()
    return {
        name: torch.from_numpy(synth.synth(name, tuple(tensor.shape))).to(tensor.dtype)
        for name, tensor in empty.items()
    }


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def laid_out_otherwise(tensor):
    """Return the same values as the first row of two, last dimension first in memory."""
    backwards = torch.stack([tensor, tensor + 1]).permute(*reversed(range(tensor.ndim + 1))).contiguous()
    return torch.nn.Parameter(backwards.permute(*reversed(range(tensor.ndim + 1)))[0], requires_grad=False)


@pytest.mark.parametrize("layout", ["caffe2", "pyslowfast", "pytorchvideo"])
def test_the_same_weights_give_the_same_bytes_whatever_the_file_is_called(tmp_path, layout):
    state = weights(registry.record(NAME).model)
    first = convert.export(state, NAME, layout, tmp_path / "a.bin")
    odd = {name: laid_out_otherwise(tensor) for name, tensor in state.items()}
    second = convert.export(odd, NAME, layout, tmp_path / "another name.pyth")
    assert digest(first) == digest(second)
    odd["head.projection.bias"] = odd["head.projection.bias"] + 1e-6
    assert digest(convert.export(odd, NAME, layout, tmp_path / "a.bin")) != digest(second)


def test_parts_of_a_tensor_are_written_without_the_rest_and_copies_once(tmp_path):
    state = weights(MVIT)
    arguments = {"version": 1, "arch": "mvit"}
    table = tables.find("mvit", "pytorchvideo").of(arguments)
    tensors = conversion.to_published(state, table, arguments)
    conversion.write_file(tensors, table, tmp_path / "mvit.pyth")
    read = torch.load(tmp_path / "mvit.pyth", weights_only=True)["model_state"]
    query, copy = read["blocks.0.attn.q.weight"], read["blocks.0.attn._attention_pool_k.pool.weight"]
    assert torch.equal(query, state["blocks.0.attention.qkv.weight"][:8])
    assert query.untyped_storage().nbytes() == 8 * 8 * 4
    assert copy.data_ptr() == read["blocks.0.attn.pool_k.weight"].data_ptr()
