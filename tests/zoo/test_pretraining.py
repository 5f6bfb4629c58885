"""Files of networks that were trained without classes, one of each kind: what `videohub.load` makes of them.

What stands in such a file beside the network is called as in PySlowFast's contrastive.py, masked.py and head_helper.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import videohub
from tests.models.golden_networks import trained
from tests.zoo import published_files
from videohub.convert import conversion, tables
from videohub.errors import ConversionError

PROJECTED = ["backbone.head.projection.projection.0.weight", "backbone.head.projection.projection.0.bias"]
AVERAGED = ["backbone_hist.s1.pathway0_stem.conv.weight", "backbone_hist.head.projection.projection.0.weight"]
MASKED = ["mask_token", "pred_head.projections.0.weight", "pred_head.projections.0.bias"]
KINDS = {  # a record, its features, a clip, and what its file holds beside the network
    "MoCo": ("slow_r50_8x8_moco_rho2", 2048, (8, 64, 64), [*PROJECTED, *AVERAGED, "queue_x", "ptr", "iter"]),
    "BYOL": ("slow_r50_8x8_byol_rho2", 2048, (8, 64, 64),
             [*PROJECTED, "backbone.head.predictors.0.projection.0.weight", *AVERAGED, "queue_x", "ptr", "iter"]),
    "SimCLR": ("slow_r50_8x8_simclr_rho2", 2048, (8, 64, 64), PROJECTED),
    "SwAV": ("slow_r50_8x8_swav_rho2", 2048, (8, 64, 64), [*PROJECTED, "swav_prototypes.weight", "queue_swav"]),
    "MAE": ("vit_b_16x4_mae_pt", 768, (16, 96, 96),
            [*MASKED, "pred_head.transforms.0.0.attn.qkv.weight", "decoder_embed.weight", "decoder_embed.bias",
             "dec_pos_embed_spatial", "dec_pos_embed_temporal", "dec_pos_embed_class"]),
    "MaskFeat, of images": ("vit_b_maskfeat_pt_in1k", 768, (1, 96, 96), [*MASKED, "hogs.0.weight_x"]),
    "MaskFeat, of clips": ("mvitv2_s_16x4_maskfeat_pt", 768, (16, 96, 96), [*MASKED, "hogs.0.weight_x"]),
}  # fmt: skip


@pytest.fixture
def kind(request, tmp_path, monkeypatch):
    """A record, its network with other weights than training begins with, and what stands beside those in its file."""
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    name, width, clip, beside = KINDS[request.param]
    record = videohub.record(name)
    network = trained(record.model, frames=record.clip.frames)
    return record, network, width, torch.randn(1, 3, *clip, generator=torch.Generator().manual_seed(1)), beside


def written(record, network, beside, path: Path) -> Path:
    """Write a network as its record's publisher does, with tensors beside it."""
    arguments = conversion.arguments_of(record)
    table = tables.find(record.family, record.checkpoint.layout).of(arguments)
    tensors = conversion.to_published(network.state_dict(), table, arguments)
    published_files.write({**tensors, **{key: torch.ones(3) for key in beside}}, record, path)
    return path


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_file_without_a_classifier_gives_features_and_with_a_new_one_scores(kind, tmp_path, caplog):
    record, network, width, clip, beside = kind
    file = written(record, network, beside, tmp_path / "published.pyth")
    model = videohub.load(record.name, checkpoint=file)
    messages = (
        f"{record.name}: its file has no classifier, and features (B, {width}) come out; num_classes= puts a new one on"
    )
    assert caplog.messages == [messages]
    assert model.state_dict().keys() == network.state_dict().keys()
    features = model(clip)
    assert (features.shape, model.num_features) == ((1, width), width)
    assert torch.equal(features, network(clip))
    assert torch.equal(features, model.features(clip))
    caplog.clear()
    classifying = videohub.load(record.name, checkpoint=file, num_classes=5)
    messages = f"{record.name}: new, to be trained: head.projection.weight (5, {width}), head.projection.bias (5,)"
    assert caplog.messages == [messages]
    assert torch.equal(classifying.features(clip), features)
    assert classifying(clip).shape == (1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["MoCo", "MAE"], indirect=True)
def test_what_no_table_names_is_not_left_aside(kind, tmp_path):
    record, network, _, _, beside = kind
    file = written(record, network, [*beside, "backbone.surprise"], tmp_path / "published.pyth")
    with pytest.raises(ConversionError, match=r"no rule knows 1 of [^\0]*backbone\.surprise \(3,\)"):
        videohub.load(record.name, checkpoint=file)
