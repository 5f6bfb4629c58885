"""The pictures of tests: their numbers against such as were worked out by hand, and one for every protocol."""

from __future__ import annotations

import re

import pytest

from tools.site import protocol_picture
from tools.site.protocol_picture import ShownTest
from videohub import registry

KNOWN = registry.load(registry.files()[0])


def shown(name: str) -> ShownTest:
    record = KNOWN.find(name)
    return ShownTest.of(record.protocol, record.clip, record.dataset)


def test_kinetics_clips_start_at_tenths_of_what_a_clip_leaves():
    """300 frames less 64, times i / 10, cut to whole frames: 23.6 goes to 23. The last one ends 24 before the end."""
    test = shown("slowfast_r50_8x8")
    assert [clip[0] for clip in test.clips] == [0, 23, 47, 70, 94, 118, 141, 165, 188, 212]
    # 32 points from 0 to 63, cut: the distance is 63 / 31 = 2.03, which makes a step of 3 at the end
    assert test.clips[0] == [*range(0, 62, 2), 63]
    assert test.clips[9][-1] == 275
    assert [(square.left, square.top) for square in test.crops[0]] == [(0, 0), (42, 0), (84, 0)]  # 340 - 256 = 84


def test_a_slow_network_takes_8_frames_9_apart():
    """8 points from 0 to 63 lie 9 apart."""
    assert shown("slow_r50_8x8").clips[0] == [0, 9, 18, 27, 36, 45, 54, 63]


def test_something_something_takes_the_middle_of_equal_parts():
    """299 / 16 = 18.6875: borders 0, 19, 37, 56, …, 280, 299; their middles, cut: 9, 28, 46, …, 289."""
    test = shown("mvitv2_s_16x4_ssv2")
    assert len(test.clips) == 1
    assert (test.clips[0][:3], test.clips[0][-1]) == ([9, 28, 46], 289)


def test_charades_clips_reach_from_the_first_frame_to_the_last():
    """240 frames at 24 a second; a clip reaches over 63 * 2 + 1 = 127, so the last one starts at 113."""
    test = shown("slowfast_r50_16x8_charades")
    assert (test.num_frames, test.clips[0][0], test.clips[-1][0], test.clips[-1][-1]) == (240, 0, 113, 239)


def test_ava_takes_32_frames_around_the_key_frame():
    """32 x 2 frames from 32 before it on: 118, 120, …, 180."""
    test = shown("slowfast_r101_8x8_ava22")
    assert test.moment == 150
    assert test.clips == [list(range(118, 182, 2))]
    assert test.crops[1] == (256, 340)  # the whole frame


def test_mmaction2_takes_its_key_frame_an_image_later():
    assert shown("mma_slowfast_r50_4x16_ava21").clips[0][0] == 119


def test_single_frames_share_a_row_with_ten_crops():
    """300 / 25 = 12 frames a part, of which the middle is 6; crops of 224 of 340 x 256 in quarters of 116 and 32."""
    test = shown("mma_tsn_r50_1x1_3seg")
    ((label, frames),) = protocol_picture.rows(test.clips)
    assert (label, frames) == ("1–25", list(range(6, 300, 12)))
    assert len(test.crops[0]) == 10
    assert test.crops[0][2][:2] == (0, 116)  # top right
    assert [square.mirrored for square in test.crops[0]] == [False, True] * 5


def test_a_clip_that_goes_round_the_end_is_two_runs():
    """The tenth clip starts at 270, takes 15 frames 2 apart to 298, and goes on at the beginning."""
    last = shown("nln_i3d_baseline_32x2").clips[-1]
    first, second = protocol_picture.runs(last)
    assert (first, second[0]) == (list(range(270, 300, 2)), 0)

    assert "past the end, from the beginning on" in shown("nln_i3d_baseline_32x2").frames_in_words()


def test_parts_that_overlap_are_no_clip_that_goes_round_the_end():
    """8 windows of 16 frames, 4 apart, in a video of 300 frames: they reach over 64 of each part's 37, and overlap."""
    test = shown("vjepa_vit_l_16x4")
    assert len(protocol_picture.runs(test.clips[0])) == 8
    assert "beginning" not in test.frames_in_words()


def test_an_image_has_no_strip():
    test = shown("resnet_r50_in1k")
    drawn = protocol_picture.picture(test)
    assert test.clips == [[0]]
    assert 'class="strip"' not in drawn
    assert "an image" in drawn
    assert test.crops[0][0][:2] == (16, 58)  # (256 - 224) / 2 and (340 - 224) / 2


@pytest.mark.parametrize("name", KNOWN.protocols)
def test_every_protocol_has_its_picture(name):
    """Of each record's clips, a row, a tick for each frame that is taken, and a small frame for each crop."""
    records = [record for record in KNOWN.records.values() if record.protocol.name == name]
    assert records
    for record in {(record.clip.frames, record.clip.sampling_rate): record for record in records}.values():
        test = ShownTest.of(record.protocol, record.clip, record.dataset)
        drawn = protocol_picture.picture(test)
        assert len(test.clips) == record.protocol.views.clips
        assert all(len(clip) == record.clip.frames for clip in test.clips)
        assert all(0 <= frame < test.num_frames for clip in test.clips for frame in clip)
        assert drawn.count('class="crop"') == len(record.protocol.views.crops)
        ticks = sum(len(re.findall("M", path)) for path in re.findall(r'class="frames" d="([^"]*)"', drawn))
        lines = [] if record.protocol.scored == "image" else protocol_picture.rows(test.clips)
        assert ticks == sum(len(set(frames)) for _, frames in lines)
        assert test.frames_in_words() in drawn
        assert test.crops_in_words() in drawn
