"""Files that we write: their bytes follow from their tensors, they hold nothing else, and what stands beside them."""

import hashlib
import json

import msgspec
import pytest
import torch

from tests.golden import synth
from tests.own_registry import like
from videohub import convert, models, registry
from videohub.architectures.mvit import MViT
from videohub.architectures.vit import ViT
from videohub.convert import conversion, tables
from videohub.errors import ConversionError, UsageError
from videohub.weights import convert_file

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


def test_pytorchvideo_s_older_mvit_has_one_matrix_for_queries_keys_and_values(tmp_path):
    state = weights(MVIT)
    arguments = {"version": 1, "arch": "mvit"}
    table = tables.find("mvit", "pytorchvideo").of(arguments)
    published, older = conversion.to_published(state, table, arguments), {}
    for key, tensor in published.items():
        if ".attn.q." in key:
            parts = [published[key.replace(".attn.q.", f".attn.{letter}.")] for letter in "qkv"]
            older[key.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
        elif ".attn.k." not in key and ".attn.v." not in key and "_attention_pool" not in key:
            older[key] = tensor
    torch.save({"model_state": older}, tmp_path / "older.pyth")
    record = like("slow_r50_8x8", name="small", model=MVIT, labels=None)
    result = convert.to_state_dict(convert.read(tmp_path / "older.pyth"), record)
    assert result.keys() == state.keys()
    assert [key for key in result if not torch.equal(result[key], state[key])] == []


# --- beside weights in transformers' layout, looked at without that library ------------------------------------------

SMALL = ViT(depth=1, width=24, heads=3, crop=32, class_token=False, positions="sinusoid", key_bias=False, num_classes=3)


@pytest.fixture
def record():
    return like("videomae_vit_b_16x4", name="small", model=SMALL, labels=None)


@pytest.fixture
def file(tmp_path, record):
    """That network's file, with normal numbers in it."""
    network = models.build(record.model, frames=16)
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        tensor.normal_(generator=generator)
    torch.save(network.state_dict(), tmp_path / "own.pth")
    return tmp_path / "own.pth"


def test_a_folder_gets_weights_their_description_and_the_names_that_were_given(tmp_path, record, file):
    out, shown = tmp_path / "small", tmp_path / "small" / "certificate.json"
    names = ["läuft", "springt", "fällt"]
    written = convert_file(file, record, out, layout="transformers", labels=names, certify_to=shown)
    assert written.out == str(out / "model.safetensors")
    assert sorted(path.name for path in out.iterdir()) == [
        "certificate.json", "config.json", "model.safetensors", "preprocessor_config.json"
    ]  # fmt: skip
    assert json.loads((out / "config.json").read_text("utf-8")) == {
        "architectures": ["VideoMAEForVideoClassification"],
        "model_type": "videomae",
        "image_size": 32,
        "num_channels": 3,
        "num_frames": 16,
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 3,
        "intermediate_size": 96,
        "layer_norm_eps": 1e-6,
        "patch_size": 16,
        "tubelet_size": 2,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "use_mean_pooling": True,
        "problem_type": "single_label_classification",
        "id2label": {"0": "läuft", "1": "springt", "2": "fällt"},
        "label2id": {"läuft": 0, "springt": 1, "fällt": 2},
    }
    pixels = json.loads((out / "preprocessor_config.json").read_text("utf-8"))
    assert (pixels["size"], pixels["crop_size"]) == ({"shortest_edge": 224}, {"height": 224, "width": 224})
    assert (pixels["image_mean"], pixels["image_std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert pixels["rescale_factor"] == pytest.approx(1 / 255)
    certificate = json.loads(shown.read_text("utf-8"))
    assert certificate["network_of_written"] == {"readout_eps": 1e-5}  # whatever config.json says
    assert certificate["equal_tensors"] == certificate["tensors"]


def test_vivit_s_frames_go_from_minus_one_to_one_and_no_further(tmp_path):
    """FACTS, section 3: the processor's class subtracts 1 by itself, and must not normalise a second time."""
    beside = conversion.described_beside(tmp_path / "model.safetensors", like("scenic_vit_b_32x2"))
    text = json.loads(beside[tmp_path / "preprocessor_config.json"])
    assert (text["image_processor_type"], text["offset"], text["do_normalize"]) == ("VivitImageProcessor", True, False)
    assert text["rescale_factor"] == pytest.approx(1 / 127.5)


def test_a_path_that_ends_as_files_do_is_the_file_of_weights(tmp_path, record, file):
    state = torch.load(file)
    assert convert.export(state, record, "transformers", tmp_path / "a.safetensors") == tmp_path / "a.safetensors"
    assert (tmp_path / "config.json").is_file()
    with pytest.raises(UsageError, match="found no folder"):
        convert.export(state, record, "transformers", tmp_path / "nowhere" / "small")


def test_what_describes_another_network_is_not_overwritten_and_nothing_else_is_written(tmp_path, record, file):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"config\.json: is there already and says otherwise"):
        convert_file(file, record, tmp_path / "a.safetensors", layout="transformers")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "own.pth"]


def test_a_network_that_the_library_lacks_is_written_by_half_in_no_case(tmp_path, record):
    without = msgspec.structs.replace(record, model=msgspec.structs.replace(SMALL, num_classes=None))
    with pytest.raises(ConversionError, match="has no network as vit"):
        conversion.described_beside(tmp_path / "model.safetensors", without)
