"""Each step of a protocol by itself: worked out by hand, or by numpy, Pillow and torchvision."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from tests.data.sample_videos import protocol
from videohub import protocols as steps
from videohub.data.geometry import crop_squares
from videohub.data.levels import apply
from videohub.data.pixels import STEPS, prepare
from videohub.data.spec import LIST_RULES, WINDOW_RULES, list_indices
from videohub.data.views import Views
from videohub.protocols import Protocol
from videohub.registry.schema import Clip
from videohub.runs.joined import join_first_views, join_views

RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 256, (30, 44, 3), dtype=np.uint8)
UNIT = steps.Divide(by=255.0)
NORMAL = steps.Normalise(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
HALF = steps.ResizeShortSide(pixels=15, long_side="floor", arithmetic="torch_float")


def prepared(*pixels: steps.Pixels, picture: np.ndarray = PICTURE) -> torch.Tensor:
    return prepare(torch.from_numpy(picture.copy())[None], protocol(pixels=pixels))[0]


def listed(rule: steps.FrameRule, *, frames: int, rate: int, clips: int, total: int, fps: float | None = None):
    views = steps.ViewGrid(clips=clips, crops=("centre",), order="clip_major")
    return list_indices(protocol(frames=rule, views=views), Clip(frames=frames, sampling_rate=rate), total, fps)


def test_every_step_and_rule_has_one_function():
    assert set(STEPS) == set(get_args(steps.Pixels)) - {steps.Crop}
    elsewhere = {steps.Timed, steps.TimedBeginning, steps.KeyFrames, steps.Image}
    assert set(LIST_RULES) | set(WINDOW_RULES) | elsewhere == set(get_args(steps.Frames))


def test_channels_are_reversed_to_bgr_before_or_after_each_has_its_mean():
    pixel = np.array([[[255, 51, 0]]], np.uint8)
    assert prepared(UNIT, steps.ReverseChannels(), picture=pixel).flatten().tolist() == pytest.approx([0, 0.2, 1])
    normal = steps.Normalise(mean=(0.5, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    before = prepared(UNIT, normal, steps.ReverseChannels(), picture=pixel).flatten().tolist()
    after = prepared(UNIT, steps.ReverseChannels(), normal, picture=pixel).flatten().tolist()
    assert (before, after) == (pytest.approx([0, 0.2, 0.5]), pytest.approx([-0.5, 0.2, 1]))


def test_a_mirrored_row_is_read_from_the_right():
    row = np.arange(4, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert prepared(steps.Mirror(), picture=row)[0, 0].tolist() == [3, 2, 1, 0]
    assert apply(row, [steps.Mirror()])[0, :, 0].tolist() == [3, 2, 1, 0]


def test_normalising_before_resizing_is_not_the_same_to_the_last_bit_as_after():
    picture = torch.from_numpy(PICTURE).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (NORMAL.mean, NORMAL.std))

    def resized(frames: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(frames, size=(15, 22), mode="bilinear", align_corners=False)

    assert torch.equal(prepared(UNIT, NORMAL, HALF), resized((picture - mean) / std)[0])
    assert torch.equal(prepared(UNIT, HALF, NORMAL), ((resized(picture) - mean) / std)[0])


@pytest.mark.parametrize("size", [(13, 17), (60, 50)])
def test_resizing_levels_to_a_fixed_size_is_torchvision_s(size):
    step = steps.Resize(height=size[0], width=size[1], arithmetic="torch_uint8")
    theirs = tv.resize(
        torch.from_numpy(PICTURE).permute(2, 0, 1), list(size), InterpolationMode.BILINEAR, antialias=False
    )
    assert torch.equal(prepared(step), theirs.float())


@pytest.mark.parametrize(
    ("arithmetic", "kind"),
    [("pillow_bilinear", Image.Resampling.BILINEAR), ("pillow_bicubic", Image.Resampling.BICUBIC)],
)
def test_pillow_s_resizing_is_pillow_s(arithmetic, kind):
    step = steps.ResizeShortSide(pixels=20, long_side="truncate", arithmetic=arithmetic)
    assert np.array_equal(apply(PICTURE, [step]), np.array(Image.fromarray(PICTURE).resize((29, 20), kind)))


def test_a_clip_longer_than_the_video_goes_on_at_its_beginning():
    looped = listed(steps.Spread(past_end="loop"), frames=5, rate=2, clips=2, total=6)
    assert looped == [[0, 2, 4, 0, 2]] * 2
    assert listed(steps.Strided(past_end="loop"), frames=3, rate=4, clips=3, total=10) == [
        [0, 4, 8],
        [3, 7, 1],
        [6, 0, 4],
    ]


def test_the_last_spread_clip_ends_at_the_last_frame_and_a_single_one_stands_in_the_middle():
    assert listed(steps.Spread(past_end="loop"), frames=4, rate=3, clips=3, total=30)[-1] == [20, 23, 26, 29]
    assert listed(steps.Spread(past_end="loop"), frames=4, rate=3, clips=1, total=30) == [[10, 13, 16, 19]]


def test_starts_that_are_rounded_down_are_a_frame_earlier_than_rounded_ones():
    """VMZ's of Kinetics: 10 clips of 32 x 2 among 300 frames start at 237 / 9 x k."""
    ten = listed(steps.SpreadDown(past_end="repeat"), frames=32, rate=2, clips=10, total=300)
    assert [clip[0] for clip in ten] == [0, 26, 52, 79, 105, 131, 158, 184, 210, 237]
    assert ten[-1] == list(range(237, 300, 2))
    assert listed(steps.SpreadDown(past_end="repeat"), frames=4, rate=2, clips=2, total=3) == [[0, 2, 2, 2]] * 2


def test_windows_of_frames_at_a_stride_share_out_those_that_there_are():
    """VideoMAE's of Kinetics: of 300 frames every fourth is one of 75, and 5 windows of 16 start at 14.75 x k."""
    five = listed(steps.Windows(past_end="repeat"), frames=16, rate=4, clips=5, total=300)
    assert [clip[0] for clip in five] == [4 * start for start in (0, 14, 29, 44, 59)]
    assert five[-1] == [4 * position for position in range(59, 75)]
    # 30 frames have 8 at that stride, the last of them 28, which stands for the 8 that are missing
    assert (
        listed(steps.Windows(past_end="repeat"), frames=16, rate=4, clips=5, total=30)
        == [[0, 4, 8, 12, 16, 20, 24, *[28] * 9]] * 5
    )


def test_two_interleaved_clips_take_the_beginnings_and_the_middles_of_equal_parts():
    """VideoMAE's of Something-Something: of 41 frames, 16 parts of 2.5625."""
    first, second = listed(steps.Interleaved(past_end="repeat"), frames=16, rate=1, clips=2, total=41)
    assert first == [0, 2, 5, 7, 10, 12, 15, 17, 20, 23, 25, 28, 30, 33, 35, 38]
    assert second == [1, 3, 6, 8, 11, 14, 16, 19, 21, 24, 26, 29, 32, 34, 37, 39]
    assert listed(steps.Interleaved(past_end="repeat"), frames=4, rate=1, clips=2, total=2) == [[0, 0, 1, 1]] * 2


def test_dense_clips_of_one_a_start_are_those_of_tsm():
    """TSM's of Kinetics: 10 starts from 0 to 300 - 64, and 8 frames 8 apart, which go on at the beginning."""
    rule = steps.Dense(positions=10, window=64, past_end="loop")
    ten = listed(rule, frames=8, rate=8, clips=10, total=300)
    assert [clip[0] for clip in ten] == [0, 26, 52, 78, 104, 131, 157, 183, 209, 236]
    assert ten[-1] == [236, 244, 252, 260, 268, 276, 284, 292]
    assert listed(rule, frames=8, rate=8, clips=10, total=40) == [[0, 8, 16, 24, 32, 0, 8, 16]] * 10


def test_a_single_clip_of_equal_parts_takes_their_middles():
    """TSM's of Kinetics: 8 parts of 300 / 8 = 37.5 frames, from 18.75 on."""
    (only,) = listed(steps.Interleaved(past_end="repeat"), frames=8, rate=1, clips=1, total=300)
    assert only == [18, 56, 93, 131, 168, 206, 243, 281]


def test_clips_by_number_share_out_whole_steps_of_what_one_leaves():
    """UniFormer's of Kinetics: 4 clips of 16 x 4 among 300 frames start at k x floor(236 / 3) = 78 k, at any rate."""
    rule = steps.OffsetFrames(past_end="repeat")
    four = listed(rule, frames=16, rate=4, clips=4, total=300, fps=25.0)
    assert [clip[0] for clip in four] == [0, 78, 156, 234]
    assert four[0] == [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]  # 4.2 k, rounded down
    assert four[3][-1] == 297  # and not 299
    assert listed(rule, frames=4, rate=4, clips=2, total=10) == [[0, 5, 9, 9]] * 2  # 0, 5, 10, 15


def test_uniform_clips_lie_at_equal_ways_into_each_part():
    """UniFormerV2's of Kinetics: of 81 frames 8 parts of 10, whose clips take what lies 2, 4, 6 and 8 frames in."""
    four = listed(steps.Uniform(past_end="repeat"), frames=8, rate=1, clips=4, total=81)
    assert four == [[10 * part + way for part in range(8)] for way in (2, 4, 6, 8)]
    # of 30 frames 4 parts of 7.25, which begin at 0, 7, 14 (14.5) and 22 (21.75); thirds of the way are 2.4 and 4.8
    assert listed(steps.Uniform(past_end="repeat"), frames=4, rate=1, clips=2, total=30) == [
        [2, 9, 16, 24],
        [4, 11, 18, 26],
    ]


def test_windows_of_equal_parts_of_a_video_lie_one_after_the_other_in_one_clip():
    """V-JEPA's of Something-Something, 2 x 16 frames of 4: parts of 100 frames, windows of 64 from frame 18 on.

    linspace(0, 64, 16) goes by 64 / 15 = 4.27, and its last point, 64, is cut to 63.
    """
    rule = steps.PartWindows(parts=2, past_end="repeat")
    (clip,) = listed(rule, frames=32, rate=4, clips=1, total=200)
    offsets = [0, 4, 8, 12, 17, 21, 25, 29, 34, 38, 42, 46, 51, 55, 59, 63]
    assert clip == [18 + offset for offset in offsets] + [118 + offset for offset in offsets]


def test_windows_that_are_longer_than_parts_overlap_and_repeat_their_last_frame():
    """Of 100 frames the two windows of 64 begin 100 - 64 = 36 apart; linspace(0, 63, 15) goes by 4.5, then 63 again.

    Both last points are cut to 62. Of 10 frames each window has linspace(0, 9, 2), and 8 for all that is missing.
    """
    rule = steps.PartWindows(parts=2, past_end="repeat")
    (clip,) = listed(rule, frames=32, rate=4, clips=1, total=100)
    offsets = [0, 4, 9, 13, 18, 22, 27, 31, 36, 40, 45, 49, 54, 58, 62, 62]
    assert clip == offsets + [36 + offset for offset in offsets]
    assert listed(rule, frames=32, rate=4, clips=1, total=10) == [2 * [0, *[8] * 15]]
    assert listed(rule, frames=8, rate=4, clips=1, total=1) == [[0] * 8]
    (only,) = listed(steps.PartWindows(parts=1, past_end="repeat"), frames=4, rate=2, clips=1, total=8)
    assert only == [0, 3, 6, 6]  # linspace(0, 7, 3), and 7 again, cut to 6


def test_clips_of_a_resampled_video_share_out_what_their_frames_times_their_stride_leave():
    """Scenic's of Kinetics: 4 clips of 32 x 2 among 250 frames start at 0, 62, 124 and 186."""
    rule = steps.SpreadResampled(fps=25.0, past_end="loop")
    four = listed(rule, frames=32, rate=2, clips=4, total=250, fps=25.0)
    assert [(clip[0], clip[-1]) for clip in four] == [(0, 62), (62, 124), (124, 186), (186, 248)]
    # at 50 a second every second frame is left: 5 of 10, and a clip of 3 x 2 goes on at the beginning
    assert listed(rule, frames=3, rate=2, clips=2, total=10, fps=50.0) == [[0, 4, 8]] * 2
    assert listed(rule, frames=4, rate=2, clips=2, total=10, fps=50.0) == [[0, 4, 8, 2]] * 2


def test_tensorflow_s_resizing_rounds_down():
    """Of 0 and 255 side by side, at four columns: a quarter and three quarters of the way between."""
    two = torch.tensor([[0, 255], [0, 255]], dtype=torch.uint8)[..., None].expand(2, 2, 3).numpy()
    result = {name: prepared(steps.Resize(height=2, width=4, arithmetic=name), picture=two)[0, 0].tolist()
             for name in ("tensorflow_uint8", "torch_uint8")}  # fmt: skip
    assert result == {"tensorflow_uint8": [0, 63, 191, 255], "torch_uint8": [0, 64, 191, 255]}


def test_three_crops_and_one_are_placed_by_each_library_s_arithmetic():
    crop = {
        name: steps.Crop(size=256, arithmetic=name)
        for name in ("pyslowfast", "mmaction2", "torchvision", "tsm", "videomae")
    }
    three = ("start", "centre", "end")
    assert [c.left for c in crop_squares(256, 455, crop["pyslowfast"], three)] == [0, 100, 199]  # 99.5 up
    assert [c.left for c in crop_squares(256, 455, crop["mmaction2"], three)] == [0, 99, 198]  # down, and twice that
    assert [c.left for c in crop_squares(256, 455, crop["videomae"], three)] == [0, 99, 199]  # down, and to the edge
    assert [c.top for c in crop_squares(455, 256, crop["videomae"], three)] == [0, 99, 199]
    assert [c.left for c in crop_squares(256, 455, crop["tsm"], three)] == [0, 98, 196]  # 199 // 4 = 49
    assert [(c.top, c.left) for c in crop_squares(455, 256, crop["tsm"], three)] == [(98, 0)] * 3
    assert [c.left for c in crop_squares(256, 455, crop["torchvision"], ("centre",))] == [100]  # to the even one
    assert [c.left for c in crop_squares(256, 457, crop["torchvision"], ("centre",))] == [100]  # 100.5, too


def test_crops_come_before_clips_where_the_protocol_says_so_and_a_mirrored_one_is_turned():
    frames = torch.arange(2.0)[:, None, None, None] * 10 + torch.arange(4.0).expand(2, 3, 1, 4)
    places = crop_squares(1, 4, steps.Crop(size=1, arithmetic="mmaction2"), ("start", "end"))
    rows = torch.tensor([[0], [1]])
    views = Views(frames, rows, places, (1, 1), rows, rows, crop_major=True)
    assert [float(views[number][0]) for number in range(4)] == [0, 10, 2, 12]
    ten = crop_squares(1, 4, steps.Crop(size=1, arithmetic="mmaction2_ten"), ("centre", "centre_mirrored"))
    wide = [place._replace(left=1) for place in ten]
    turned = Views(frames, rows[:1], wide, (1, 3), rows, rows).stack()[:, 0, 0, 0]
    assert turned.tolist() == [[1, 2, 3], [3, 2, 1]]


def test_scores_of_views_join_by_mean_or_by_the_mean_of_logits():
    views = np.array([[0.0, np.log(4)], [0.0, 0.0]], np.float32)
    mean = steps.ScoreRule(activation="softmax", join="mean")
    logits = steps.ScoreRule(activation="softmax", join="mean_of_logits")
    assert join_views(np.array([[0.2, 0.8], [0.5, 0.5]], np.float32), mean).tolist() == pytest.approx([0.35, 0.65])
    assert join_views(views, logits).tolist() == pytest.approx([1 / 3, 2 / 3])  # e^0 to e^(log 4 / 2)
    assert join_first_views(views, logits)[0].tolist() == pytest.approx([0.2, 0.8])
    assert np.array_equal(join_first_views(views, logits)[1], join_views(views, logits))
    sigmoid = steps.ScoreRule(activation="sigmoid", join="mean_of_logits")
    assert join_views(views, sigmoid).tolist() == pytest.approx([0.5, 2 / 3])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"pixels": (UNIT, steps.Resize(height=9, width=9, arithmetic="opencv_uint8"))},
            "works on levels from 0 to 255",
        ),
        ({"pixels": (steps.Crop(size=9, arithmetic="mmaction2"), HALF)}, "is resize_short_side, after a crop"),
        ({"pixels": (UNIT, NORMAL, NORMAL)}, "is normalise a second time"),
        ({"pixels": (UNIT, HALF, UNIT)}, "is divide a second time"),
        ({"pixels": (NORMAL, UNIT)}, "is divide, after normalise"),
        ({"pixels": (steps.ReverseChannels(), UNIT, steps.ReverseChannels())}, "is reverse_channels a second time"),
        ({"pixels": (steps.Mirror(), steps.Mirror())}, "is mirror a second time"),
        ({"pixels": (UNIT,)}, "has centre"),
        ({"pixels": (steps.Crop(size=9, arithmetic="mmaction2_ten"),), "crops": 3}, "has start"),
        ({"frames": steps.Dense(positions=10, window=64, past_end="loop"), "clips": 4}, "no multiple of 10 positions"),
        ({"sampling": "image", "clips": 2}, "an image is 1 clip"),
    ],
)
def test_steps_that_nobody_can_run_are_named(changes, says):
    contradicted: Protocol = protocol(**changes)
    assert any(says in what for _, what, _ in contradicted.flaws())
    assert list(protocol().flaws()) == []


def test_a_step_that_takes_what_it_gave_before_may_come_twice():
    """A frame that was resized is resized again, as by a data set's own short side and then the test's."""
    larger = steps.ResizeShortSide(pixels=300, long_side="floor", arithmetic="torch_float")
    assert list(protocol(pixels=(UNIT, larger, HALF, steps.Crop(size=9, arithmetic="pyslowfast"))).flaws()) == []
