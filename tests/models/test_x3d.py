"""X3D: its published sizes, and what is peculiar to its blocks and its head."""

import pytest
import torch

from tests.models.golden_networks import CASES
from tests.models.test_networks import clip_for, network
from videohub import models
from videohub.architectures.parts import AverageAll, AverageWindow
from videohub.architectures.x3d import X3D
from videohub.models.x3d import SqueezeExcitation


@pytest.mark.parametrize(
    ("arch", "parameters", "tensors"),
    [
        (X3D(size="M"), 3_794_322, 568),
        (X3D(size="M", first_shortcut_norm=False), 3_794_274, 563),
        (X3D(size="L", depth_factor=5.0, first_shortcut_norm=False), 6_153_384, 1141),
    ],
)
def test_sizes_have_the_numbers_of_parameters_and_tensors_of_the_originals(arch, parameters, tensors):
    with torch.device("meta"):
        net = models.build(arch, frames=16)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert len(net.state_dict()) == tensors


def test_every_other_block_weighs_its_channels_from_the_first_on():
    with torch.device("meta"):
        net = models.build(X3D(size="S"), frames=13)
    for stage in (net.res2, net.res3, net.res4, net.res5):
        assert [isinstance(block.weigh, SqueezeExcitation) for block in stage] == [
            number % 2 == 0 for number in range(len(stage))
        ]


@torch.no_grad()
def test_a_longer_clip_has_positions_in_time_as_well():
    net, seen = network("x3d"), []
    net.head.projection.register_forward_hook(lambda module, given, made: seen.append(made))
    probabilities = net(clip_for("x3d", frames=10, width=96)).softmax(dim=1)
    assert seen[0].shape == (2, 3, 1, 2, 7)  # 10 frames of 8, and a map of 2 x 3 under a window of 2
    assert torch.allclose(probabilities, seen[0].softmax(dim=4).mean(dim=(1, 2, 3)), atol=1e-6)


@torch.no_grad()
def test_the_efficient_form_is_the_same_network_with_one_average():
    """Its file's tensors in PySlowFast's network: at the training crop, where its window has one position, the same."""
    case = CASES["wider/pytorchvideo/efficient_x3d_xs"]
    state, clip = case.state(case.golden_file()), case.clip()
    windowed, efficient = (
        models.build(X3D(size="XS", head=head), frames=4) for head in (AverageWindow(window=5), AverageAll())
    )
    windowed.load_state_dict(state)
    efficient.load_state_dict(state)
    assert clip.shape[-1] == 160
    assert torch.allclose(windowed(clip), efficient(clip), atol=1e-5)
    larger = torch.nn.functional.pad(clip, (11, 11, 11, 11))
    assert not torch.allclose(windowed(larger), efficient(larger), atol=1e-2)


def test_training_begins_with_blocks_that_add_nothing_and_reaches_every_weight():
    net = models.build(X3D(size="XS", depth_factor=0.4, num_classes=3), frames=4).train()
    assert not any(block.norm_c.weight.any() for block in net.res3)
    for block in [*net.res2, *net.res3, *net.res4, *net.res5]:
        torch.nn.init.ones_(block.norm_c.weight)
    net(clip_for("x3d", frames=4)).log_softmax(dim=1)[:, 0].sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
