"""What the table does not say, or says wrongly: networks, protocols and files, as the facts have them."""

from __future__ import annotations

from collections import Counter

import pytest

from videohub.architectures.slowfast import SlowFast


def test_each_section_of_the_table_has_its_records(zoo):
    def count(**wanted):
        return sum(all(getattr(record, name) == value for name, value in wanted.items()) for record in zoo.values())

    kinetics = [r for r in zoo.values() if r.protocol.dataset == "kinetics400" and r.config and "/c2/" in r.config]
    assert (len(kinetics), sum(r.status == "unreleased" for r in kinetics)) == (9, 2)
    datasets = Counter(record.protocol.dataset for record in zoo.values() if record.number)
    assert datasets == {
        "kinetics400": 9 + 2,
        "ava_v2.1": 1,
        "ava_v2.2": 3,
        "ssv2": 2,
        "charades": 2,
        "imagenet1k": 1,
    }
    assert count(published=()) == 4
    assert count(training="multigrid") == 3
    assert len(zoo) == 24


def test_no_digest_size_or_container_is_invented(zoo):
    assert all(r.checkpoint.sha256 is None and r.checkpoint.size is None for r in zoo.values())
    assert {name for name, r in zoo.items() if r.checkpoint.container is None} == {
        "c2d_nopool_r50_8x8",
        "slowfast_r101_8x8",
        "slowfast_r101_16x8",
    }


def test_the_files_come_in_two_containers_whatever_their_suffix(zoo):
    containers = Counter(r.checkpoint.container for r in zoo.values() if r.checkpoint.container)
    assert containers == {"caffe2": 12, "torch_legacy": 9}
    for record in zoo.values():
        if record.checkpoint.container:
            layout = "caffe2" if record.checkpoint.container == "caffe2" else "pyslowfast"
            assert record.checkpoint.layout == layout


def test_the_broken_and_the_unreleased_records_say_so(zoo):
    assert {name for name, r in zoo.items() if r.status == "broken"} == {"c2d_nopool_r50_8x8"}
    unreleased = {name: " ".join(r.notes) for name, r in zoo.items() if r.status == "unreleased"}
    assert set(unreleased) == {"slowfast_r101_8x8", "slowfast_r101_16x8"}
    assert "SLOWFAST_8x8_R101.pyth, 77.90 / 93.27" in unreleased["slowfast_r101_8x8"]  # PyTorchVideo's own
    assert "SLOWFAST_16x8_R101_50_50.pyth, 78.70 / 93.61" in unreleased["slowfast_r101_16x8"]


def test_slowfast_records_feed_alpha_fast_frames_for_each_frame_of_the_table(zoo):
    for record in zoo.values():
        if isinstance(record.model, SlowFast):
            assert record.clip.frames == record.frames * record.model.alpha
            assert record.clip.sampling_rate == 2
            assert record.rate == 2 * record.model.alpha
        elif record.frames is not None:
            assert (record.clip.frames, record.clip.sampling_rate) == (record.frames, record.rate)


@pytest.mark.parametrize(
    ("name", "alpha", "lateral_kernel", "res4_temporal"),
    [
        ("slowfast_r50_4x16", 8, 5, (6, 6)),
        ("slowfast_r50_8x8", 4, 7, (6, 6)),
        ("slowfast_r101_8x8", 4, 5, (23, 23)),
        ("slowfast_r101_16x8", 4, 5, (6, 6)),
        ("slowfast_r101_8x8_ava21", 4, 5, (6, 6)),
        ("slowfast_r50_16x8_ssv2", 4, 7, (6, 6)),
    ],
)
def test_slowfast_variants_differ_in_numbers_that_the_table_does_not_print(
    zoo, name, alpha, lateral_kernel, res4_temporal
):
    model = zoo[name].model
    assert (model.alpha, model.lateral_kernel, model.temporal_blocks) == (alpha, lateral_kernel, res4_temporal)


def test_ava_slowfast_networks_have_non_local_blocks_and_a_dilated_res5(zoo):
    for name in ("slowfast_r101_8x8_ava21", "slowfast_r101_8x8_ava22", "slowfast_r101_16x8_ava22"):
        model = zoo[name].model
        assert model.non_local.after == {"res4": [6, 13, 20]}
        assert (model.non_local.affinity, model.non_local.pool) == ("dot_product", (2, 2, 2))
        assert (model.res5.stride, model.res5.dilation) == (1, 2)
        assert not model.head.aligned
        assert zoo[zoo[name].pretrain].model.num_classes == 600
        assert (zoo[zoo[name].pretrain].model.res5.stride, model.num_classes) == (2, 80)


def test_ava_boxes_are_iou90_above_08_for_slowfast_and_iou75_above_09_for_slow(zoo):
    for name, record in zoo.items():
        if record.protocol.detection:
            folder, threshold = record.protocol.detection.boxes.split("/")[0], record.protocol.detection.score_threshold
            assert (folder[-5:], threshold) == (("iou75", 0.9) if name.startswith("slow_") else ("iou90", 0.8))


def test_the_non_local_i3d_has_five_softmax_blocks(zoo):
    non_local = zoo["i3d_nln_r50_8x8"].model.non_local
    assert non_local.after == {"res3": [1, 3], "res4": [1, 3, 5]}
    assert (non_local.affinity, non_local.pool) == ("softmax", (1, 2, 2))
    assert zoo["i3d_r50_8x8"].model.non_local is None


def test_multigrid_models_average_the_whole_map_and_only_charades_tests_them_at_256(zoo):
    crops = {
        r.protocol.dataset: (r.protocol.short_side, r.protocol.crop_size, type(r.model.head).__name__)
        for r in zoo.values()
        if r.training == "multigrid"
    }
    assert crops == {
        "kinetics400": (224, 224, "AverageAll"),
        "ssv2": (224, 224, "AverageAll"),
        "charades": (256, 256, "AverageAll"),
    }


@pytest.mark.parametrize(
    ("name", "views", "activation", "join"),
    [
        ("slowfast_r50_8x8", 10 * 3, "softmax", "sum"),
        ("slowfast_r50_16x8_ssv2", 1 * 3, "softmax", "sum"),
        ("slowfast_r50_16x8_charades", 10 * 3, "sigmoid", "max"),
        ("slow_r50_4x16_ava22", 1, "sigmoid", "sum"),
        ("resnet_r50_in1k", 1, "softmax", "sum"),
    ],
)
def test_protocols_look_at_a_video_as_often_as_the_source_did(zoo, name, views, activation, join):
    protocol = zoo[name].protocol
    assert (protocol.num_views, protocol.scores.activation, protocol.scores.join) == (views, activation, join)


def test_the_head_has_the_classes_of_its_labels(zoo):
    classes = {"kinetics400": 400, "kinetics600": 600, "ava": 80, "ssv2": 174, "charades": 157, "imagenet1k": 1000}
    nameless = {name for name, record in zoo.items() if record.labels is None}
    assert len(nameless) == 3
    assert all("k600_nl" in name for name in nameless)  # whose order nobody knows
    assert all(record.model.num_classes == classes[record.labels or "kinetics600"] for record in zoo.values())


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("c2d_nopool_r50_8x8", "gzip"),
        ("slowfast_r50_16x8_ssv2", "left"),
        ("slowfast_r101_8x8_ava21", "a83567b0c40f844fdcce03df1cd21dcc"),
        ("slowfast_r50_16x8_charades", "SSv2/SLOWFAST_16x8_R50"),
        ("slowfast_r101_8x8_k600_nl_ava22_pretrain", "[1, 2, 2]"),
        ("resnet_r50_in1k", "error rates"),
        ("slowfast_r101_8x8", "coming_soon"),
        ("slow_r50_4x16_ava22", "4 frames at sampling rate 16"),
        ("slowfast_r50_8x8_stepwise", "twice"),
    ],
)
def test_contradictions_of_the_source_are_told_in_the_notes(zoo, name, word):
    assert any(word in note for note in zoo[name].notes)
