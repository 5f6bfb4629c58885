"""Clips by the time stamps of frames, as PyTorchVideo takes them, against its rules written out over seconds."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from tests.data.sample_videos import protocol, write_video
from tests.data.test_views import ranks
from videohub import protocols as steps
from videohub.data.samples import FrameList
from videohub.data.sampling import row_of, timed_indices
from videohub.data.spec import check_source, list_indices
from videohub.data.video import open_video
from videohub.data.views import read_content_views, read_views
from videohub.errors import UsageError, VideoError
from videohub.registry.schema import Clip

TIMED = steps.Timed(fps=30.0, past_end="stretch")
LISTED = steps.TimedList(past_end="stretch")
EIGHT = Clip(frames=8, sampling_rate=8)


def timed(clips: int, rule: steps.FrameRule = TIMED) -> steps.Protocol:
    views = steps.ViewGrid(clips=clips, crops=("centre",), order="clip_major")
    return protocol(short_side=32, crop=32, frames=rule, views=views)


def spread(found: list[int], frames: int) -> list[int]:
    """Return evenly spaced ones of the frames in a clip, as UniformTemporalSubsample does."""
    last = len(found) - 1
    return [found[place] for place in torch.linspace(0, last, frames).clamp(0, last).long().tolist()]


def original(stamps: list[int], length: int, tick: Fraction, clip: Clip, clips: int) -> list[list[int]]:
    """Return the frames of every clip: all that lie in it, of those evenly spaced ones."""
    seconds = clip.frames * clip.sampling_rate / 30
    chosen = []
    for number in range(clips):
        begin = max(length * tick - seconds, 0) / clips * number
        first, end = (math.ceil(time / tick) + stamps[0] for time in (begin, begin + seconds))
        chosen.append(spread([place for place, pts in enumerate(stamps) if first <= pts < end], clip.frames))
    return chosen


def test_ten_clips_of_ten_seconds_at_thirty_frames_a_second():
    stamps = [512 * frame for frame in range(300)]
    result = timed_indices(stamps, length=153_600, tick=Fraction(1, 15360), seconds=64 / 30, frames=8, clips=10)
    assert result[0] == [0, 9, 18, 27, 36, 45, 54, 63]
    assert result[1] == [24, 33, 42, 51, 60, 69, 78, 87]  # from 23.6 frames on: those of 24 to 87
    assert result[9][0] == 213  # from 212.4 on, so the end is not reached


@pytest.mark.parametrize("clip", [EIGHT, Clip(frames=32, sampling_rate=2), Clip(frames=13, sampling_rate=6)])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), 25, 24, 15, 60])
def test_clips_take_the_frames_that_are_shown_in_them(clip, rate):
    for tick in (Fraction(1, 15360), Fraction(1, 12800), Fraction(1, 1000), Fraction(1001, 30000)):
        step = 1 / (rate * tick)
        stamps = [7 + round(number * step) for number in range(round(10 * rate))]
        length = round(len(stamps) * step)
        result = timed_indices(stamps, length=length, tick=tick, frames=clip.frames, clips=10,
                              seconds=clip.frames * clip.sampling_rate / 30)  # fmt: skip
        assert result == original(stamps, length, tick, clip, 10)


def test_a_short_video_is_stretched():
    result = timed_indices([0, 1, 2], length=3, tick=Fraction(1, 30), seconds=64 / 30, frames=8, clips=2)
    assert result == [[0, 0, 0, 0, 1, 1, 1, 2]] * 2


def test_a_clip_in_which_no_frame_is_shown_is_told():
    with pytest.raises(VideoError, match=r"clip 2 of 2 holds no frame: none is shown from 0\.50 s on for 1\.00 s"):
        timed_indices([0, 1], length=60, tick=Fraction(1, 30), seconds=1, frames=2, clips=2)


def test_of_a_list_both_ends_of_a_clip_are_rounded():
    def listed(total: int, clips: int) -> list[list[int]]:
        return list_indices(timed(clips, LISTED), Clip(frames=4, sampling_rate=10), total)

    assert listed(100, 10)[0] == [0, 10, 20, 30]  # 31 frames, both ends included
    assert listed(100, 10)[3] == [21, 31, 41, 51]  # from 20.7 on
    assert listed(100, 10)[9] == [62, 72, 82, 92]  # from 62.1 on
    assert listed(3, 2) == [[0, 0, 1, 2]] * 2


@pytest.mark.parametrize("name", ["demo.mp4", "test.avi", "nasa_13013.mp4"])
def test_views_of_a_file_are_of_the_frames_that_are_shown_in_its_clips(name, media):
    views = read_views(media / name, timed(5), EIGHT)
    with open_video(media / name) as video:
        stamps = sorted(frame.pts for frame in video.frames())
        length = video.info.duration - stamps[0]
        expected = original(stamps, length, video.info.time_base, EIGHT, 5)
    assert ranks(media / name, views).tolist() == expected
    if name == "demo.mp4":  # of the others header and content disagree
        content = read_content_views(media / name, timed(5), EIGHT)
        assert ranks(media / name, content).tolist() == expected


def test_a_file_without_a_stated_length_is_as_long_as_its_stamps_say(tmp_path):
    path, clip = (
        write_video(tmp_path / "unstated.mkv", 90, codec="mpeg4", pix_fmt="yuv420p"),
        Clip(frames=4, sampling_rate=8),
    )
    with open_video(path) as video:
        assert video.info.duration is None
        stamps = [frame.pts for frame in video.frames()]
        expected = original(stamps, stamps[-1] - stamps[0], video.info.time_base, clip, 3)
    assert ranks(path, read_views(path, timed(3), clip)).tolist() == expected


def test_a_list_of_images_has_no_time_stamps(tmp_path):
    with pytest.raises(UsageError, match="timed sampling needs a video file; a list of frames is none"):
        check_source(FrameList(tmp_path, "a.jpg"), timed(1), EIGHT)


BEGINNING = steps.TimedBeginning(fps=16.0, kept=160, past_end="stretch")


def test_rows_of_the_frames_kept_of_ten_seconds_begin_at_quarters_of_them(tmp_path):
    """Of 15 s at 16 a second, the first 160 are kept as they are: clips of 32 from 0, 40, 80 and 120 on."""
    path = write_video(tmp_path / "long.mov", 240, rate=16)
    clips = ranks(path, read_views(path, timed(4, BEGINNING), Clip(frames=32, sampling_rate=1)))
    assert clips.tolist() == [list(range(start, start + 32)) for start in (0, 40, 80, 120)]


def test_the_middle_clip_is_that_of_the_whole_video_and_as_long_as_the_others(tmp_path):
    """2 of 15 seconds, from (240 - 32) / 2 = 104 on."""
    path = write_video(tmp_path / "long.mov", 240, rate=16)
    middle, number = timed(4, BEGINNING).middle_view()
    views = read_content_views(path, middle, Clip(frames=32, sampling_rate=1), number=number)
    assert ranks(path, views).tolist() == [list(range(104, 136))]


def test_frames_kept_of_ten_seconds_at_another_rate_are_evenly_spaced_and_a_row_repeats_the_last():
    """Of 300 frames linspace(0, 299, 160), rounded down; beyond the last it is repeated."""
    thirty = torch.linspace(0, 299, 160).long().tolist()
    kept = timed_indices(list(range(900)), length=900, tick=Fraction(1, 30), seconds=10, frames=160, clips=1)[0]
    assert kept == thirty
    assert row_of(kept, frames=32, sampling_rate=1, clip=3, clips=4) == thirty[120:152]
    assert row_of([5, 6, 7, 8], frames=4, sampling_rate=1, clip=1, clips=2) == [7, 8, 8, 8]
