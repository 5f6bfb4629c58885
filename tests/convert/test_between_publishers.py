"""Golden weights from one publisher's file to another's and back, wherever both have the network."""

import json

import msgspec
import numpy as np
import pytest
import torch

from tests.golden import synth
from tests.models import token_networks
from tests.models.golden_networks import CASES, GOLDEN, GoldenCase, trained
from tests.own_registry import like
from videohub import architectures, convert, models, registry
from videohub.architectures.mvit import MViT
from videohub.architectures.slowfast import SlowFast
from videohub.certificate import network_of
from videohub.convert import conversion, tables
from videohub.convert.recognition import recognise
from videohub.errors import ConversionError
from videohub.weights import convert_file

CAFFE2, PYSLOWFAST, PYTORCHVIDEO, TORCHVISION = "caffe2", "pyslowfast", "pytorchvideo", "torchvision"
TRANSFORMERS, VIDEOMAE, TIMESFORMER, MMACTION2 = "transformers", "videomae", "timesformer", "mmaction2"
VIDEO_SWIN = "video_swin"
VJEPA, VJEPA2, INTERNVIDEO2 = "vjepa", "vjepa2", "internvideo2"
SAME = [  # case, other layouts whose library has this network: FACTS' statements that were run, and the tables of keys
    ("models/MVIT_B_16x4_CONV", [PYTORCHVIDEO, TORCHVISION]),
    ("models/MVITv2_S_16x4", [TORCHVISION, MMACTION2]),
    ("wider/pyslowfast/ImageNet_MVIT_B_16_CONV", [PYTORCHVIDEO]),
    ("wider/pytorchvideo/mvit_base_16", [PYSLOWFAST]),
    ("wider/pytorchvideo/mvit_base_16x4", [PYSLOWFAST, TORCHVISION]),
    ("wider/torchvision/mvit_v1_b", [PYSLOWFAST, PYTORCHVIDEO]),
    ("wider/torchvision/mvit_v2_s", [PYSLOWFAST, MMACTION2]),
    ("models/SLOW_4x16_R50", [CAFFE2, PYTORCHVIDEO, MMACTION2]),
    ("models/I3D_8x8_R50", [CAFFE2, PYTORCHVIDEO, MMACTION2]),
    ("models/I3D_NLN_8x8_R50", [CAFFE2]),
    ("models/C2D_NOPOOL_8x8_R50", [CAFFE2, PYTORCHVIDEO, MMACTION2]),
    ("models/ImageNet_RES_R50", [CAFFE2, MMACTION2]),
    ("models/AVA_SLOW_8x8_R50", [CAFFE2, PYTORCHVIDEO, MMACTION2]),
    ("wider/pytorchvideo/slow_r50", [CAFFE2, PYSLOWFAST, MMACTION2]),
    ("wider/pytorchvideo/c2d_r50", [CAFFE2, PYSLOWFAST]),
    ("wider/pytorchvideo/i3d_r50", [CAFFE2, PYSLOWFAST, MMACTION2]),
    ("models/SLOWFAST_4x16_R50", [CAFFE2, PYTORCHVIDEO]),
    ("models/SLOWFAST_8x8_R50", [CAFFE2, PYTORCHVIDEO]),
    ("models/SLOWFAST_8x8_R101_101_101", [CAFFE2, PYTORCHVIDEO]),
    ("models/SLOWFAST_16x8_R101_50_50", [CAFFE2, PYTORCHVIDEO]),
    ("models/SLOWFAST_NLN_16x8_R101_50_50", [CAFFE2]),
    ("models/SSv2_SLOWFAST_16x8_R50", [CAFFE2, PYTORCHVIDEO]),
    ("models/Charades_SLOWFAST_16x8_R50", [CAFFE2, PYTORCHVIDEO]),
    ("models/AVA_SLOWFAST_32x2_R101_50_50", [CAFFE2]),
    ("wider/pytorchvideo/slowfast_r50", [CAFFE2, PYSLOWFAST]),
    ("wider/pytorchvideo/zoo_slowfast_4x16_r50", [CAFFE2, PYSLOWFAST]),
    ("wider/pytorchvideo/slowfast_r50_detection", [CAFFE2, PYSLOWFAST]),
    ("models/X3D_S", ["efficient_x3d", MMACTION2]),
    ("wider/pyslowfast/X3D_XS", ["efficient_x3d", MMACTION2]),
    ("wider/pytorchvideo/x3d_s", [PYSLOWFAST, "efficient_x3d", MMACTION2]),
    ("wider/pytorchvideo/x3d_xs", [PYSLOWFAST, "efficient_x3d", MMACTION2]),
    ("wider/pytorchvideo/efficient_x3d_xs", [PYSLOWFAST, MMACTION2]),
    ("modern/videomae/videomae_s_k400", [TRANSFORMERS, MMACTION2]),
    ("modern/videomae/videomae_s_ssv2", [TRANSFORMERS, MMACTION2]),
    ("modern/videomae/videomae_b_k400", [TRANSFORMERS, MMACTION2]),
    ("modern/videomaev2/vit_s_k710_dl_from_giant", [TRANSFORMERS, MMACTION2]),
    ("modern/videomaev2/vit_b_k710_dl_from_giant", [TRANSFORMERS, MMACTION2]),
    ("modern/transformers/videomae-small-finetuned-kinetics", [VIDEOMAE, MMACTION2]),
    ("modern/transformers/videomae-small-finetuned-kinetics__6heads", [VIDEOMAE, MMACTION2]),
    ("modern/transformers/videomae-base-finetuned-kinetics", [VIDEOMAE, MMACTION2]),
    ("modern/timesformer/timesformer_divST_8x32_224_K400", [TRANSFORMERS, MMACTION2]),
    ("modern/timesformer/timesformer_jointST_8x32_224", [TRANSFORMERS, MMACTION2]),
    ("modern/transformers/timesformer-base-finetuned-k400", [TIMESFORMER, MMACTION2]),
    ("wider/mmaction2/slowonly_r50_4x16x1", [CAFFE2, PYSLOWFAST, PYTORCHVIDEO]),
    ("wider/mmaction2/slowonly_r50_8x8x1", [CAFFE2, PYSLOWFAST, PYTORCHVIDEO]),
    ("wider/mmaction2/ava_slowonly_r50_4x16x1", [CAFFE2, PYSLOWFAST, PYTORCHVIDEO]),
    ("wider/mmaction2/c2d_r50_8x8x1", [CAFFE2]),
    ("wider/mmaction2/tsm_r50_1x1x8", ["tsm"]),
    ("wider/mmaction2/tsn_r50_1x1x8", [CAFFE2, PYSLOWFAST, PYTORCHVIDEO]),
    ("wider/mmaction2/tsn_rn101_32x4d", [PYSLOWFAST]),
    ("wider/mmaction2/x3d_s_13x6x1", [PYSLOWFAST, "efficient_x3d"]),
    ("wider/mmaction2/mvit_small_16x4x1", [PYSLOWFAST, TORCHVISION]),
    ("wider/mmaction2/ircsn_r50_32x2x1", [TORCHVISION]),
    ("wider/mmaction2/ipcsn_r152_32x2x1", [TORCHVISION]),
    ("modern/mmaction2/vit-base-p16_videomae-k400-pre_16x4x1", [VIDEOMAE, TRANSFORMERS]),
    ("modern/mmaction2/vit-small-p16_videomaev2-vit-g-dist-k710-pre_16x4x1", [VIDEOMAE, TRANSFORMERS]),
    ("modern/mmaction2/timesformer_divST_8x32x1", [TIMESFORMER, TRANSFORMERS]),
    ("modern/mmaction2/timesformer_jointST_8x32x1", [TIMESFORMER, TRANSFORMERS]),
    ("modern/video_swin/swin_tiny_patch244_window877_k400", [TORCHVISION, MMACTION2]),
    ("modern/video_swin/swin_base_patch244_window877_k400", [TORCHVISION, MMACTION2]),
    ("wider/torchvision/swin3d_t", [VIDEO_SWIN, MMACTION2]),
    ("wider/mmaction2/swin-tiny_32x2x1", [TORCHVISION, VIDEO_SWIN]),
    ("modern/uniformer/uniformer_small_k400_16x4", [MMACTION2]),
    ("modern/uniformer/uniformer_base_k400_16x4", [MMACTION2]),
    ("modern/mmaction2/uniformer-small_16x4x1", ["uniformer"]),
    ("modern/uniformerv2/uniformerv2_b16_k400_f8", [MMACTION2]),
    ("modern/vjepa2/vitl_ssv2_16f_256", [TRANSFORMERS]),
    ("modern/transformers/vjepa2-vitl-fpc16-256-ssv2", [VJEPA2]),
]
QUICK = {  # of two tables of convolutions and one of tokens; the others are test-all's
    ("wider/pytorchvideo/slow_r50", CAFFE2),
    ("wider/pytorchvideo/x3d_xs", PYSLOWFAST),
    ("modern/videomae/videomae_s_k400", TRANSFORMERS),
}
ALL_THREE = (CAFFE2, PYSLOWFAST, PYTORCHVIDEO)
ANOTHER_INPUT = {"models/I3D_8x8_R50__256x340", "models/SLOWFAST_8x8_R50__256x340"}  # of networks that are named here
NO_FIRST_NORM = "PyTorchVideo has no norm where a shortcut changes the stride alone"
NO_NON_LOCAL = "PyTorchVideo's residual networks have no non-local blocks"
REFUSED = {
    ("models/X3D_S", PYTORCHVIDEO): NO_FIRST_NORM,
    ("wider/pyslowfast/X3D_XS", PYTORCHVIDEO): NO_FIRST_NORM,
    ("wider/pytorchvideo/efficient_x3d_xs", PYTORCHVIDEO): NO_FIRST_NORM,
    ("wider/mmaction2/x3d_s_13x6x1", PYTORCHVIDEO): NO_FIRST_NORM,
    ("wider/mmaction2/ircsn_r50_32x2x1", PYTORCHVIDEO): "add 1e-5 to variances",
    ("wider/mmaction2/ipcsn_r152_32x2x1", PYTORCHVIDEO): "the interaction-reduced CSN alone",
    ("wider/pytorchvideo/csn_r101", MMACTION2): "add 1e-3 to variances",
    ("wider/pytorchvideo/csn_r101", TORCHVISION): "add 1e-3 to variances",
    ("wider/mmaction2/tsn_rn101_32x4d", CAFFE2): "have no groups",
    ("wider/mmaction2/tsn_rn101_32x4d", PYTORCHVIDEO): "has no ResNet for images",
    ("wider/mmaction2/tsn_rn101_32x4d", MMACTION2): "own ResNet has no groups",
    **{(name, "mmpretrain"): "ResNeXt alone" for name, case in CASES.items()
       if case.family == "resnet" and case.layout != "mmpretrain" and name not in ANOTHER_INPUT},
    **{("wider/mmaction2/tsn_swin_b", layout): "of two frames" for layout in (TORCHVISION, MMACTION2)},
    ("wider/torchvision/r3d_18", MMACTION2): "alone of these networks",
    ("wider/torchvision/r2plus1d_18", MMACTION2): "pools after its stem",
    ("wider/mmaction2/r2plus1d_r34_8x8x1", TORCHVISION): "no pooling after their stem",
    ("models/I3D_NLN_8x8_R50", PYTORCHVIDEO): NO_NON_LOCAL,
    ("models/I3D_NLN_8x8_R50", MMACTION2): "pools keys and values after their convolutions",
    ("wider/mmaction2/i3d_r50_nl-dot-product_32x2x1", CAFFE2): "pools before the convolutions",
    ("wider/mmaction2/i3d_r50_nl-dot-product_32x2x1", PYSLOWFAST): "first convolution takes every frame",
    ("wider/mmaction2/i3d_r50_nl-dot-product_32x2x1", PYTORCHVIDEO): "first convolution takes every frame",
    ("wider/mmaction2/slowonly_r50_nl-embedded-gaussian_4x16x1", CAFFE2): "pools before the convolutions",
    ("wider/mmaction2/slowonly_r50_nl-embedded-gaussian_4x16x1", PYSLOWFAST): "pools before the convolutions",
    ("wider/mmaction2/slowonly_r50_nl-embedded-gaussian_4x16x1", PYTORCHVIDEO): NO_NON_LOCAL,
    ("wider/mmaction2/i3d_r50_32x2x1", CAFFE2): "takes the larger of two frames",
    ("wider/mmaction2/i3d_r50_32x2x1", PYSLOWFAST): "first convolution takes every frame",
    ("wider/mmaction2/i3d_r50_32x2x1", PYTORCHVIDEO): "first convolution takes every frame",
    ("wider/mmaction2/c2d_r50_8x8x1", PYSLOWFAST): "looks beyond the edges of the picture",
    ("wider/mmaction2/c2d_r50_8x8x1", PYTORCHVIDEO): "looks beyond the edges of the picture",
    ("wider/pytorchvideo/c2d_r50", MMACTION2): "does not look beyond the edges of the picture",
    **{("wider/mmaction2/i3d_r50_heavy_32x2x1", layout): "has blocks that see single frames" for layout in ALL_THREE},
    **{(name, layout): "lateral connections have a norm and ReLU" for layout in ALL_THREE
       for name, case in CASES.items() if case.family == "slowfast" and case.layout == MMACTION2},
    **{(name, MMACTION2): "sees every alpha-th frame" for name, case in CASES.items()
       if case.family == "slowfast" and case.layout != MMACTION2 and name not in ANOTHER_INPUT},
    **{(name, MMACTION2): "MViT of version 2 alone" for name, case in CASES.items()
       if case.family == "mvit" and case.arguments["version"] == 1},
    ("wider/pyslowfast/ImageNet_MVITv2_T", MMACTION2): "is for clips alone",
    ("wider/pyslowfast/k400_MVITv2_S_16x4_FT", MMACTION2): "reads out its class token",
    ("wider/mmaction2/mvit_small_16x4x1", PYTORCHVIDEO): "version 1 alone",
    ("models/SLOWFAST_NLN_16x8_R101_50_50", PYTORCHVIDEO): NO_NON_LOCAL,
    ("models/AVA_SLOWFAST_32x2_R101_50_50", PYTORCHVIDEO): NO_NON_LOCAL,
    ("models/ImageNet_RES_R50", PYTORCHVIDEO): "PyTorchVideo has no ResNet for images",
    ("models/MVITv2_S_16x4", PYTORCHVIDEO): "version 1 alone",
    ("wider/torchvision/mvit_v2_s", PYTORCHVIDEO): "version 1 alone",
    ("wider/pyslowfast/ImageNet_MVITv2_T", PYTORCHVIDEO): "version 1 alone",
    ("wider/pyslowfast/k400_MVITv2_S_16x4_FT", PYTORCHVIDEO): "version 1 alone",
    ("wider/pyslowfast/k400_MVITv2_S_16x4_FT", TORCHVISION): "read out the class token",
    ("wider/pyslowfast/ImageNet_MVITv2_T", TORCHVISION): "for clips alone",
    ("wider/pyslowfast/ImageNet_MVIT_B_16_CONV", TORCHVISION): "for clips alone",
    ("wider/pytorchvideo/mvit_base_16", TORCHVISION): "for clips alone",
    ("wider/pyslowfast/in1k_VIT_B_MaskFeat_FT", TRANSFORMERS): "are for clips",
    ("wider/pyslowfast/k400_VIT_B_16x4_FT", TRANSFORMERS): "reads out its class token",
    ("modern/transformers/vivit-b-16x2-kinetics400", PYSLOWFAST): "GELU is the exact one",
    **{(name, "omnivore"): "classify images and depth, too" for name, case in CASES.items() if case.family == "swin3d"},
    **{(name, VIDEOMAE): "VideoMAE's networks have no class token"
       for name, case in CASES.items() if case.arguments.get("class_token") and case.family == "vit"},
    **{(name, MMACTION2): "which has no class token"
       for name, case in CASES.items() if case.arguments.get("class_token") and case.family == "vit"},
    **{(name, layout): "plain" for layout in (VIDEOMAE, PYSLOWFAST, TRANSFORMERS, MMACTION2)
       for name, case in CASES.items() if case.family == "vit" and case.layout == INTERNVIDEO2},
    **{(name, layout): "of another size anew" if layout == VIDEOMAE else "pictures of one size alone"
       for layout in (VIDEOMAE, TRANSFORMERS) for name, case in CASES.items()
       if case.arguments.get("positions") == "sinusoid_resized"},
    **{(name, INTERNVIDEO2): "norms of queries and keys"
       for name, case in CASES.items() if case.family == "vit" and case.layout != INTERNVIDEO2},
    **{(name, PYSLOWFAST): "PySlowFast's ViT has a class token"
       for name, case in CASES.items() if not case.arguments.get("class_token") and case.family == "vit"},
    **{(name, VJEPA): "V-JEPA adds one table" for name, case in CASES.items() if case.family == "vit"},
    **{(name, VJEPA): "V-JEPA's GELU" if case.layout == INTERNVIDEO2 else "V-JEPA's files are of a probe"
       for name, case in CASES.items() if case.arguments.get("positions") == "joint"},
    **{(name, VJEPA2): "V-JEPA 2 turns queries and keys" for name, case in CASES.items()
       if case.family == "vit" and case.arguments["positions"] != "rotary"},
    **{(name, layout): "VideoMAE's keys have no bias" for layout in (VIDEOMAE, MMACTION2)
       for name, case in CASES.items() if case.family == "vit" and case.arguments["positions"] == "rotary"},
}  # fmt: skip


def record_of(case: GoldenCase):
    """A record whose network is a golden one."""
    slow = like("slow_r50_8x8")
    clip = msgspec.structs.replace(slow.clip, frames=case.frames or case.facts["input"]["shape"][2])
    return msgspec.structs.replace(slow, name="golden", model=case.architecture, clip=clip, labels=None)


def test_every_layout_of_every_golden_network_is_written_or_refused():
    for_training = {"caffe2_affine", "pyslowfast_contrastive"}  # of networks that no golden case is
    expected = {(name, layout) for name, case in CASES.items() for layout in tables.layouts(case.family)
                if layout not in {case.layout, *for_training} and name not in ANOTHER_INPUT}  # fmt: skip
    same = {(name, layout) for name, layouts in SAME for layout in layouts}
    assert same | REFUSED.keys() == expected
    assert same >= QUICK


# Of each family, layout of a file and layout to be written, the network that is listed first.
FIRST = {(CASES[name].family, CASES[name].layout, layout): (name, layout)
         for name, layouts in reversed(SAME) for layout in layouts}  # fmt: skip


def mark_of(name: str, layout: str) -> list[pytest.MarkDecorator]:
    """Return when a pair is tried: in each run, in the slow tests, or, of what is like another one, by hand."""
    if (name, layout) in QUICK:
        return []
    often = (name, layout) in FIRST.values() and "vjepa2" not in name  # whose networks have 300 million parameters
    return [pytest.mark.slow] if often else [pytest.mark.slow, pytest.mark.by_hand]


@pytest.mark.parametrize(
    ("name", "layout"),
    [pytest.param(name, layout, marks=mark_of(name, layout)) for name, layouts in SAME for layout in layouts],
)
def test_golden_weights_go_to_another_publisher_s_file_and_back_and_give_the_original_s_numbers(
    tmp_path, monkeypatch, name, layout
):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    case, published, written, back = (
        CASES[name],
        tmp_path / "published",
        tmp_path / "written.file",
        tmp_path / "back.file",
    )
    golden, record = case.golden_file(), record_of(case)
    conversion.write_file({key: torch.from_numpy(array) for key, array in golden.items()}, case.table, published)
    convert_file(published, record, written, layout=layout)
    convert_file(written, record, back, layout=case.layout)
    assert convert.read(back).container == convert.read(published).container
    again = convert.read(back).tensors
    assert again.keys() >= golden.keys()
    assert [key for key in golden if not np.array_equal(again[key], golden[key])] == []

    there = network_of(record, layout)  # as the other library has it
    file = convert.read(written)
    assert (file.layout, file.container) == (layout, {CAFFE2: CAFFE2, TRANSFORMERS: "safetensors"}.get(layout, "torch"))
    arguments = conversion.arguments_of(there)
    state = conversion.imported(file.tensors, recognise(file.tensors, case.family, arguments), arguments, name)
    network = models.build(there.model, frames=there.clip.frames, activation=case.output_activation or "softmax")
    network.load_state_dict({key: torch.as_tensor(np.asarray(array)) for key, array in state.items()}, strict=True)
    with torch.inference_mode():
        assert case.output_difference(network(case.clip(), *case.boxes())) <= 1


@torch.inference_mode()
def test_non_local_blocks_without_a_bias_are_written_for_tsm_s_authors_with_one_of_zero():
    near = {"after": {"res3": [0, 2], "res4": [0, 2, 4]}, "affinity": "softmax", "pool": [1, 2, 2], "pooled": "keys",
            "scaled": False, "out_bias": False}  # fmt: skip
    model = architectures.read({"family": "tsm", "depth": "R50", "width": 8, "num_classes": 5, "non_local": near})
    record = msgspec.structs.replace(like("slow_r50_8x8"), name="ours", model=model, labels=None)
    network, theirs = trained(model, frames=4), network_of(record, "tsm")
    file = conversion.to_published(
        network.state_dict(),
        tables.find("tsm", "tsm").of(conversion.arguments_of(record)),
        conversion.arguments_of(record),
    )
    biases = [key for key in file if key.endswith(".nl.W.0.bias")]
    assert [bool(file[key].any()) for key in biases] == [False] * 5
    arguments = conversion.arguments_of(theirs)
    read = {key: tensor.numpy() for key, tensor in file.items()}
    state = conversion.imported(read, recognise(read, "tsm", arguments), arguments, "theirs")
    as_theirs = models.build(theirs.model, frames=4)
    as_theirs.load_state_dict({key: torch.as_tensor(np.asarray(array)) for key, array in state.items()}, strict=True)
    clip = torch.from_numpy(synth.synth_clip("tsm", (1, 3, 4, 32, 32)))
    assert torch.equal(as_theirs(clip), network(clip))


@pytest.mark.parametrize(("name", "layout"), REFUSED)
def test_a_network_that_the_other_library_lacks_is_refused_with_the_reason(name, layout):
    case = CASES[name]
    table = tables.find(case.family, layout).of(case.arguments)
    with pytest.raises(ConversionError, match=REFUSED[name, layout]):
        conversion.to_published(case.state(case.numbered_file()), table, case.arguments)


@pytest.mark.parametrize(("name", "words"), [
    ("models/MVITv2_S_16x4", "Layouts for this one: videohub, mmaction2, pyslowfast, torchvision."),
    ("wider/pyslowfast/X3D_XS", "Layouts that may have one: videohub, efficient_x3d, mmaction2, pyslowfast."),
])  # fmt: skip
def test_a_refusal_names_the_layouts_that_are_possible(name, words):
    case = CASES[name]
    table = tables.find(case.family, PYTORCHVIDEO).of(case.arguments)
    with pytest.raises(ConversionError) as refusal:
        conversion.to_published(case.state(case.numbered_file()), table, case.arguments)
    assert str(refusal.value).endswith(f"\n  {words}")


def test_tensors_that_a_layout_has_no_names_for_are_listed_with_layouts_that_may_have_some():
    case = CASES["models/X3D_S"]
    state = {**case.state(case.numbered_file()), "res2.0.odd.weight": torch.zeros(2, 3)}
    with pytest.raises(ConversionError) as refusal:
        conversion.to_published(state, case.table, case.arguments)
    assert str(refusal.value) == (
        f"x3d/pyslowfast: such files have no names for 1 of {len(state)} tensors:\n"
        "    res2.0.odd.weight (2, 3)\n"
        "  Layouts that may have some: videohub, efficient_x3d, mmaction2, pytorchvideo."
    )


def test_a_timesformer_of_single_frames_is_its_authors_and_mmaction2_s_and_not_transformers():
    arch = token_networks.FAMILIES["timesformer space"]
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    state = token_networks.network("timesformer space").state_dict()
    for layout, table_of_times in (TIMESFORMER, "model.time_embed"), (MMACTION2, "backbone.time_embed"):
        table = tables.find("timesformer", layout).of(arguments)
        file = {key: tensor.numpy() for key, tensor in conversion.to_published(state, table, arguments).items()}
        assert table_of_times not in file
        again = conversion.imported(file, recognise(file, "timesformer", arguments), arguments, "file")
        assert [name for name in state if not np.array_equal(again[name], state[name])] == []
    with pytest.raises(ConversionError, match="classifies each frame by itself"):
        conversion.to_published(state, tables.find("timesformer", TRANSFORMERS).of(arguments), arguments)


def test_files_that_can_only_be_of_a_library_which_computes_something_else_are_not_read_either():
    """transformers' TimeSformer of single frames, and torchvision's MViT at a crop at which it rounds otherwise."""
    space, crop = token_networks.FAMILIES["timesformer space"], MViT(version=2, blocks=(1, 2, 11, 2), crop=312)
    theirs = SlowFast(depth="R50", slow_frames="spread")
    for arch, layout, other in (
        (space, TRANSFORMERS, {"attention": "divided"}),
        (crop, "torchvision", {"crop": 224}),
        (theirs, MMACTION2, {"slow_frames": "strided"}),
    ):
        arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
        table, usual = tables.find(arch.family, layout), {**arguments, **other}
        with torch.device("meta"):
            state = models.build(arch, frames=8).state_dict()
        file = {key: torch.empty(tensor.shape).numpy()
                for key, tensor in conversion.to_published(state, table.of(usual), usual).items()}  # fmt: skip
        recognised = recognise(file, arch.family, arguments)
        assert recognised.layout == layout
        reason = "(the library classifies each frame|torchvision rounds distances|the slow pathway of mmaction2)"
        with pytest.raises(ConversionError, match=rf"file: a file of this layout is of another network, .*: {reason}"):
            conversion.imported(file, recognised, arguments, "file")


# --- by the maps from one layout's keys to another's with which the originals gave the same logits --------------------

MAPS = sorted((GOLDEN / "modern" / "correspondence").glob("*.json"))
LARGE = "vjepa2__hf_vjepa2-vitl-fpc16-256-ssv2"


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem == LARGE))
                                  for path in MAPS])  # fmt: skip
def test_a_file_moved_to_the_other_layout_key_by_key_holds_the_same_network(path):
    """Whose logits are the original's, as the golden networks show."""
    text = json.loads(path.read_text())
    original = CASES[f"modern/{text['from']}"]
    other = CASES.get(f"modern/{text['to']}") or CASES.get(f"wider/{text['to']}")
    file = original.golden_file()
    moved = {there: file[here] if rows is None else file[here][slice(*rows)] for there, here, rows in text["map"]}
    expected = original.state(file)
    if other is not None:
        assert moved.keys() == other.golden_file().keys()
        state = other.state(moved)
    else:  # the other publisher's network has no golden case of its own
        arguments = {**msgspec.to_builtins(original.architecture), "arch": original.architecture.arch}
        layout = recognise(moved, original.family, arguments)
        state = conversion.imported(moved, layout, arguments, path.stem)
        state = {key: torch.as_tensor(np.asarray(array)) for key, array in state.items()}
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []


# --- Omnivore: Video Swin's keys in a trunk, heads for three kinds of input, and what embeds depth --------------------
# The keys are those that its networks have by their code (omnivore_model.py, swin_transformer.py), not by our table.

SWIN = CASES["modern/video_swin/swin_tiny_patch244_window877_k400"]


def test_the_network_for_video_is_found_in_a_file_with_other_heads(tmp_path):
    golden = {key: torch.from_numpy(array) for key, array in SWIN.golden_file().items()}
    trunk = {key.removeprefix("backbone."): tensor for key, tensor in golden.items() if key.startswith("backbone.")}
    for part, shape in (("proj.weight", (96, 1, 2, 4, 4)), ("proj.bias", 96), ("norm.weight", 96), ("norm.bias", 96)):
        trunk[f"depth_patch_embed.{part}"] = torch.ones(shape)
    heads = {"image.weight": torch.ones(1000, 768), "image.bias": torch.ones(1000),
             "rgbd.weight": torch.ones(19, 768), "rgbd.bias": torch.ones(19),
             "video.1.weight": golden["cls_head.fc_cls.weight"],
             "video.1.bias": golden["cls_head.fc_cls.bias"]}  # fmt: skip
    torch.save({"trunk": trunk, "heads": heads}, tmp_path / "swinT_checkpoint.torch")
    checkpoint = convert.read(tmp_path / "swinT_checkpoint.torch")
    state = convert.to_state_dict(checkpoint, registry.record("omnivore_swin3d_t_32"))
    expected = SWIN.state(SWIN.golden_file())
    assert state.keys() == expected.keys()
    assert [key for key in state if not torch.equal(state[key], expected[key])] == []
