"""The networks against outputs of the original implementation, at its resolutions."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.convert.key_names import to_ours
from tests.golden import synth
from videohub import architectures, models
from videohub.architectures.parts import LastStage, NonLocal, RoiMax
from videohub.convert import tables

GOLDEN = Path(__file__).parent.parent / "golden" / "models"
CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))
ONE_A_FAMILY = ("SLOWFAST_4x16_R50", "SLOW_4x16_R50")  # the others are left to make test-all


@cache
def facts(case):
    return json.loads((GOLDEN / f"{case}.json").read_text())


def family(case):
    return "slowfast" if facts(case)["architecture"]["arch"] == "slowfast" else "resnet"


def architecture(case):
    """Translate the facts of a golden file, which speak of the original's configuration, into an architecture."""
    facts_ = facts(case)["architecture"]
    variant = {"2d": "image"}.get(facts_["arch"], facts_["arch"])
    found = {"depth": f"R{facts_['depth']}", "num_classes": facts_["num_classes"]}
    if family(case) == "resnet":
        found["variant"] = variant
    if variant != "image":
        after = {f"res{i + 2}": stage[0] for i, stage in enumerate(facts_["nonlocal_location"]) if stage[0]}
        if after:
            pool = tuple(facts_["nonlocal_pool"][2][0])
            found["non_local"] = NonLocal(after=after, affinity=facts_["nonlocal_instantiation"], pool=pool)
        if facts_.get("detection"):
            found["head"] = RoiMax(resolution=facts_["roi_resolution"], aligned=facts_["roi_aligned"])
            found["res5"] = LastStage(
                stride=facts_["spatial_strides"][3][0], dilation=facts_["spatial_dilations"][3][0]
            )
    if variant == "c2d":
        found["temporal_pool"] = False
    if variant == "slowfast":
        found["alpha"], found["lateral_kernel"] = facts_["alpha"], facts_["fusion_kernel"]
        found["res4_temporal"] = tuple(facts_["num_block_temp_kernel"][2])
    return architectures.families()[family(case)](**found)


def build(case):
    facts_ = facts(case)["architecture"]
    return models.build(architecture(case), frames=facts_["num_frames"], activation=facts_["head_act"])


def golden_network(case):
    network = build(case)
    entries, weights = facts(case)["tensors"], facts(case)["weights"]
    names = to_ours(tables.find(family(case), "pyslowfast"), [key for key, _, _ in entries])
    state = {
        names[key][0]: torch.from_numpy(synth.synth(key, shape, weights["seed"], weights["gains"]))
        for key, shape, _ in entries
    }
    network.load_state_dict(state, strict=True)
    return network


@pytest.mark.parametrize("case", [case if case in ONE_A_FAMILY else pytest.param(case, marks=pytest.mark.slow)
                                  for case in CASES])  # fmt: skip
def test_a_network_gives_the_original_s_probabilities_and_logits(case):
    expected = np.load(GOLDEN / f"{case}.npz")
    network = golden_network(case)
    assert sum(p.numel() for p in network.parameters()) == facts(case)["architecture"]["num_parameters"]
    clip = torch.from_numpy(synth.synth_clip(facts(case)["input"]["seed"], facts(case)["input"]["shape"]))
    boxes = () if facts(case)["boxes"] is None else (torch.tensor(facts(case)["boxes"]),)

    position_logits = []
    network.head.projection.register_forward_hook(lambda module, given, made: position_logits.append(made.numpy()))
    with torch.inference_mode():
        logits = network(clip, *boxes)

    activation = torch.sigmoid if facts(case)["architecture"]["head_act"] == "sigmoid" else torch.nn.Softmax(dim=1)
    assert np.abs(activation(logits).numpy() - expected["output"]).max() <= 1e-5
    assert position_logits[0].shape == expected["logits"].shape
    assert np.abs(position_logits[0] - expected["logits"]).max() <= 1e-4 * np.abs(expected["logits"]).max()


@pytest.mark.parametrize("case", CASES)
def test_a_network_s_tensors_have_the_shapes_of_the_original_s(case):
    with torch.device("meta"):
        state = build(case).state_dict()
    names = to_ours(tables.find(family(case), "pyslowfast"), [key for key, _, _ in facts(case)["tensors"]])
    assert {names[key][0]: tuple(shape) for key, shape, _ in facts(case)["tensors"]} == {
        key: tuple(tensor.shape) for key, tensor in state.items()
    }


def test_every_batch_norm_has_the_original_s_epsilon():
    """The numbers do not see it, so it is read: FACTS section 1 says 1e-5 everywhere."""
    for case in ("AVA_SLOWFAST_32x2_R101_50_50", "I3D_NLN_8x8_R50"):
        with torch.device("meta"):
            network = build(case)
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm3d)]
        assert len(norms) > 50
        assert {norm.eps for norm in norms} == {1e-5}
