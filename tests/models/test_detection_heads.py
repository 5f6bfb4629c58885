"""Detection heads, against what mmaction2's own RoI extractor and box head made of small maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden import synth
from videohub.architectures.parts import RoiMax
from videohub.models.video_model import DetectionHead

GOLDEN = Path(__file__).parent.parent / "golden"
FACTS = json.loads((GOLDEN / "detection_heads.json").read_text())
EXPECTED = np.load(GOLDEN / "detection_heads.npz")


def maps() -> list[torch.Tensor]:
    """A slow and a fast pathway's maps of two clips, 16 and 4 channels."""
    return [torch.from_numpy(synth.synth(f"map{number}.weight", shape)) * 10
            for number, shape in enumerate(FACTS["maps"])]  # fmt: skip


def head_of(name: str) -> DetectionHead:
    """The head that a case's words describe, with its weights, which are made from their keys."""
    extractor, box_head = FACTS["cases"][name]["roi_extractor"], FACTS["cases"][name]["bbox_head"]
    how = RoiMax(
        resolution=extractor["output_size"],
        aligned=True,
        over_time={"avg": "mean", "max": "max"}[extractor.get("temporal_pool_mode", "avg")],
        context=extractor.get("with_global", False),
        mlp=box_head.get("mlp_head", False),
        background=box_head["background_class"],
    )
    head = DetectionHead([16, 4], how, stride=16, num_classes=box_head["num_classes"])
    ours = {"fc_cls.0": "hidden", "fc_cls.2": "projection", "fc_cls": "projection"}
    state = {}
    for key, shape in FACTS["cases"][name]["tensors"].items():
        layer, _, kind = key.rpartition(".")
        state[f"{ours[layer]}.{kind}"] = torch.from_numpy(synth.synth(key, shape))
    head.load_state_dict(state, strict=True)
    return head.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", FACTS["cases"])
def test_a_head_of_mmaction2_gives_its_logits_and_scores(name):
    logits = head_of(name)(maps(), torch.from_numpy(EXPECTED["boxes"]))
    expected = EXPECTED[f"{name}_logits"]
    assert np.abs(logits.numpy() - expected).max() <= 1e-5 * np.abs(expected).max()
    multilabel = FACTS["cases"][name]["bbox_head"]["multilabel"]
    scores = logits.sigmoid() if multilabel else logits.softmax(dim=1)
    assert np.abs(scores.numpy() - EXPECTED[f"{name}_scores"]).max() <= 1e-6


@torch.no_grad()
def test_each_of_its_choices_changes_what_comes_out():
    """So no case passes by chance: all have the same maps and boxes, and those of one shape the same weights."""
    plain, latest = EXPECTED["plain_logits"], EXPECTED["temporal_max_logits"]
    assert np.abs(plain - latest).max() > 0.1
    assert np.abs(EXPECTED["context_logits"] - EXPECTED["context_temporal_max_logits"]).max() > 0.1


@torch.no_grad()
def test_features_are_what_the_classifier_is_given():
    head, boxes = head_of("mlp_head"), torch.from_numpy(EXPECTED["boxes"])
    features = head.features(maps(), boxes)
    assert features.shape == (4, 40)  # of the box, and of the picture
    assert torch.equal(head.projection(features), head(maps(), boxes))
