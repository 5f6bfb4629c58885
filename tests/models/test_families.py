"""What every family offers, and each of its variants that is other code: classes, features, one graph, half precision.

All on small networks; a family that has none here, or a choice between variants of which none is made, fails the first
test.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from msgspec.structs import fields, replace
from torch import nn

import videohub
from tests.evaluation.networks import DETECTION, SMALL, architecture
from tests.golden import synth
from tests.models import token_networks
from tests.models.test_networks import FAMILIES, NON_LOCAL
from videohub import architectures, models
from videohub.architectures import Architecture, Part
from videohub.architectures.parts import AverageAll, AverageWindow, LastStage, RoiMax, Stem

AFTER = {"pooled": "keys", "out_bias": False}
ALL_OF_A_BOX = RoiMax(resolution=8, aligned=True, over_time="max", context=True, mlp=True, background=True)
HALVING = Stem(stride=2, pool_stride=2)
PAIRS = {"stem_middle": 20, "stem_pool": True, "separate_shortcuts": True, "eps": 1e-3, "middle_eps": 1e-5}
MMACTION2 = {"slow_frames": "strided", "lateral_norm": False, "fast_depth": (1, 1, 2, 1)}
VARIANTS = {  # of networks that others test, too
    "slow detection": ("slow", DETECTION),
    "slowfast detection": ("slowfast", DETECTION),
    "slowfast detection of mmaction2": ("slowfast", {"res5": LastStage(stride=1), "head": ALL_OF_A_BOX}),
    "c2d without pooling": ("c2d", {"temporal_pool": False}),
    "slowfast of mmaction2": ("slowfast", MMACTION2),
    "i3d of mmaction2": ("i3d", {"stem": HALVING, "non_local": replace(NON_LOCAL, affinity="gaussian", **AFTER)}),
    "slow of mmaction2": ("slow", {"non_local": replace(NON_LOCAL, scaled=False, **AFTER)}),
    "i3d of video-nonlocal-net": ("i3d non-local", {"stem": Stem(stride=2, pool_frames=2, pool_padding=0)}),
    "r3d of mmaction2": ("r3d r2plus1d", PAIRS),
    "mobileone of images": ("mobileone", {"share": None, "segment": None}),
    "resnext": ("image", {"groups": 32, "group_width": 1}),
    "swin of images": ("swin3d", {"tubelet": 1, "window": (1, 3, 3)}),
    "tsm non-local": ("tsm", {"every": 1, "non_local": replace(NON_LOCAL, scaled=False, **AFTER)}),
    "x3d efficient": ("x3d", {"head": AverageAll()}),
    "x3d without a norm": ("x3d", {"first_shortcut_norm": False}),
}
ALONE = {  # networks that are tried here alone: what each is, and the length of its clips; of 64 x 64 pixels
    "vit detection": (
        replace(token_networks.FAMILIES["vit videomae"], positions="sinusoid_resized", readout=ALL_OF_A_BOX, crop=48),
        token_networks.frames("vit videomae"),
    ),
}


def _networks() -> Iterator[tuple[str, Architecture, int]]:
    """Yield each network's name, what it is, and the length of its clips."""
    of_tokens = {arch.family for arch in token_networks.FAMILIES.values()}
    for name, (of, changes) in {**{name: (name, {}) for name in FAMILIES}, **VARIANTS}.items():
        arguments = {**SMALL, **FAMILIES[of], **changes}
        frames = arguments.pop("frames")
        if (arch := architecture(of.split()[0], **arguments)).family not in of_tokens:
            yield name, arch, frames
    for name, arch in token_networks.FAMILIES.items():
        yield name, arch, token_networks.frames(name)
    yield from ((name, arch, frames) for name, (arch, frames) in ALONE.items())


NETWORKS = {name: (arch, frames) for name, arch, frames in _networks()}
QUICK = ("x3d", "vit")  # of what takes long; the others are test-all's
BOXES = torch.tensor([[0, 10.0, 10.0, 40.0, 60.0], [1, 0.0, 5.0, 60.0, 63.0], [0, 8.0, 8.0, 50.0, 50.0]])


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def network(name: str, **changes: object) -> models.VideoModel:
    """Return a small network whose weights are made from their names, as the golden ones are."""
    arch, frames = NETWORKS[name]
    built = models.build(replace(arch, **changes), frames=frames)
    give_weights(built)
    return built


def give_weights(model: nn.Module) -> None:
    """Give a network weights that are made from their names, as the golden ones are."""
    made = {key: synth.synth(key, tuple(tensor.shape)) for key, tensor in model.state_dict().items()}
    for key in made:
        if "theta" in key:  # affinities of hundreds make a maximum of the softmax, which float32 gets wrong by 7e-5
            made[key] *= np.float32(0.01)
    model.load_state_dict({key: torch.from_numpy(array) for key, array in made.items()})


def inputs(name: str, *, size: int = 64) -> tuple[torch.Tensor, ...]:
    """Return two clips and, for a network that detects, boxes in them."""
    arch, frames = NETWORKS[name]
    clip = torch.from_numpy(synth.synth_clip("families", (2, 3, frames, size, size)))
    return (clip, BOXES) if arch.task == "detection" else (clip,)


def rows(name: str) -> int:
    """Return how many rows come out: one a clip, or one a box."""
    return inputs(name)[-1].shape[0]


def choices(struct: type[Part]) -> Iterator[tuple[str, object]]:
    """Yield each value of the arguments that are one of a few words, or yes or no; sizes are names of other ones."""
    for field in fields(struct):
        if field.type is bool:
            yield from ((field.name, value) for value in (False, True))
        elif typing.get_origin(field.type) is typing.Literal and field.name != "size":
            yield from ((field.name, value) for value in typing.get_args(field.type))


@pytest.mark.parametrize("family", architectures.families())
def test_every_family_and_each_of_its_choices_has_a_small_network(family):
    structs = [arch for arch, _ in NETWORKS.values() if arch.family == family]
    assert structs, f"NETWORKS has no network of {family}"
    offered = set(choices(architectures.families()[family]))
    assert offered - {(name, getattr(arch, name)) for arch in structs for name, _ in offered} == set()


@torch.no_grad()
def test_features_are_as_many_as_it_says_and_what_its_classifier_is_given(name):
    net, given = network(name), inputs(name)
    features, logits = net.features(*given), net(*given)
    assert logits.shape == (rows(name), 7)
    assert features.shape == (rows(name), net.num_features)
    assert logits.std() > 0.01
    classifier = net.get_submodule(NETWORKS[name][0].classifier)
    assert torch.allclose(classifier(features), logits, atol=1e-5)


@torch.no_grad()
def test_the_inference_form_gives_the_same_to_rounding(name):
    """A `NORM_AFTER` or `NORM_BEFORE` that says what the network does not do would show here."""
    net, given = network(name).double(), tuple(each.double() for each in inputs(name))
    form, expected = videohub.optimize(net), net(*given)
    assert (form(*given) - expected).abs().max() <= 1e-10 * expected.abs().max()


def test_another_number_of_classes_is_another_shape_of_the_classifier_s_two_tensors_alone(name):
    with torch.device("meta"):
        seven, three = (
            {key: tensor.shape for key, tensor in models.build(arch, frames=NETWORKS[name][1]).state_dict().items()}
            for arch in (NETWORKS[name][0], replace(NETWORKS[name][0], num_classes=3))
        )
    assert seven.keys() == three.keys()
    assert {key for key in seven if seven[key] != three[key]} == set(NETWORKS[name][0].classifier_keys)
    assert [three[key][0] for key in NETWORKS[name][0].classifier_keys] == [3, 3]


@torch.no_grad()
def test_a_network_without_classes_has_no_classifier_and_gives_its_features(name):
    net, given = network(name, num_classes=None), inputs(name)
    assert not set(NETWORKS[name][0].classifier_keys) & net.state_dict().keys()
    assert torch.equal(net(*given), net.features(*given))
    assert torch.equal(net(*given), network(name).features(*given))


@torch.no_grad()
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_a_network_exports_as_one_graph(name):
    several = isinstance(getattr(NETWORKS[name][0], "head", None), AverageWindow)  # positions, of a larger clip
    net, given = network(name), inputs(name, size=96 if several else 64)
    exported = torch.export.export(net, given, strict=True)  # strict: a graph break is an error
    assert torch.allclose(exported.module()(*given), net(*given), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_bfloat16_under_autocast_gives_the_same_probabilities(name):
    net, given = network(name), inputs(name)
    shrunk = min(1, 5 / float(net(*given).abs().max()))  # none is saturated
    for key in NETWORKS[name][0].classifier_keys:
        net.get_parameter(key).mul_(shrunk)
    expected = net(*given).softmax(dim=1)
    assert expected.max() > 0.2  # nor are they flat: 1/7
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = net(*given)
    assert result.dtype == torch.bfloat16
    assert (result.float().softmax(dim=1) - expected).abs().max() <= 2e-2
