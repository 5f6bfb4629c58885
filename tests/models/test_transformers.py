"""Transformers over clips: what each kind is asked, what it refuses, and other sizes than its tables are for."""

import math

import numpy as np
import pytest
import torch

from tests.golden import synth
from tests.models.golden_networks import CASES
from tests.models.token_networks import FAMILIES, clip_for, frames, network
from videohub import models, optimize
from videohub.architectures.mvit import MViT
from videohub.architectures.vit import AttentionPool, Probe
from videohub.convert import tables
from videohub.models.mvit import RelativePositions, distances
from videohub.models.timesformer import FramePositions
from videohub.models.transformer import JointPositions, SeparatePositions, TokenHead, rotary_turns, turned

SIZES_ARE_FIXED = ("reversible mvit", "reversible mvit image", "hiera")


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def error(found, expected):
    """The largest difference, as a share of the largest value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


# --- what holds for every kind ---------------------------------------------------------------------------------------


@torch.no_grad()
def test_each_clip_is_classified_by_itself(family):
    net, clip = network(family), clip_for(family, batch=3)
    assert torch.allclose(net(clip)[[2, 0]], net(clip[[2, 0]]), atol=1e-5)
    assert (net(clip)[0] - net(clip)[1]).abs().max() > 1e-3


@torch.no_grad()
def test_the_inference_form_computes_the_same(family):
    net, clip = network(family).double(), clip_for(family).double()
    form = optimize(net)
    assert error(form(clip), net(clip)) <= 1e-12
    assert error(form.features(clip), net.features(clip)) <= 1e-12


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_network_of_another_type_gives_logits_and_features_of_that_type(family, dtype):
    net, clip = network(family), clip_for(family)
    expected, expected_features = net(clip), net.features(clip)
    net = net.to(dtype)
    logits, features = net(clip.to(dtype)), net.features(clip.to(dtype))
    assert logits.dtype == features.dtype == dtype
    close = 1e-4 if dtype == torch.float64 else 0.1
    assert error(logits.float(), expected) <= close
    assert error(features.float(), expected_features) <= close


def test_every_weight_takes_part(family):
    """But in the last attention, of which a class token that is read out alone needs neither places nor pools."""
    net = network(family)
    net(clip_for(family)).square().sum().backward()
    idle = {name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert {name for name in idle if not name.startswith(f"blocks.{len(net.blocks) - 1}.attention.")} == set()


def test_every_layer_norm_has_the_original_s_epsilon_or_the_one_that_is_stated(family):
    """The numbers hardly see it, so it is read: FACTS says 1e-6 everywhere, and 1e-5 of what CLIP began."""
    norms = {name: module.eps for name, module in network(family).named_modules()
             if isinstance(module, torch.nn.LayerNorm)}  # fmt: skip
    arch = FAMILIES[family]
    stated = getattr(arch, "norm_eps", 1e-5 if arch.family == "uniformerv2" else 1e-6)
    readout = getattr(arch, "readout_eps", None) or stated
    of_readout = {Probe: "head.pooling", AttentionPool: "head."}.get(type(getattr(arch, "readout", None)), "head.norm")
    expected = {name: readout if name.startswith(of_readout) else stated for name in norms}
    assert norms == expected


def test_boxes_and_lists_are_refused(family):
    net, clip = network(family), clip_for(family)
    with pytest.raises(ValueError, match="classifies whole clips"):
        net(clip, torch.zeros(1, 5))
    with pytest.raises(ValueError, match="found a list, expected one tensor"):
        net.features([clip, clip])


@pytest.mark.parametrize("family", [family for family in FAMILIES if "image" in family or family == "reversible vit"])
def test_a_network_for_images_takes_one_frame(family):
    with pytest.raises(ValueError, match="found 2 frames, expected 1, as this network is for images"):
        network(family)(clip_for(family, length=2))
    with pytest.raises(ValueError, match="found 16, expected 1, as this network is for images"):
        models.build(FAMILIES[family], frames=16)


def test_a_vit_refuses_what_is_smaller_than_its_patches():
    with pytest.raises(ValueError, match="found 1 frames, expected at least 2"):
        network("vit")(clip_for("vit", length=1))
    with pytest.raises(ValueError, match="found 15 x 15 pixels, expected at least 16 x 16"):
        network("vit")(clip_for("vit", size=15))


# --- other sizes -----------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in SIZES_ARE_FIXED])
def test_another_size_is_classified(family):
    length = 12 if family == "vjepa2" else 10  # three segments
    logits = network(family)(clip_for(family, size=112, length=1 if frames(family) == 1 else length))  # 7 x 16, 8 x 14
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()


@torch.no_grad()
@pytest.mark.parametrize("family", [family for family in FAMILIES if network(family).tiled])
def test_a_clip_of_which_a_part_would_be_cut_off_is_refused(family):
    model, length = network(family), frames(family)
    for height, width in ((100, 112), (112, 100)):
        clip = clip_for(family, size=112)[..., :height, :width]
        with pytest.raises(ValueError, match=r"expected multiples of \d+ x 1[46] x 1[46]: what is left over"):
            model(clip)
    if model.smallest[0] > 1:
        with pytest.raises(ValueError, match=r"expected multiples of 2 x "):
            model(clip_for(family, length=length - 1))


@pytest.mark.parametrize("family", SIZES_ARE_FIXED)
def test_some_networks_that_pool_take_their_own_size_alone(family):
    ours = " x ".join(map(str, (frames(family), 64, 64)))
    with pytest.raises(ValueError, match=f"expected {ours} "):
        network(family)(clip_for(family, size=96))


def linear(table, length):
    """Linear interpolation of rows between the middles of cells, held at the ends: written out."""
    places = (np.arange(length) + 0.5) * len(table) / length - 0.5
    return np.stack([np.interp(places, np.arange(len(table)), column) for column in table.T], axis=1)


@torch.no_grad()
@pytest.mark.parametrize("family", ["mvitv2", "mvitv2 image"])
def test_relations_of_another_size_are_interpolated_along_each_axis(family):
    """A network for 96 x 96 pixels whose tables are those of one for 64 x 64, stretched by hand."""
    net, larger = network(family), network(family, crop=96)
    state = net.state_dict()
    for name, tensor in larger.state_dict().items():
        if ".relative." in name:
            state[name] = torch.from_numpy(linear(state[name].numpy(), len(tensor)).astype(np.float32))
    assert state["blocks.0.attention.relative.height"].shape == (47, 8 // FAMILIES[family].heads)  # 24 rows of tokens
    larger.load_state_dict(state)
    clip = clip_for(family, size=96)
    assert error(net(clip), larger(clip)) <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("separate", [True, False])
def test_positions_of_another_size_are_interpolated_along_all_axes(separate):
    """The middle of eight positions is their mean, and the position of a class token stays."""
    made = (SeparatePositions if separate else JointPositions)((2, 2, 2), 3, class_token=True)
    for parameter in made.parameters():
        torch.nn.init.uniform_(parameter)
    ours, one = made((2, 2, 2)), made((1, 1, 1))
    assert ours.shape == (1, 9, 3)
    assert torch.equal(ours[:, :1], one[:, :1])
    assert torch.allclose(ours[:, 1:].mean(dim=1), one[:, 1], atol=1e-6)


# --- V-JEPA's --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_shorter_clip_has_positions_from_all_of_v_jepa_s_table():
    """Its own network, of the package vjepa 0.1.2, makes 1, 5 of the times 0, 2, 4, 6; V-JEPA 2's would have 0, 2."""
    added = network("vjepa").embedding.positions
    assert added.grid[0] == 4
    added.table.copy_(torch.arange(0.0, 8.0, 2.0).repeat_interleave(math.prod(added.grid[1:]))[None, :, None])
    assert added((2, *added.grid[1:]))[0, :, 0].unique().tolist() == [1, 5]


def test_neighbouring_channels_turn_by_frequencies_that_are_tiled():
    """14 channels: 4 each for time, row and column, by 1, 1/100, 1, 1/100 a step, and 2 that do not turn."""
    turns = rotary_turns((2, 3, 2), 14, device=torch.device("cpu"))
    assert turns.shape == (2, 12, 14)
    angles = torch.atan2(turns[1], turns[0])[11]  # of the last token: time 1, row 2, column 1
    assert angles.tolist() == pytest.approx([1, 0.01, 1, 0.01, 2, 0.02, 2, 0.02, 1, 0.01, 1, 0.01, 0, 0], abs=1e-6)
    vectors = torch.arange(1.0, 15.0).expand(1, 1, 12, 14)
    result = turned(vectors, turns)[0, 0, 11]
    by_hand = [math.cos(1) - 2 * math.sin(1), 2 * math.cos(0.01) + math.sin(0.01)]
    assert result[[0, 1, 12, 13]].tolist() == pytest.approx([*by_hand, 13, 14], abs=1e-5)


@torch.no_grad()
def test_segments_do_not_see_each_other_and_are_read_out_together():
    """Their order is nothing to a probe, which has no positions, and one segment alone is a clip, too."""
    net, clip = network("vjepa2"), clip_for("vjepa2")
    first, second = clip[:, :, :4], clip[:, :, 4:]
    tokens = torch.cat([net.tokens(first), net.tokens(second)], dim=1)
    assert torch.allclose(net.tokens(clip), tokens, atol=1e-5)
    assert error(net(torch.cat([second, first], dim=2)), net(clip)) <= 1e-5
    assert error(net(first), net(clip)) > 1e-3
    with pytest.raises(ValueError, match="found 6 frames, expected at most 4 or a multiple of that"):
        net(clip_for("vjepa2", length=6))
    with pytest.raises(ValueError, match="found 7, expected a multiple of the segments, 2"):
        models.build(FAMILIES["vjepa2"], frames=7)


@torch.inference_mode()
@pytest.mark.slow
@pytest.mark.by_hand
def test_a_probe_of_v_jepa_2_sees_the_tokens_of_two_clips_together_as_the_original_s_does():
    case = CASES["modern/vjepa2/vitl_ssv2_16f_256"]
    second = synth.synth_clip(case.facts["two_clips"]["second_clip_seed"], case.facts["input"]["shape"])
    clips = torch.cat([case.clip(), torch.from_numpy(second)], dim=2)
    expected = torch.from_numpy(case.expected["two_clip_logits"])
    assert error(case.network()(clips), expected) <= 1e-5


@torch.no_grad()
def test_levels_are_read_out_side_by_side():
    net = network("vjepa2")
    last = network("vjepa2", levels=())
    clip = clip_for("vjepa2", length=4)
    assert net.tokens(clip).shape == (2, 2 * 32, 16)  # 2 x 4 x 4 places of each level
    assert torch.equal(net.tokens(clip)[:, 32:], last.tokens(clip))


@torch.no_grad()
def test_separate_positions_are_sums_of_a_time_and_a_place():
    made = SeparatePositions((2, 1, 3), 1, class_token=True)
    made.time.copy_(torch.tensor([[[100.0], [200.0]]]))
    made.space.copy_(torch.tensor([[[1.0], [2.0], [3.0]]]))
    made.class_token.fill_(7)
    assert made((2, 1, 3)).flatten().tolist() == [7, 101, 102, 103, 201, 202, 203]


@torch.no_grad()
def test_positions_of_frames_are_sums_and_those_of_another_size_are_the_nearest():
    """Two times and 1 x 2 places become three times, of which the first two are nearest to the first, and 1 x 4."""
    made = FramePositions((2, 1, 2), 1)
    made.time.copy_(torch.tensor([[[100.0], [200.0]]]))
    made.space.copy_(torch.tensor([[[7.0], [1.0], [2.0]]]))
    assert made((2, 1, 2)).flatten().tolist() == [7, 101, 102, 201, 202]
    first, second = [101, 101, 102, 102], [201, 201, 202, 202]
    assert made((3, 1, 4)).flatten().tolist() == [7, *first, *first, *second]


def test_distances_stretch_the_coarser_axis_and_begin_at_the_last_key():
    assert distances(2, 2).tolist() == [[1, 0], [2, 1]]
    assert distances(4, 2).tolist() == [[2, 0], [3, 1], [4, 2], [5, 3]]  # keys are two queries apart
    assert distances(2, 4).tolist() == [[3, 2, 1, 0], [5, 4, 3, 2]]
    assert distances(3, 2).tolist() == [[1, 0], [2, 1], [3, 2]]  # keys are 1.5 apart: 1.5, 2.5, 3.5, cut off


def test_nothing_is_written_for_torchvision_where_it_rounds_distances_otherwise():
    """Its order is (query - (key - last)) x stretch, PySlowFast's query - key x stretch + last x stretch."""

    def theirs(queries, keys):
        stretch_q, stretch_k = max(keys / queries, 1.0), max(queries / keys, 1.0)
        keys_before_last = torch.arange(keys)[None, :] + (1.0 - keys)
        return (torch.arange(queries)[:, None] * stretch_q - keys_before_last * stretch_k).long()

    def pairs(crop):
        """Queries and keys along an axis, of each stage's first block and of its others."""
        tokens, key_stride = -(-crop // 4), 8
        for stage in range(4):
            if stage:
                key_stride = max(key_stride // 2, 1)
                yield -(-tokens // 2), -(-tokens // key_stride)
                tokens = -(-tokens // 2)
            yield tokens, -(-tokens // key_stride)

    table = tables.find("mvit", "torchvision")
    refused = {crop for crop in range(32, 641, 4)
               if table.reason_against_writing({"version": 2, "crop": crop, "image": False, "class_token": True,
                                                "readout": None, "joint_positions": False})}  # fmt: skip
    assert 312 in refused
    assert refused == {crop for crop in range(32, 641, 4)
                       if not all(torch.equal(distances(*pair), theirs(*pair)) for pair in pairs(crop))}  # fmt: skip


@torch.no_grad()
def test_tables_of_a_large_crop_are_as_long_as_the_original_cut_them():
    """312 pixels are 78, 39, 20 and 10 tokens; the original halves 39 to 19 and 19 to 9, and interpolates.

    The first block of the last stage has 19 keys along an axis still, and 9 queries.
    """
    large = MViT(version=2, blocks=(2, 6, 36, 4), width=144, heads=2, crop=312)
    with torch.device("meta"):
        net = models.build(large, frames=40)
    lengths = [len(block.attention.relative.height) for block in net.blocks]
    assert lengths == [155] * 2 + [77] * 6 + [37] * 37 + [17] * 3
    assert {len(block.attention.relative.time) for block in net.blocks} == {39}


@torch.no_grad()
def test_a_query_s_product_with_a_distance_is_added_to_its_affinities_and_a_class_token_gets_none():
    relations = RelativePositions(1, (0, 1, 2))
    relations.height.fill_(0)
    relations.width.copy_(torch.tensor([[1.0], [10.0], [100.0]]))  # one to the left, the same, one to the right
    queries = torch.tensor([5.0, 1.0, 2.0]).reshape(1, 1, 3, 1)  # of a class token and two places side by side
    added = relations(queries, (1, 1, 2), (1, 1, 2))
    assert added[0, 0].tolist() == [[0, 0, 0], [0, 10, 1], [0, 200, 20]]


# --- the head --------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize(
    ("readout", "expected"),
    [("class_token", [1.0, -1.0]), ("mean", [0.0, 0.0]), ("mean_then_norm", [1.0, -1.0]), ("mean_alone", [2.0, -1.0])],
)
def test_a_head_reads_the_class_token_or_the_mean_of_all_others(readout, expected):
    """Two channels, normed, are 1 and -1 wherever they differ; the two places' means are 2 and -1."""
    tokens = torch.tensor([[[9.0, 8.0], [5.0, -3.0], [-1.0, 1.0]]])
    head = TokenHead(2, readout=readout, class_token=True, num_classes=3)
    assert torch.allclose(head.features(tokens), torch.tensor([expected]), atol=1e-4)


# --- TimeSformer without attention along time ------------------------------------------------------------------------


@torch.no_grad()
def test_frames_that_do_not_see_each_other_are_averaged_whatever_their_order():
    net, clip = network("timesformer space"), clip_for("timesformer space")
    by_frame = torch.stack([net.tokens(frame) for frame in clip.split(1, dim=2)])
    expected = net.head(by_frame.mean(dim=0))
    assert error(net(clip), expected) < 1e-5
    assert error(net(clip.flip(2)), expected) < 1e-5
    assert error(net(clip[:, :, :1]), expected) > 1e-3
    assert not any("time" in name for name in net.state_dict())
