"""What a record may say about its network: defaults stated once, and what it comes to."""

import subprocess
import sys
from typing import ClassVar

import msgspec
import pytest
import yaml

from videohub import architectures, registry, resources
from videohub.architectures import Architecture, Part
from videohub.architectures.csn import CSN
from videohub.architectures.mvit import MViT
from videohub.architectures.parts import AverageWindow, NonLocal, RoiMax
from videohub.architectures.r2plus1d import R2Plus1D
from videohub.architectures.r3d import R3D
from videohub.architectures.resnet import ResNet
from videohub.architectures.reversible_mvit import ReversibleMViT
from videohub.architectures.s3d import S3D
from videohub.architectures.slowfast import SlowFast
from videohub.architectures.swin3d import Swin3D
from videohub.architectures.vit import Probe, ViT
from videohub.architectures.x3d import X3D

RAW = yaml.safe_load(resources.registry_file().read_text(encoding="utf-8"))["records"]


def test_families_are_found_by_their_files_and_need_no_torch():
    assert {"resnet": ResNet, "slowfast": SlowFast}.items() <= architectures.families().items()
    code = "import sys; from videohub import architectures; architectures.families(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("name", RAW)
def test_a_record_states_only_what_differs_from_its_family_s_defaults(name):
    stated = dict(RAW[name]["model"])
    model = registry.record(name).model
    for field in stated.keys() & {field.name for field in msgspec.structs.fields(model) if not field.required}:
        spared = {key: value for key, value in stated.items() if key != field}
        assert architectures.read(spared) != model, field


@pytest.mark.parametrize(
    ("model", "arch", "size", "task"),
    [
        (ResNet(variant="c2d", depth="R50"), "c2d", "R50", "classification"),
        (ResNet(variant="i3d", depth="R101"), "i3d", "R101", "classification"),
        (
            ResNet(variant="i3d", depth="R50", non_local=NonLocal(after={}, affinity="softmax", pool=(1, 2, 2))),
            "i3d_nln",
            "R50",
            "classification",
        ),
        (ResNet(variant="slow", depth="R50", head=RoiMax()), "slow", "R50", "detection"),
        (ResNet(variant="image", depth="R152"), "resnet", "R152", "classification"),
        (SlowFast(depth=(1, 1, 1, 1)), "slowfast", "R14", "classification"),  # 1 + 3 * 4 + 1 layers
        (SlowFast(depth="R50", head=RoiMax()), "slowfast", "R50", "detection"),
        (X3D(size="XS"), "x3d", "XS", "classification"),
        (MViT(version=1, blocks=(1, 2, 11, 2)), "mvit", "B", "classification"),
        (MViT(version=2, blocks=(1, 2, 11, 2)), "mvitv2", "S", "classification"),
        (MViT(version=2, blocks=(2, 6, 36, 4), width=144, heads=2), "mvitv2", "L", "classification"),
        (MViT(version=2, blocks=(1, 1, 1, 1)), "mvitv2", "4", "classification"),
        (ReversibleMViT(blocks=(1, 2, 11, 2)), "rev_mvit", "B", "classification"),
        (ReversibleMViT(blocks=(12,), width=384, heads=6, patch=16), "rev_vit", "S", "classification"),
        (ViT(depth=32, width=1280, heads=16), "vit", "H", "classification"),
        (CSN(depth="R101"), "csn", "R101", "classification"),
        (R2Plus1D(depth="R50"), "r2plus1d", "R50", "classification"),
        (R3D(variant="r2plus1d"), "r2plus1d", "R18", "classification"),
        (R3D(variant="mc3", depth=(1, 1, 2, 1)), "mc3", "R12", "classification"),  # 1 + 2 * 5 + 1 layers
        (S3D(), "s3d", "Inception", "classification"),
        (Swin3D(depth="B"), "swin3d", "B", "classification"),
        (Swin3D(depth=(2, 2, 1, 1)), "swin3d", "2-2-1-1", "classification"),
    ],
)
def test_arch_size_and_task_follow_from_what_is_said(model, arch, size, task):
    assert (model.arch, model.size, model.task) == (arch, size, task)


@pytest.mark.parametrize(
    ("model", "field", "what"),
    [
        (ViT(depth=1, width=768, heads=10), "heads", "expected a divisor of the width, 768"),
        (ViT(depth=1, width=768, heads=12, crop=15), "crop", "expected at least 16"),
        (MViT(version=1, blocks=(1, 1, 1, 1), crop=31), "crop", "expected at least 32"),
        (ViT(depth=1, width=768, heads=12, segments=2), "class_token", "would be there 2 times"),
        (ViT(depth=2, width=768, heads=12, levels=(1, 2)), "levels", "names block 2, and the blocks are 0 to 1"),
        (ViT(depth=1, width=768, heads=12, positions="rotary"), "class_token", "no place to turn by"),
        (MViT(version=2, blocks=(1, 1, 1, 1), joint_positions=True), "joint_positions", "is of version 1"),
        (MViT(version=1, blocks=(1, 1, 1, 1), class_token=False, readout="class_token"), "readout", "does not have"),
        (ReversibleMViT(blocks=(1, 2)), "crop", None),
        (ReversibleMViT(blocks=()), "blocks", "is empty"),
        (ReversibleMViT(blocks=(1, 2), patch=16), "blocks", "names 2 stages, expected one"),
    ],
)
def test_a_transformer_that_cannot_be_built_is_refused(model, field, what):
    assert [where for where, message in model.flaws() if what and what in message] == ([(field,)] if what else [])


def test_a_probe_whose_heads_do_not_divide_the_width_is_refused():
    model = ViT(depth=1, width=768, heads=12, readout=Probe(heads=7))
    assert list(model.flaws()) == [(("readout", "heads"), "is 7, expected a divisor of the width, 768")]


@pytest.mark.parametrize(("variant", "pools"), [("c2d", True), ("i3d", True), ("slow", False), ("image", False)])
def test_c2d_and_i3d_pool_frames_unless_they_are_told_not_to(variant, pools):
    assert ResNet(variant=variant, depth="R50").pools_frames is pools
    assert not ResNet(variant=variant, depth="R50", temporal_pool=False).pools_frames


def test_a_width_of_swin_that_its_heads_do_not_divide_is_a_flaw():
    assert list(Swin3D(depth="T").flaws()) == list(Swin3D(depth="T", width=64).flaws()) == []
    ((field, message),) = Swin3D(depth="T", width=100).flaws()
    assert (field, message) == (("width",), "is 100, expected a multiple of 32, the width of a head")


def test_x3d_s_widths_and_depths_follow_from_its_factors():
    """12 doubles to 24, 48, 96, and each by the factor of width; 2.2 * (1, 2, 5, 3) rounded up; inside 2.25 as wide."""
    model = X3D(size="M")
    assert model.widths == (24, 24, 48, 96, 192)
    assert model.block_counts == (3, 5, 11, 7)
    assert X3D(size="L", depth_factor=5.0).block_counts == (5, 10, 25, 15)
    inner = [model.inner_width(width) for width in model.widths[1:]]
    assert inner == [54, 108, 216, 432]
    # sixteenths: 3.4 is less than one eight, 6.75 nearly one, 13.5 nearly two; 27 is nearest to 24, and over 0.9 of it
    assert [model.squeezed_width(width) for width in inner] == [8, 8, 16, 32]
    assert X3D(size="XL", width_factor=2.9).widths == (35, 35, 70, 139, 278)  # 34.8, 69.6, 139.2, 278.4


def test_an_x3d_without_channels_is_refused():
    (flaw,) = X3D(size="XS", width_factor=0.05, bottleneck_factor=0.5).flaws()
    assert flaw == (("bottleneck_factor",), "leaves no channel of 1")


# --- what decides a key ----------------------------------------------------------------------------------------------


class Before(Architecture, frozen=True, kw_only=True, tag_field="family", tag="sample"):
    width: int = 64


class WithNeutral(Architecture, frozen=True, kw_only=True, tag_field="family", tag="sample"):
    NEUTRAL: ClassVar = {"shift": 0}
    width: int = 64
    shift: int = 0


class WithOther(Architecture, frozen=True, kw_only=True, tag_field="family", tag="sample"):
    NEUTRAL: ClassVar = {"shift": 0}
    width: int = 64
    shift: int = 2


class Wider(Architecture, frozen=True, kw_only=True, tag_field="family", tag="sample"):
    width: int = 96


def test_a_new_argument_at_its_neutral_default_changes_nothing():
    assert WithNeutral().effective() == Before().effective() == {"family": "sample", "num_classes": 400, "width": 64}
    assert WithOther(shift=0).effective() == Before().effective()


def test_a_changed_default_and_a_default_that_is_not_neutral_show():
    assert Wider().effective() == {"family": "sample", "num_classes": 400, "width": 96}
    assert Wider(width=64).effective() == Before().effective()
    assert WithOther().effective() == {"family": "sample", "num_classes": 400, "shift": 2, "width": 64}


def test_parts_of_a_network_have_neutral_values_of_their_own():
    class Inner(Part, frozen=True, tag_field="kind", tag="inner"):
        NEUTRAL: ClassVar = {"scaled": True}
        size: int = 3
        scaled: bool = True

    class Outer(Part, frozen=True):
        inner: Inner = Inner()
        pairs: tuple[int, int] = (1, 2)

    assert Outer().effective() == {"inner": {"kind": "inner", "size": 3}, "pairs": (1, 2)}
    assert Outer(inner=Inner(scaled=False)).effective()["inner"] == {"kind": "inner", "scaled": False, "size": 3}


def test_what_a_head_averages_is_a_field_of_its_own():
    assert AverageWindow().mean_of == "probabilities"
    assert SlowFast(depth="R50").effective() != SlowFast(depth="R50", head=AverageWindow(mean_of="logits")).effective()


@pytest.mark.parametrize("family", ["slowfast", "vit"])
def test_another_classifier_has_no_output_for_background(family):
    """Which stands before the classes of AVA alone; the same number of classes is the same classifier."""
    head = RoiMax(over_time="max", background=True)
    if family == "slowfast":
        arch = SlowFast(depth="R50", head=head, num_classes=81)
    else:
        arch = ViT(depth=1, width=16, heads=2, class_token=False, readout=head, num_classes=81)
    assert (arch.task, arch.background_outputs) == ("detection", 1)
    assert arch.with_classes(81) == arch
    other = arch.with_classes(5)
    assert (other.num_classes, other.background_outputs) == (5, 0)
    assert other.roi_head == RoiMax(over_time="max")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, "class_token"),
        ({"class_token": False, "segments": 2}, "segments"),
        ({"class_token": False, "levels": (0, 1)}, "levels"),
    ],
)
def test_a_vit_whose_tokens_are_no_map_is_not_taken_for_a_detector(changes, place):
    flaws = dict(ViT(depth=2, width=16, heads=2, readout=RoiMax(), **changes).flaws())
    assert (place,) in flaws
