"""The inference form computes what the network computes: every family, any layout, type and batch, nothing shared."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from tests.evaluation.networks import DETECTION, SOFTMAX, network
from tests.evaluation.networks import FAMILIES as SMALL_NETWORKS
from tests.golden import synth
from tests.models.golden_networks import CASES
from videohub import optimize, registry
from videohub.architectures.parts import NonLocal
from videohub.models.inference_form import PictureConv

DOT_PRODUCT = NonLocal(after={"res4": [0]}, affinity="dot_product", pool=(2, 2, 2))
FAMILIES = {
    "c2d": {},
    "i3d": {},
    "i3d non-local": {"non_local": SOFTMAX},
    "slow": {},
    "image": {},
    "slowfast": {},
    "slowfast non-local": {"non_local": DOT_PRODUCT},
    "slowfast mixed": {"depth": (1, 1, 2, 1), "res4_temporal": (1, 2)},  # as R101 16x8: one block of two sees time
    "x3d": {},
    "csn": {},
    "r2plus1d": {},
    "r3d": {},
    "r3d_mc3": {},
    "r3d_r2plus1d": {},
    "s3d": {},
    "swin3d": {},
    "uniformer": {},
    "mvit": {},
    "mvit_v2": {},
    "reversible_mvit": {},
    "vit": {},
}
BOXES = torch.tensor([[0, 4.0, 6, 40, 45], [1, 0, 0, 47, 47], [0, 30, 10, 46, 40]])


def plain(family):
    return network(family.split()[0], **FAMILIES[family])


def clip_for(family, *, batch, seed="form"):
    frames = SMALL_NETWORKS[family.split()[0]]["frames"]
    return torch.from_numpy(synth.synth_clip(seed, (batch, 3, frames, 48, 64)))


def maps(model, clip):
    """What the head is given, of each pathway."""
    if hasattr(model, "tokens"):
        return [model.tokens(clip)]
    return model.feature_maps(clip) if hasattr(model, "feature_maps") else [model.feature_map(clip)]


def error(found, expected):
    """The largest difference, as a share of the largest value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


# --- the same numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["X3D_S", *(pytest.param(name, marks=pytest.mark.slow)
                for name in ("I3D_NLN_8x8_R50", "ImageNet_RES_R50", "SLOWFAST_4x16_R50", "SLOW_4x16_R50"))],
)  # fmt: skip
def test_the_form_gives_the_original_s_probabilities_and_logits(name):
    case = CASES[f"models/{name}"]
    form = optimize(case.network())
    seen = []
    form.get_submodule(case.architecture.classifier).register_forward_hook(
        lambda module, given, made: seen.append(made)
    )
    with torch.inference_mode():
        logits = form(case.clip())
    assert case.logits_difference(seen[0]) <= 1
    assert case.output_difference(logits) <= 1


@torch.no_grad()
@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_logits_features_and_maps_are_the_network_s(family, batch):
    net, clip = plain(family), clip_for(family, batch=batch)
    form = optimize(net)
    norms = [name for name, module in form.named_modules() if isinstance(module, nn.BatchNorm3d)]
    assert norms == (["norm"] if family == "uniformer" else [])  # whose last has no convolution beside it
    expected, result = net(clip), form(clip)
    assert (result.softmax(dim=1) - expected.softmax(dim=1)).abs().max() <= 1e-5
    assert error(result, expected) <= 1e-4

    net, clip = net.double(), clip.double()  # where nothing is left to rounding
    form = optimize(net)
    assert error(form(clip), net(clip)) <= 1e-12
    assert error(form.features(clip), net.features(clip)) <= 1e-12
    assert all(error(*pair) <= 1e-12 for pair in zip(maps(form, clip), maps(net, clip), strict=True))


@torch.no_grad()
def test_depth_adds_nothing_to_the_difference():
    net, clip = network("slowfast", depth="R101", width=8).double(), clip_for("slowfast", batch=1).double()
    assert error(optimize(net)(clip), net(clip)) <= 1e-12


@torch.no_grad()
@pytest.mark.parametrize("family", ["slow", "slowfast"])
def test_boxes_find_the_same_in_the_form(family):
    net, clip = network(family, **DETECTION, activation="sigmoid"), clip_for(family, batch=2)
    form = optimize(net)
    assert form(clip, BOXES).shape == (3, 7)
    assert (form(clip, BOXES).sigmoid() - net(clip, BOXES).sigmoid()).abs().max() <= 1e-5
    assert error(form.features(clip, BOXES), net.features(clip, BOXES)) <= 1e-5
    with pytest.raises(ValueError, match=r"expected \(K, 5\)"):
        form(clip)


@torch.no_grad()
def test_the_form_takes_pathways_as_a_list():
    form, clip = optimize(plain("slowfast")), clip_for("slowfast", batch=2)
    assert torch.equal(form([clip[:, :, [0, 7]], clip]), form(clip))


@torch.no_grad()
def test_half_precision_is_hardly_worse_in_the_form():
    """On a CPU torch averages no bfloat16 maps for the head, so the maps are looked at."""
    net, clip = plain("i3d non-local"), clip_for("i3d", batch=2)
    exact = plain("i3d non-local").double().feature_map(clip.double())
    net, clip = net.bfloat16(), clip.bfloat16()
    result = optimize(net).feature_map(clip)
    assert result.dtype == torch.bfloat16
    assert error(result, exact) <= 2 * error(net.feature_map(clip), exact) <= 0.1


@torch.no_grad()
@pytest.mark.parametrize("family", ["i3d non-local", "slowfast"])
def test_autocast_is_hardly_worse_in_the_form(family):
    net, clip = plain(family), clip_for(family, batch=2)
    form, exact = optimize(net), plain(family).double()(clip.double())
    with torch.autocast("cpu", torch.bfloat16):
        expected, result = net(clip), form(clip)
    assert result.dtype == expected.dtype == torch.bfloat16
    assert error(result, exact) <= 2 * error(expected, exact) <= 0.1


@torch.no_grad()
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no usable CUDA device")
def test_the_form_computes_the_same_on_a_gpu(family):
    net, clip = plain(family), clip_for(family, batch=2)
    form = optimize(net.cuda())
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        result = form(clip.cuda()).cpu()
    assert (result.softmax(dim=1) - net.cpu()(clip).softmax(dim=1)).abs().max() <= 1e-5


# --- the same bits ---------------------------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_view_s_bits_depend_on_neither_its_row_nor_its_neighbours(family, threads):
    form, views, others = optimize(plain(family)), clip_for(family, batch=4), clip_for(family, batch=2, seed="others")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        expected = form(views)
        assert torch.equal(form(torch.stack([others[0], views[0], others[1], views[2]]))[[1, 3]], expected[[0, 2]])
        assert torch.equal(form(torch.stack([views[3], others[1], views[0], others[0]]))[[0, 2]], expected[[3, 0]])
    finally:
        torch.set_num_threads(before)
    assert expected.std() > 0


@torch.inference_mode()
def test_a_clip_s_layout_does_not_matter(family):
    form, clip = optimize(plain(family)), clip_for(family, batch=2)
    expected = form(clip)
    assert torch.equal(form(clip.contiguous(memory_format=torch.channels_last_3d)), expected)
    assert torch.equal(form(clip.transpose(3, 4).contiguous().transpose(3, 4)), expected)


@torch.inference_mode()
@pytest.mark.parametrize("batch", [1, 2])
def test_nothing_is_brought_into_another_layout_after_the_stem(family, batch):
    form, copied = optimize(plain(family)), []

    def look(name):
        return lambda module, given: copied.append(name) if not lies_channels_last(given[0]) else None

    for name, module in form.named_modules():
        if isinstance(module, PictureConv):
            module.register_forward_pre_hook(look(name))
    form(clip_for(family, batch=batch))
    gathered = [name for name in copied if name.endswith("non_local.out")]  # what a matrix product makes
    first = {"stem.conv", "slow.stem.conv", "fast.stem.conv", "stem.conv_xy", "stem.0.conv", "stem.0.spatial.conv",
             "conv_1.spatial.conv"}  # fmt: skip
    after_small_maps = {"res3.0.conv_a.conv", "res3.0.shortcut.conv"} if family == "r3d_mc3" else set()
    assert set(copied) - set(gathered) - after_small_maps <= first  # 3-D ones of such small maps have their own layout


def lies_channels_last(clip):
    return clip.is_contiguous(memory_format=torch.channels_last_3d)


# --- a module of its own ---------------------------------------------------------------------------------------------


def storages(model):
    return {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}


@torch.no_grad()
def test_the_given_network_stays_as_it_is_and_shares_nothing():
    net, clip = plain("slowfast non-local"), clip_for("slowfast", batch=1)
    net.record = registry.record("slowfast_motions")
    state, logits = {name: tensor.clone() for name, tensor in net.state_dict().items()}, net(clip)
    form = optimize(net)
    expected = form(clip)
    assert net.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(net(clip), logits)
    assert not storages(form) & storages(net)
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in form.parameters())
    for parameter in net.train().parameters():
        parameter.zero_()
    assert torch.equal(form(clip), expected)
    assert form.record == registry.record("slowfast_motions")


@torch.no_grad()
def test_a_form_s_form_is_the_same():
    form, clip = optimize(plain("slowfast non-local")), clip_for("slowfast", batch=1)
    assert torch.equal(optimize(form)(clip), form(clip))


def test_a_form_made_in_inference_mode_can_be_asked_for_gradients_of_its_input():
    net, clip = plain("i3d non-local").double(), clip_for("i3d", batch=1).double().requires_grad_()
    with torch.inference_mode():
        form = optimize(net)
    (result,) = torch.autograd.grad(form(clip)[0, 3], clip)
    (expected,) = torch.autograd.grad(net(clip)[0, 3], clip)
    assert error(result, expected) <= 1e-12


def test_a_network_in_training_mode_is_refused():
    with pytest.raises(ValueError, match=r"found the model in training mode, .* call model\.eval\(\)"):
        optimize(plain("slow").train())
    net = plain("slow")
    net.res3[0].norm_b.train()
    with pytest.raises(ValueError, match=r"found res3\.0\.norm_b in training mode"):
        optimize(net)


@torch.no_grad()
def test_compiling_is_left_to_torch_and_concerns_the_call_alone(monkeypatch):
    asked = []

    def compile_(function, *args, **kwargs):
        def compiled(*given):
            asked.append((args, kwargs))
            return function(*given)

        return compiled

    monkeypatch.setattr(torch, "compile", compile_)
    net, clip = plain("slowfast"), clip_for("slowfast", batch=1)
    form, uncompiled = optimize(net, compile=True), optimize(net)
    assert torch.equal(form.features(clip), uncompiled.features(clip))
    assert asked == []
    assert torch.equal(form(clip), uncompiled(clip))
    assert asked == [((), {})]
    assert type(form) is type(net)


# --- modules that are not ours ---------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize(
    ("arguments", "on_pictures"),
    [
        ({"kernel_size": 1}, True),
        ({"kernel_size": 1, "stride": (1, 2, 2), "bias": False}, True),
        ({"kernel_size": 1, "stride": (2, 1, 1)}, True),
        ({"kernel_size": (1, 3, 2), "stride": (1, 2, 1), "padding": (0, 2, 1), "dilation": (1, 2, 1)}, True),
        ({"kernel_size": (1, 3, 3), "groups": 2}, True),
        ({"kernel_size": (3, 1, 1), "stride": (2, 1, 1), "padding": (2, 0, 0), "dilation": (2, 1, 1)}, True),
        ({"kernel_size": (5, 1, 1), "groups": 4}, True),
        ({"kernel_size": 3, "padding": 1}, False),
        ({"kernel_size": (3, 1, 1), "stride": 2}, False),
        ({"kernel_size": (1, 3, 3), "padding": (1, 0, 0)}, False),
        ({"kernel_size": (1, 3, 3), "stride": (2, 1, 1)}, False),
        ({"kernel_size": (3, 1, 1), "padding": (1, 0, 0), "padding_mode": "replicate"}, False),
        ({"kernel_size": (1, 3, 3), "padding": "same"}, False),
    ],
)
def test_a_convolution_is_computed_on_pictures_exactly_if_it_can_be(arguments, on_pictures):
    torch.manual_seed(0)
    conv = nn.Conv3d(4, 8, **arguments, dtype=torch.float64).eval()
    form = optimize(conv)
    assert isinstance(form, PictureConv) == on_pictures
    for batch in (1, 2):
        clip = torch.randn(batch, 4, 5, 6, 7, dtype=torch.float64)
        result, expected = form(clip), conv(clip)
        assert result.shape == expected.shape
        assert torch.allclose(result, expected, atol=1e-12)


class NormFirst(nn.Module):
    """Another house's block: its parts are called as ours are and come in another order."""

    def __init__(self):
        super().__init__()
        self.conv_a, self.norm_a = nn.Conv3d(3, 3, (3, 1, 1)), nn.BatchNorm3d(3)
        self.conv, self.norm = nn.Conv3d(3, 3, 1), nn.BatchNorm3d(3, track_running_stats=False)

    def forward(self, clip):
        return self.norm(self.conv(self.conv_a(self.norm_a(clip).relu())))


@torch.no_grad()
def test_batch_norms_of_other_modules_remain_and_ours_among_them_do_not():
    torch.manual_seed(0)
    other = NormFirst()
    other.norm_a.running_mean.normal_()
    net = nn.Sequential(other, plain("c2d")).double().eval()
    clip = clip_for("c2d", batch=2).double()
    form = optimize(net)
    assert error(form(clip), net(clip)) <= 1e-12
    remaining = [name for name, module in form.named_modules() if isinstance(module, nn.BatchNorm3d)]
    assert remaining == ["0.norm_a", "0.norm"]
    assert isinstance(form[0].conv_a, PictureConv)


@torch.no_grad()
def test_a_batch_norm_of_ours_without_fixed_statistics_remains():
    net = plain("slow")
    net.res2[0].norm_b = nn.BatchNorm3d(16, track_running_stats=False)
    net, clip = net.eval().double(), clip_for("slow", batch=2).double()
    form = optimize(net)
    assert isinstance(form.res2[0].norm_b, nn.BatchNorm3d)
    assert error(form(clip), net(clip)) <= 1e-12


@torch.no_grad()
def test_parts_with_hooks_stay_and_their_hooks_are_called():
    net, clip = plain("slow").double(), clip_for("slow", batch=1).double()
    seen = []
    net.res2[0].conv_a.register_forward_hook(lambda module, given, made: seen.append(module))
    net.res2[0].norm_b.register_forward_pre_hook(lambda module, given: (given[0] * 0.5,))
    net.res3[0].conv_b.register_forward_hook(lambda module, given, made: made * 2)
    expected = net(clip)
    form = optimize(net)
    assert error(form(clip), expected) <= 1e-12
    assert [type(module) for module in seen] == [nn.Conv3d, nn.Conv3d]
    assert seen[0] is net.res2[0].conv_a
    assert seen[1] is form.res2[0].conv_a


@torch.no_grad()
def test_a_pruned_network_has_a_form_with_the_pruned_weights():
    net, clip = plain("slow").double(), clip_for("slow", batch=1).double()
    whole = net(clip)
    for part in (net.res2[0].conv_a, net.res3[0].conv_b):
        with torch.enable_grad():
            prune.custom_from_mask(part, "weight", part.weight > 0)
    expected = net(clip)
    assert error(expected, whole) > 1e-3
    assert error(optimize(net)(clip), expected) <= 1e-12
