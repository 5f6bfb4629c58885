"""Frame choice, against cases worked out by hand and against the original's choices."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.sample_videos import protocol
from videohub import protocols as steps
from videohub.data.sampling import (
    clip_span,
    clip_starts,
    frame_positions,
    keyframe_indices,
    offset_clip_starts,
    pts_window,
    segment_indices,
    spread_indices,
)
from videohub.data.spec import list_indices
from videohub.registry.schema import Clip

VIEWS = Path(__file__).resolve().parents[1] / "golden" / "views"


def views_of(pattern: str) -> list[str]:
    return sorted(path.stem for path in VIEWS.glob(f"*__{pattern}*.json"))


def read(case: str) -> tuple[dict, np.ndarray]:
    return json.loads((VIEWS / f"{case}.json").read_text()), np.load(VIEWS / f"{case}.npz")["frames"]


def test_ten_clips_are_spread_over_ten_seconds():
    starts = clip_starts(num_frames=300, span=64, clips=10)
    assert starts == pytest.approx([0, 23.6, 47.2, 70.8, 94.4, 118.0, 141.6, 165.2, 188.8, 212.4])


def test_a_clip_of_a_slower_video_covers_fewer_of_its_frames():
    span = clip_span(frames=32, sampling_rate=2, fps=25, target_fps=30)
    assert span == pytest.approx(53.3333, abs=1e-4)
    starts = clip_starts(num_frames=250, span=span, clips=10)
    assert starts[1] == pytest.approx(19.6667, abs=1e-4)


def test_without_a_target_rate_a_clip_covers_the_same_frames_of_any_video():
    assert clip_span(frames=32, sampling_rate=2, fps=25, target_fps=None) == 64


def test_clips_of_a_video_shorter_than_a_clip_all_start_at_zero():
    assert clip_starts(num_frames=40, span=64, clips=3) == [0, 0, 0]
    assert offset_clip_starts(num_frames=40, span=64, clips=3) == [0, 0, 0]


def test_offset_clips_start_at_whole_equal_steps():
    assert offset_clip_starts(num_frames=300, span=64, clips=5) == [0, 59, 118, 177, 236]
    assert offset_clip_starts(num_frames=303, span=64, clips=5) == [0, 59, 118, 177, 236]  # 59.75 rounds down


def test_a_single_offset_clip_stands_in_the_middle():
    assert offset_clip_starts(num_frames=301, span=64, clips=1) == [118]


@pytest.mark.parametrize("place", [clip_starts, offset_clip_starts])
def test_a_test_without_clips_is_refused(place):
    with pytest.raises(ValueError, match="at least 1 clip"):
        place(num_frames=300, span=64, clips=0)


def test_a_window_of_time_stamps_is_cut_to_whole_ticks():
    # 28 fps in ticks of 1/14336 s: 512 ticks a frame; a span of 64 * 28 / 30 frames; clip 1 of 10
    span = 64 / 30 * 28
    start = clip_starts(num_frames=280, span=span, clips=10)[1]
    assert pts_window(start, span, duration=143360, num_frames=280) == (11277, 41349)


@pytest.mark.parametrize(
    ("frames", "sampling_rate", "expected"),
    [
        (8, 8, [0, 9, 18, 27, 36, 45, 54, 63]),
        (4, 16, [0, 21, 42, 63]),
        (32, 2, [*range(0, 62, 2), 63]),
        (64, 2, [*range(0, 126, 2), 127]),
        (4, 12, [0, 15, 31, 47]),
        (13, 6, [0, 6, 12, 19, 25, 32, 38, 44, 51, 57, 64, 70, 77]),
        (16, 5, [0, 5, 10, 15, 21, 26, 31, 36, 42, 47, 52, 57, 63, 68, 73, 79]),
        (16, 4, [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]),
    ],
)
def test_a_clip_takes_both_ends_of_its_window(frames, sampling_rate, expected):
    if frames in (32, 64):  # 2.03 frames apart: even numbers until the error adds up to a frame
        expected = [int(Fraction(frames * 2 - 1, frames - 1) * position) for position in range(frames)]
        assert expected[:16] == list(range(0, 32, 2))
        assert expected[-3:] == [frames * 2 - 6, frames * 2 - 4, frames * 2 - 1]
    assert frame_positions(0, frames * sampling_rate, frames, frames * sampling_rate) == expected


def test_positions_beyond_the_last_frame_repeat_it():
    assert frame_positions(0, 64, 8, available=40) == [0, 9, 18, 27, 36, 39, 39, 39]


def test_positions_in_a_whole_video_begin_at_a_fraction():
    assert frame_positions(5.5, 8, 4, available=30) == [5, 7, 10, 12]  # 5.5 7.83 10.17 12.5


def test_one_frame_of_a_clip_is_its_first():
    assert frame_positions(3.7, 8, 1, available=30) == [3]


def test_no_frame_can_be_taken_from_nothing():
    with pytest.raises(ValueError, match="from 0"):
        frame_positions(0, 8, 4, available=0)


@pytest.mark.parametrize("fps", [8, 12.5, 15, 23.976, 24000 / 1001, 24, 25, 28, 29.97, 30000 / 1001, 30, 50, 60, 120])
@pytest.mark.parametrize("clip", [(32, 2), (4, 16), (8, 8), (64, 2), (16, 4), (32, 3), (16, 5), (13, 6)])
def test_positions_round_as_the_original_library_does(fps, clip):
    frames, sampling_rate = clip
    span = clip_span(frames=frames, sampling_rate=sampling_rate, fps=fps, target_fps=30)
    expected = torch.clamp(torch.linspace(0, span - 1, frames), 0, 10_000).long().tolist()
    assert frame_positions(0, span, frames, available=10_001) == expected


def test_a_position_just_below_a_whole_number_is_cut_to_the_one_before():
    # 3 steps of 2.0666663647 before 70.1999969482, in float32 numbers; these make 63.9999978542, and float32 has
    # 63.9999961853 below 64: with the product rounded first, to 6.1999988556, it would be half way and become 64
    assert frame_positions(39.2, 32.0, 16, available=130)[12] == 63


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="torch rounds the product here, too")
@pytest.mark.parametrize("frames", [4, 7, 8, 13, 16, 32, 64])
def test_positions_from_a_fraction_on_round_as_the_original_library_does(frames):
    """Where a whole video was decoded, clips start anywhere."""
    generator = np.random.default_rng(frames)
    for start, span in generator.uniform((0, frames), (3000, 8 * frames), size=(500, 2)):
        expected = torch.clamp(torch.linspace(start, start + span - 1, frames), 0, 10_000).long().tolist()
        assert frame_positions(start, span, frames, available=10_001) == expected


def test_borders_of_segments_round_half_to_even():
    # borders 0, 0.25, 0.5, 0.75, 1 become 0, 0, 0, 1, 1; half up would give 0 0 1 1
    assert segment_indices(2, frames=4, sampling_rate=1, clip=0, clips=1) == [0, 0, 0, 1]


@pytest.mark.parametrize("case", views_of("SSv2"))
def test_segments_are_the_originals(case):
    facts, frames = read(case)
    for view in frames:
        total, frames = facts["video_info"]["decoded_frames"], facts["num_frames"]
        assert segment_indices(total, frames=frames, sampling_rate=1, clip=0, clips=1) == view.tolist()


def test_spread_clips_reach_the_end():
    last = spread_indices(num_frames=300, frames=64, sampling_rate=2, clip=9, clips=10)
    assert last == list(range(173, 300, 2))


def test_a_spread_clip_of_a_short_video_repeats_its_last_frame():
    rule = protocol(clips=2, sampling="spread")
    assert list_indices(rule, Clip(frames=4, sampling_rate=2), 4) == [[0, 2, 3, 3]] * 2


def test_clips_start_in_the_centres_of_equal_parts_of_all_starts():
    """32 frames at every second one count as 64: of 300 frames there are 237 starts, 59.25 for each of four clips."""
    rule, clip = protocol(frames=steps.Centres(past_end="loop"), clips=4), Clip(frames=32, sampling_rate=2)
    chosen = list_indices(rule, clip, 300)
    assert [frames[0] for frames in chosen] == [29, 88, 148, 207]  # 29.625, 88.875, 148.125, 207.375
    assert [frames[-1] for frames in chosen] == [91, 150, 210, 269]


@pytest.mark.parametrize("frames", [5, 63])
def test_of_a_video_shorter_than_a_clip_all_start_at_its_first_frame_and_go_round(frames):
    rule = protocol(frames=steps.Centres(past_end="loop"), clips=4)
    expected = [position * 2 % frames for position in range(32)]
    assert list_indices(rule, Clip(frames=32, sampling_rate=2), frames) == [expected] * 4


@pytest.mark.parametrize("case", views_of("Charades"))
def test_spread_clips_are_the_originals(case):
    facts, frames = read(case)
    clip = Clip(frames=facts["num_frames"], sampling_rate=facts["sampling_rate"])
    rule = protocol(clips=facts["num_clips"], sampling="spread")
    chosen = list_indices(rule, clip, facts["video_info"]["decoded_frames"])
    for view, expected in enumerate(frames):
        assert chosen[view // facts["num_crops"]] == expected.tolist()


def test_the_key_frame_stands_in_the_middle_of_its_clip():
    indices = keyframe_indices(60, frames=4, sampling_rate=2, num_frames=300)
    assert indices == [56, 58, 60, 62]


def test_frames_around_a_key_frame_stay_inside_the_list():
    assert keyframe_indices(1, frames=4, sampling_rate=2, num_frames=3) == [0, 0, 1, 2]


@pytest.mark.parametrize("case", views_of("AVA"))
def test_frames_around_key_frames_are_the_originals(case):
    facts, frames = read(case)
    for second, expected in zip(facts["seconds"], frames, strict=True):
        chosen = keyframe_indices(
            (second - 900) * 30,
            frames=facts["num_frames"],
            sampling_rate=facts["sampling_rate"],
            num_frames=facts["video_info"]["decoded_frames"],
        )
        assert chosen == expected.tolist()
