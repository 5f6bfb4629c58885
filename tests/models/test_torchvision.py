"""Networks that torchvision has, too: a file of ours in its own network, the proof that counts.

Where a network takes clips of any size, they have sizes that no golden case has.
"""

import msgspec
import pytest
import torch
import torchvision
from torch import nn

from tests.models.golden_networks import trained
from tests.models.torchvision_networks import fill, vmz
from videohub import models
from videohub.architectures.csn import CSN
from videohub.architectures.mvit import MViT
from videohub.architectures.r3d import R3D
from videohub.architectures.s3d import S3D
from videohub.architectures.swin3d import Swin3D
from videohub.convert import conversion, tables

ODD = (2, 3, 9, 65, 80)  # no stage divides it
SAME = {  # torchvision's function, our architecture, and clips
    "mc3_18": (R3D(variant="mc3"), [ODD]),
    "r3d_18": (R3D(variant="r3d"), [ODD, (1, 3, 1, 1, 1)]),
    "r2plus1d_18": (R3D(variant="r2plus1d"), [ODD, (1, 3, 1, 1, 1)]),
    "s3d": (S3D(), [(1, 3, 24, 224, 257)]),  # positions in time and space
    "swin3d_t": (
        Swin3D(depth="T"),
        [
            (2, 3, 7, 100, 130),  # padded everywhere; windows that shrink in time do not shift there
            (1, 3, 34, 50, 50),  # shifted in time, and shrunken in space from the third stage on
            (1, 3, 1, 1, 1),
        ],
    ),
    "mvit_v1_b": (MViT(version=1, blocks=(1, 2, 11, 2)), [(1, 3, 16, 224, 224)]),  # torchvision's take no other size
    "mvit_v2_s": (MViT(version=2, blocks=(1, 2, 11, 2)), [(1, 3, 16, 224, 224)]),
}
QUICK = ("mc3_18",)
SEPARATE = {"variant": "r2plus1d", "middle": "convolution", "eps": 1e-3}
VMZ = {
    "r2plus1d_34": R3D(depth="R34", **SEPARATE),
    "r2plus1d_152": R3D(depth=(3, 8, 36, 3), bottleneck=True, **SEPARATE),
    "ir_csn_152": CSN(depth="R152", eps=1e-3),
    "ip_csn_152": CSN(depth="R152", variant="ip", eps=1e-3),
}


@torch.inference_mode()
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SAME]
)
def test_torchvision_s_network_gives_our_logits_at_any_size(name, tmp_path):
    arch, shapes = SAME[name]
    network = trained(arch, frames=16)
    theirs = getattr(torchvision.models.video, name)(num_classes=400).eval()
    fill(theirs, network, arch, tmp_path / f"{name}.pth")
    for shape in shapes:
        clip = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        logits, expected = network(clip), theirs(clip)
        assert expected.std() > 1e-3
        assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max(), shape


@torch.no_grad()
@pytest.mark.parametrize("name", ["mc3_18", "s3d", pytest.param("r2plus1d_18", marks=pytest.mark.slow)])
def test_a_step_of_training_leaves_the_statistics_that_torchvision_s_has(name, tmp_path):
    arch, clip = SAME[name][0], torch.randn(1, 3, 16, 224, 224, generator=torch.Generator().manual_seed(1))
    network = trained(arch, frames=16)
    theirs = getattr(torchvision.models.video, name)(num_classes=400)
    fill(theirs, network, arch, tmp_path / "before.pth")
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    network.train()(clip)
    theirs.train()(clip)
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    table = tables.find(arch.family, "torchvision").of(arguments)
    ours = conversion.to_published(network.state_dict(), table, arguments)
    statistics = [key for key in ours if "running" in key]
    assert len(statistics) >= 40
    assert all(torch.allclose(ours[key], theirs.state_dict()[key], rtol=1e-4, atol=1e-6) for key in statistics)
    assert sum(not torch.equal(before[key], tensor) for key, tensor in network.state_dict().items()) >= len(statistics)


@torch.inference_mode()
@pytest.mark.parametrize("name", VMZ)
def test_vmz_s_networks_of_few_blocks_give_our_logits(name, tmp_path):
    arch = msgspec.structs.replace(VMZ[name], depth=(1, 2, 1, 1), num_classes=7)
    network = trained(arch, frames=9)
    theirs = vmz(name, layers=(1, 2, 1, 1), num_classes=7)
    fill(theirs, network, arch, tmp_path / f"{name}.pth")
    clip = torch.randn(ODD, generator=torch.Generator().manual_seed(1))
    logits, expected = network(clip), theirs(clip)
    assert expected.std() > 1e-3
    assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("name", "millions"), [
    ("r2plus1d_34", 63.6), ("r2plus1d_152", 118.0), ("ir_csn_152", 29.6), ("ip_csn_152", 32.8),
])  # fmt: skip
def test_vmz_s_networks_have_as_many_weights_of_convolutions_and_classes_as_its_table_prints(name, millions):
    with torch.device("meta"):
        network = models.build(VMZ[name], frames=32)
    weights = [module.weight.numel() for module in network.modules() if isinstance(module, nn.Conv3d | nn.Linear)]
    assert round(sum(weights) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("arch", "parameters"),
    [
        (R3D(variant="mc3"), 11_695_440),
        (Swin3D(depth="S"), 49_816_678),
        (Swin3D(depth="B"), 88_048_984),
    ],
)
def test_sizes_without_a_golden_case_have_as_many_parameters_as_torchvision_says(arch, parameters):
    with torch.device("meta"):
        network = models.build(arch, frames=16)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(("shape", "message"), [
    ((1, 3, 4, 64, 64), "found 4 frames, expected at least 5"),
    ((1, 3, 8, 64, 16), "found 64 x 16 pixels, expected at least 17 x 17"),
])  # fmt: skip
def test_s3d_refuses_clips_of_which_pooling_would_leave_nothing(shape, message):
    with torch.device("meta"):
        network = models.build(S3D(), frames=16)
        assert network(torch.empty(1, 3, 5, 17, 17)).shape == (1, 400)
        with pytest.raises(ValueError, match=message):
            network(torch.empty(shape))
