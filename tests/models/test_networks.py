"""What networks have beside what all families offer: positions, pathways, boxes, memory formats; on very small ones."""

import pytest
import torch

from tests.evaluation.networks import (
    BASIC,
    EXPANDED,
    MULTISCALE,
    NEAR_AND_FAR,
    PAIRED,
    PLAIN,
    RESIDUAL,
    SHIFTED,
    SHIFTING,
    SMALL,
    WINDOWED,
    build,
)
from tests.golden import synth
from videohub.architectures.parts import AverageAll, AverageWindow, LastStage, NonLocal, RoiMax
from videohub.models.slowfast import slow_frames
from videohub.models.video_model import DetectionHead, average_positions

NON_LOCAL = NonLocal(after={"res3": [0], "res4": [0]}, affinity="softmax", pool=(1, 2, 2))
DOT_PRODUCT = NonLocal(after={"res4": [0]}, affinity="dot_product", pool=(2, 2, 2))
DETECTS = {"head": RoiMax(), "res5": LastStage(stride=1, dilation=2), "activation": "sigmoid"}
FAMILIES = {
    "c2d": {**RESIDUAL, "frames": 8},
    "i3d": {**RESIDUAL, "frames": 8},
    "i3d_heavy": {**RESIDUAL, "frames": 8},
    "i3d non-local": {**RESIDUAL, "frames": 8, "non_local": NON_LOCAL},
    "slow": {**RESIDUAL, "frames": 8},
    "image": {**RESIDUAL, "frames": 1},
    "slowfast": {**RESIDUAL, "frames": 8, "lateral_kernel": 5},
    "slowfast non-local": {**RESIDUAL, "frames": 8, "non_local": DOT_PRODUCT},
    "x3d": {**EXPANDED, "frames": 8},
    "csn": {**RESIDUAL, "frames": 8},
    "csn ip": {**RESIDUAL, "frames": 8, "variant": "ip", "eps": 1e-3},
    "tsm": {**SHIFTING, "frames": 8},
    "tsm_mobilenet": {"width": 16, "frames": 8},
    "mobileone": {**PAIRED, "frames": 8},
    "densenet": {"depth": (2, 2, 2, 2), "width": 32, "growth": 16, "frames": 8},
    "r2plus1d": {**RESIDUAL, "frames": 8},
    "r3d": {**BASIC, "frames": 8, "variant": "r3d"},
    "r3d mc3": {**BASIC, "frames": 8, "variant": "mc3"},
    "r3d r2plus1d": {**BASIC, "frames": 8, "variant": "r2plus1d"},
    "r3d separate": {**BASIC, "frames": 8, "variant": "r2plus1d", "middle": "convolution", "eps": 1e-3},
    "r3d bottleneck": {**BASIC, "frames": 8, "variant": "r3d", "bottleneck": True},
    "s3d": {**WINDOWED, "frames": 8},
    "swin3d": {**SHIFTED, "frames": 8},
    "uniformer": {**NEAR_AND_FAR, "frames": 8},
    "mvit": {**MULTISCALE, "frames": 8, "version": 1, "crop": 64},
    "mvit v2": {**MULTISCALE, "frames": 8, "version": 2, "crop": 64},
    "reversible_mvit": {**PLAIN, "frames": 8, "blocks": (2,), "patch": 16, "crop": 64},
    "vit": {**PLAIN, "frames": 8, "depth": 2, "crop": 64},
}
SLIDING = [family for family, arguments in FAMILIES.items() if "head" in arguments]  # whose heads have positions


def network(family, **changes):
    torch.manual_seed(0)
    built = build(family.split()[0], **{**SMALL, **FAMILIES[family], **changes})
    for name, parameter in built.named_parameters():  # blocks start as the identity; nothing would be seen of them
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.2, 1.0)
    torch.nn.init.normal_(built.head.projection.weight, std=0.05)
    return built


def clip_for(family, *, batch=2, frames=None, height=64, width=64):
    frames = frames or FAMILIES[family]["frames"]
    return torch.from_numpy(synth.synth_clip("networks", (batch, 3, frames, height, width)))


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@torch.no_grad()
def test_the_training_crop_has_one_position_and_gives_its_logits_as_they_are(family):
    net, clip = network(family), clip_for(family)
    seen = []
    net.head.projection.register_forward_hook(lambda module, given, made: seen.append(made))
    logits = net(clip)
    assert logits.shape == (2, 7)
    assert torch.equal(logits, seen[0].reshape(2, 7))


@torch.no_grad()
@pytest.mark.parametrize("family", SLIDING)
def test_a_larger_input_averages_probabilities_and_not_logits(family):
    net, clip = network(family), clip_for(family, height=96, width=128)
    seen = []
    net.head.projection.register_forward_hook(lambda module, given, made: seen.append(made))
    net(clip)
    mean = seen[0].mean(dim=(0, 1, 2, 3))
    scale = 3 / (seen.pop() - mean).abs().max()  # positions differ, and none is saturated
    net.head.projection.weight.mul_(scale)
    net.head.projection.bias.sub_(mean).mul_(scale)
    probabilities = net(clip).softmax(dim=1)
    assert seen[0].shape == (2, 1, 2, 3, 7)  # a map of 3 x 4 under a window of 2
    expected = seen[0].softmax(dim=4).mean(dim=(1, 2, 3))
    assert torch.allclose(probabilities, expected, atol=1e-6)
    assert not torch.allclose(probabilities, seen[0].mean(dim=(1, 2, 3)).softmax(dim=1), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("family", SLIDING)
def test_a_larger_input_averages_logits_where_the_published_test_does(family):
    net, clip = network(family, head=AverageWindow(window=2, mean_of="logits")), clip_for(family, height=96, width=128)
    seen = []
    net.head.projection.register_forward_hook(lambda module, given, made: seen.append(made))
    assert torch.allclose(net(clip), seen[0].mean(dim=(1, 2, 3)), atol=1e-6)
    assert seen[0].shape == (2, 1, 2, 3, 7)


@torch.no_grad()
def test_a_head_that_averages_all_sees_one_position_at_any_size(family):
    net = network(family, **({"head": AverageAll()} if family in SLIDING else {}))
    seen = []
    net.head.projection.register_forward_hook(lambda module, given, made: seen.append(made))
    net(clip_for(family, frames=16, height=96, width=128))
    assert seen[0].flatten(1).shape == (2, 7)


@torch.no_grad()
def test_channels_last_gives_the_same_results(family):
    net, clip = network(family), clip_for(family)
    expected = net(clip).softmax(dim=1)
    net = net.to(memory_format=torch.channels_last_3d)
    result = net(clip.to(memory_format=torch.channels_last_3d)).softmax(dim=1)
    assert torch.allclose(result, expected, atol=1e-5)


def test_boxes_keep_their_place_in_half_precision():
    """Column 301 alone is bright; a box from there to 302 lies half on it. bfloat16 knows only 300 and 302."""
    head = DetectionHead([1], RoiMax(resolution=1), stride=1, num_classes=2)
    features = torch.zeros(1, 1, 1, 4, 400, dtype=torch.bfloat16)
    features[..., 301] = 1
    assert head.features([features], torch.tensor([[0, 301.0, 0.0, 302.0, 2.0]])).tolist() == [[0.5]]


@torch.no_grad()
def test_a_detection_network_gives_one_row_a_box_in_their_order():
    net = network("slow", **DETECTS)
    clip = clip_for("slow")
    boxes = torch.tensor([[0, 10.0, 10.0, 40.0, 60.0], [1, 0.0, 5.0, 60.0, 63.0], [0, 8.0, 8.0, 50.0, 50.0]])
    logits = net(clip, boxes)
    assert logits.shape == (3, 7)
    assert torch.allclose(net(clip, boxes[[2, 0]]), logits[[2, 0]], atol=1e-6)
    assert net.features(clip, boxes).shape == (3, 512)


@torch.no_grad()
def test_slowfast_takes_its_two_pathways_as_a_list():
    net, clip = network("slowfast"), clip_for("slowfast")
    slow = clip[:, :, [0, 7]]  # trunc(linspace(0, 7, 2))
    assert torch.equal(net([slow, clip]), net(clip))


def test_slow_frames_are_a_truncated_linspace_with_both_ends():
    clip = torch.arange(32.0).reshape(1, 1, 32, 1, 1)
    assert slow_frames(clip, 4).flatten().tolist() == [0, 4, 8, 13, 17, 22, 26, 31]
    assert slow_frames(clip, 8).flatten().tolist() == [0, 10, 20, 31]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(3, 8, 64, 64), r"expected \(B, 3, T, H, W\)"),
        (torch.zeros(1, 1, 8, 64, 64), r"expected \(B, 3, T, H, W\)"),
        (torch.zeros(1, 3, 2, 64, 64), "a multiple of alpha = 4"),
        ([torch.zeros(1, 3, 3, 64, 64), torch.zeros(1, 3, 8, 64, 64)], "4 times as many frames"),
    ],
)
def test_a_clip_of_the_wrong_shape_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        network("slowfast")(given)


def test_boxes_belong_to_detection_networks_alone():
    clip = clip_for("slow")
    with pytest.raises(ValueError, match="classifies whole clips"):
        network("slow")(clip, torch.zeros(1, 5))
    detector = network("slow", head=RoiMax(aligned=True))
    for boxes in (None, torch.zeros(1, 4)):
        with pytest.raises(ValueError, match=r"expected \(K, 5\)"):
            detector(clip, boxes)


@pytest.mark.parametrize(("activation", "inverse"), [("softmax", torch.log), ("sigmoid", torch.logit)])
def test_averaged_logits_carry_the_mean_probability(activation, inverse):
    logits = torch.tensor([[[2.0, 0.0, -1.0], [-3.0, 1.0, 0.5]]], dtype=torch.float64)
    activate = torch.sigmoid if activation == "sigmoid" else torch.nn.Softmax(dim=-1)
    expected = inverse(activate(logits).mean(dim=1))
    assert torch.allclose(average_positions(logits, activation), expected, atol=1e-12)


def test_averaged_logits_survive_extreme_values():
    logits = torch.tensor([[[300.0, -300.0], [250.0, -250.0]]])
    for activation in ("softmax", "sigmoid"):
        assert torch.isfinite(average_positions(logits, activation)).all()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_positions_are_averaged_in_float32_whatever_the_network_computes_in(activation):
    logits = torch.randn(2, 9, 7, generator=torch.Generator().manual_seed(0)).mul(6).bfloat16()
    activate = torch.sigmoid if activation == "sigmoid" else lambda each: each.softmax(dim=2)
    expected = activate(logits.double()).mean(dim=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = average_positions(logits, activation)
    assert result.dtype == torch.float32
    probabilities = torch.sigmoid(result) if activation == "sigmoid" else result.softmax(dim=1)
    assert torch.allclose(probabilities.double(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("depth", "counts"), [("R18", [2, 2, 2, 2]), ("R101", [3, 4, 23, 3]), ((1, 2, 1, 1), [1, 2, 1, 1])]
)
def test_depths_are_counted_in_blocks(depth, counts):
    with torch.device("meta"):
        net = build("slow", depth=depth, width=8, frames=8)
    assert [len(stage) for stage in (net.res2, net.res3, net.res4, net.res5)] == counts
