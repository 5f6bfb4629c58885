"""Files of V-JEPA's authors: several state dicts in one file, and a network in two."""

import pytest
import torch

from tests.golden import synth
from tests.own_registry import like
from videohub import convert, models
from videohub.architectures.vit import Probe, ViT
from videohub.errors import FormatError

SMALL = {"depth": 2, "width": 16, "heads": 2, "crop": 32, "class_token": False, "num_classes": 7}
V2 = ViT(positions="rotary", readout=Probe(blocks=1, heads=4), **SMALL)
V1 = ViT(positions="joint", readout=Probe(blocks=0, heads=4), **SMALL)
GATHERS = "module.pooler.cross_attention_block.xattn"


def record(model):
    slow = like("slow_r50_8x8")
    return like("slow_r50_8x8", name="small", model=model, clip=type(slow.clip)(4, 1), labels=None)


def weights(model):
    """Return a network's tensors, made from their names."""
    named = models.build(model, frames=4).state_dict()
    return {name: torch.from_numpy(synth.synth(name, tuple(tensor.shape))) for name, tensor in named.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


@pytest.mark.parametrize(("model", "layout", "under"), [(V2, "vjepa2", "classifiers"), (V1, "vjepa", "classifier")])
def test_one_file_is_written_that_the_authors_code_reads_for_both_of_theirs(tmp_path, model, layout, under):
    state = weights(model)
    path = convert.export(state, record(model), layout, tmp_path / "both.pt")
    whole = torch.load(path, weights_only=True)
    assert whole.keys() == {"target_encoder", under}
    probe = whole[under][0] if under == "classifiers" else whole[under]
    assert torch.equal(whole["target_encoder"]["module.backbone.blocks.1.attn.qkv.bias"],
                       state["blocks.1.attention.qkv.bias"])  # fmt: skip
    assert torch.equal(probe[f"{GATHERS}.kv.weight"], state["head.pooling.attention.kv.weight"])
    read = convert.read(path)
    assert read.layout == layout
    assert_same(convert.to_state_dict(read, record(model)), state)


def test_of_an_encoder_s_file_the_averaged_one_is_taken_and_what_its_network_does_not_use_is_left_aside(tmp_path):
    encoder = ViT(positions="rotary", readout="mean", **{**SMALL, "num_classes": None})
    state = weights(encoder)
    path = convert.export(state, record(encoder), "vjepa2", tmp_path / "encoder.pt")
    averaged = torch.load(path, weights_only=True)["target_encoder"]
    averaged["module.backbone.pos_embed"] = torch.ones(1, 8, 16)
    trained = {key: tensor + 1 for key, tensor in averaged.items()}
    torch.save({"encoder": trained, "predictor": {"module.norm.weight": torch.ones(16)}, "epoch": 3,
                "target_encoder": averaged}, path)  # fmt: skip
    read = convert.read(path)
    assert read.meta["found_under"] == "target_encoder"
    assert read.meta["other_weights"] == ["encoder", "predictor"]
    assert_same(convert.to_state_dict(read, record(encoder)), state)


def test_the_projection_that_v_jepa_s_probe_stores_and_does_not_use_may_hold_anything(tmp_path):
    state = weights(V1)
    path = convert.export(state, record(V1), "vjepa", tmp_path / "both.pt")
    whole = torch.load(path, weights_only=True)
    assert whole["classifier"][f"{GATHERS}.proj.weight"].shape == (16, 16)
    whole["classifier"][f"{GATHERS}.proj.weight"] += 7
    torch.save(whole, path)
    assert_same(convert.to_state_dict(convert.read(path), record(V1)), state)


def test_of_several_probes_none_is_chosen(tmp_path):
    path = convert.export(weights(V2), record(V2), "vjepa2", tmp_path / "both.pt")
    whole = torch.load(path, weights_only=True)
    torch.save({**whole, "classifiers": 2 * whole["classifiers"]}, path)
    with pytest.raises(FormatError, match="holds 2 state dicts under classifiers, expected one"):
        convert.read(path)
