"""What networks are given: clips of every length and type, boxes in both forms; and what they say to anything else."""

import io

import onnxruntime
import pytest
import torch

from tests.models.test_networks import DETECTS, FAMILIES, clip_for, network
from videohub import registry
from videohub.building import check_takes
from videohub.errors import UsageError
from videohub.models.slowfast import slow_frames, slow_positions

BOXES = torch.tensor([[0, 10.0, 10.0, 40.0, 60.0], [1, 0.0, 5.0, 60.0, 63.0], [1, 8.0, 8.0, 24.0, 24.0]])
NARROW = (torch.bfloat16, torch.float16)


def test_slow_positions_are_the_originals_truncated_linspace_for_every_length():
    for frames in range(1, 257):
        for slow in {frames // alpha for alpha in range(1, frames + 1)}:
            original = torch.linspace(0, frames - 1, slow, dtype=torch.float32).long()
            assert torch.equal(slow_positions(frames, slow), original), (frames, slow)


def test_slow_positions_are_not_what_exact_arithmetic_gives():
    """11 * 94 / 22 is 47, and float32 comes out below it: the original takes frame 46."""
    assert slow_positions(95, 23)[11] == 46


@pytest.mark.parametrize(("frames", "alpha"), [(32, 4), (64, 4), (32, 8), (160, 4), (4, 4)])
def test_the_older_onnx_exporter_keeps_the_slow_frames(frames, alpha):
    class Slow(torch.nn.Module):
        def forward(self, clip):
            return slow_frames(clip, alpha)

    clip = torch.arange(float(frames)).reshape(1, 1, frames, 1, 1)
    written = io.BytesIO()
    torch.onnx.export(Slow(), (clip,), written, dynamo=False, input_names=["clip"], opset_version=17)
    session = onnxruntime.InferenceSession(written.getvalue(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"clip": clip.numpy()})
    assert result.ravel().tolist() == torch.linspace(0, frames - 1, frames // alpha).long().tolist()


@pytest.mark.parametrize("frames", [1, 3, 6, 9])
def test_frames_that_are_no_multiple_of_alpha_are_refused(frames):
    with pytest.raises(ValueError, match=f"clip: found {frames} frames, expected a multiple of alpha = 4"):
        network("slowfast")(torch.zeros(1, 3, frames, 32, 32))


@torch.no_grad()
@pytest.mark.parametrize("frames", [4, 8, 12])
def test_any_multiple_of_alpha_goes_through(frames):
    assert network("slowfast")(torch.zeros(1, 3, frames, 32, 32)).shape == (1, 7)


def test_one_frame_is_too_few_for_a_network_that_pools_over_time():
    with pytest.raises(ValueError, match="clip: found 1 frames, expected at least 2"):
        network("i3d")(torch.zeros(1, 3, 1, 32, 32))


def test_bytes_are_no_clip():
    with pytest.raises(ValueError, match=r"clip: found torch.uint8, expected normalised pixels"):
        network("slow")(torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clip_of_another_type_than_the_weights_is_told_what_to_do(family):
    with pytest.raises(ValueError, match=r"found torch.float32, expected torch.float64 .*clip.to\(torch.float64\)"):
        network(family).double()(clip_for(family))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ("dtype", "size"),  # one position of the head, or several; processors convolve float16 twenty times as slowly
    [
        (torch.float64, 64),
        (torch.float64, 96),
        (torch.bfloat16, 64),
        (torch.float16, 64),
        pytest.param(torch.bfloat16, 96, marks=pytest.mark.by_hand),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_of_another_type_gives_logits_and_features_of_that_type(family, dtype, size):
    net, clip = network(family), clip_for(family, height=size, width=size)
    expected, expected_features = net(clip), net.features(clip)
    net = net.to(dtype)
    logits, features = net(clip.to(dtype)), net.features(clip.to(dtype))
    assert logits.dtype == features.dtype == dtype
    close = 1e-4 if dtype == torch.float64 else 0.1  # bfloat16 has 8 bits of precision, layer after layer
    assert (logits.float() - expected).abs().max() < close * expected.abs().max()
    assert (features.float() - expected_features).abs().max() < close * expected_features.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float64, *NARROW])
def test_a_detection_network_of_another_type_gives_logits_of_that_type(dtype):
    net, clip = network("slow", **DETECTS), clip_for("slow")
    expected = net(clip, BOXES)
    logits = net.to(dtype)(clip.to(dtype), BOXES)
    assert logits.dtype == dtype
    close = 1e-4 if dtype == torch.float64 else 0.1
    assert (logits.float() - expected).abs().max() < close * expected.abs().max()


@torch.no_grad()
def test_under_autocast_a_detection_network_gives_what_a_classifier_gives():
    net, classifier = network("slow", **DETECTS), network("slow")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(clip_for("slow"), BOXES).dtype == classifier(clip_for("slow")).dtype == torch.bfloat16


@torch.no_grad()
def test_boxes_may_be_a_list_for_each_clip():
    net, clip = network("slow", **DETECTS), clip_for("slow", batch=3)
    as_list = [BOXES[:1, 1:], BOXES[1:, 1:], torch.empty(0, 4)]
    assert torch.equal(net(clip, as_list), net(clip, BOXES))
    assert torch.equal(net.features(clip, tuple(as_list)), net.features(clip, BOXES))


@pytest.mark.parametrize(
    ("boxes", "found"),
    [
        (None, "none"),
        (torch.zeros(2, 4), r"a tensor of shape \(2, 4\)"),
        ([torch.zeros(2, 4)], r"1 of shapes \[\(2, 4\)\] for 2 clips"),
        ([torch.zeros(2, 4), torch.zeros(1, 5)], r"2 of shapes"),
        ([torch.zeros(4), torch.zeros(4)], r"2 of shapes"),
    ],
)
def test_other_boxes_are_refused_with_both_forms(boxes, found):
    with pytest.raises(ValueError, match=rf"boxes: found {found}.*\(K, 5\).*\(L, 4\) for each clip"):
        network("slow", **DETECTS)(clip_for("slow"), boxes)


@pytest.mark.parametrize(
    "row", [[2, 1, 1, 50, 50], [-1, 1, 1, 50, 50], [0.5, 1, 1, 50, 50], [float("nan"), 1, 1, 50, 50],
            [1, float("nan"), 1, 50, 50], [0, 1, 1, float("inf"), 50], [0, 50, 1, 1, 50], [1, 1, 50, 50, 1]]
)  # fmt: skip
def test_a_box_of_a_clip_that_is_not_there_or_that_is_none_is_refused(row):
    boxes = torch.tensor([[0, 1.0, 1.0, 50.0, 50.0], row])
    with pytest.raises(ValueError, match=r"boxes: found row 1 with \[.*a batch index from 0 to 1"):
        network("slow", **DETECTS)(clip_for("slow"), boxes)


def test_a_box_of_no_numbers_in_a_list_is_refused():
    with pytest.raises(ValueError, match="boxes: found row 0"):
        network("slow", **DETECTS)(clip_for("slow"), [torch.full((1, 4), float("nan")), torch.empty(0, 4)])


def test_a_list_of_clips_is_refused_by_a_network_of_one_pathway():
    with pytest.raises(ValueError, match="clip: found a list, expected one tensor"):
        network("slow")([torch.zeros(1, 3, 8, 32, 32)])


@pytest.mark.parametrize("shapes", [[(3, 8)], [(1, 3, 2, 32, 32), (8,)], [(1, 3, 3, 32, 32), (1, 3, 8, 32, 32)], []])
def test_pathways_that_do_not_belong_together_are_refused(shapes):
    with pytest.raises(ValueError, match="clip: found"):
        network("slowfast")([torch.zeros(shape) for shape in shapes])


@pytest.mark.parametrize(
    ("name", "size", "why"),
    [
        ("hiera_b_16x4", (16, 128, 171), "found 16 x 128 x 171, expected 16 x 224 x 224 (frames x height x width)"),
        ("hiera_b_16x4", (16, 20, 171), "found 20 x 171 pixels, expected at least 32 x 32 (height x width)"),
    ],
)
def test_a_clip_of_another_size_is_told_in_one_order_height_first(name, size, why):
    with pytest.raises(UsageError) as failure:
        check_takes(registry.record(name), *size)
    frames, height, width = size
    assert str(failure.value) == (
        f"{name}: its network does not take clips of {frames} frames of {height} x {width} pixels (height x width): "
        f"clip: {why}"
    )
