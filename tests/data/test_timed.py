"""Clips by the time stamps of frames, as PyTorchVideo takes them: its own results, and its rules written out."""

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


def original(stamps: list[int], start: int, length: int, tick: Fraction, clip: Clip, clips: int) -> list[list[int]]:
    """Return the frames of every clip: all that lie in it, of those evenly spaced ones."""
    seconds = Fraction(clip.frames * clip.sampling_rate / 30)
    chosen = []
    for number in range(clips):
        begin = max(length * tick - seconds, 0) / clips * number
        first, end = (math.ceil(time / tick) + start for time in (begin, begin + seconds))
        chosen.append(spread([place for place, pts in enumerate(stamps) if first <= pts < end], clip.frames))
    return chosen


# What pytorchvideo 0.1.5 itself took of files on PyAV 18.1, at the times of its ConstantClipsPerVideoSampler, by the
# `get_clip` of its EncodedVideo, without sound. The time stamps of a file's frames, then the start and the duration
# that its header states, and the tick; the clip; and the first and the last frame that lie in each of ten.
Case = tuple[tuple[list[int], int, int, Fraction], Clip, list[tuple[int, int]]]
THIRTY = ([512 * frame for frame in range(256)], 0, 131_072, Fraction(1, 15360))  # a .mov at 30 a second
TWENTY_FIVE = ([512 * frame for frame in range(250)], 0, 128_000, Fraction(1, 12800))  # a .mov at 25
LATE = ([2550 + 512 * frame for frame in range(150)], 2550, 76_800, Fraction(1, 15360))  # an .mp4 from 5/30 s on
THIRTEEN, SIXTEEN = Clip(frames=13, sampling_rate=6), Clip(frames=16, sampling_rate=5)
FOUR = Clip(frames=4, sampling_rate=12)
LIBRARY: list[Case] = [
    (THIRTY, EIGHT, [(0, 63), (20, 83), (39, 102), (58, 121), (77, 140), (97, 159), (116, 179), (135, 198), (154, 217),
                     (173, 236)]),
    (THIRTY, THIRTEEN, [(0, 78), (18, 95), (36, 113), (54, 131), (72, 149), (89, 167), (107, 184), (125, 202),
                        (143, 220), (161, 238)]),
    (THIRTY, SIXTEEN, [(0, 79), (18, 97), (36, 115), (53, 132), (71, 150), (89, 167), (106, 185), (124, 203),
                       (141, 220), (159, 238)]),
    (TWENTY_FIVE, THIRTEEN, [(0, 65), (19, 83), (37, 102), (56, 120), (74, 139), (93, 157), (111, 176), (130, 194),
                             (148, 213), (167, 231)]),
    (TWENTY_FIVE, FOUR, [(0, 40), (21, 61), (42, 82), (63, 103), (84, 124), (105, 145), (126, 166), (147, 187),
                         (168, 208), (189, 229)]),
    (LATE, EIGHT, [(0, 63), (9, 72), (17, 80), (25, 88), (33, 96), (41, 104), (49, 112), (57, 120), (65, 128),
                   (73, 136)]),
    (LATE, THIRTEEN, [(0, 78), (7, 84), (14, 91), (21, 98), (27, 104), (34, 111), (41, 118), (47, 124), (54, 131),
                      (61, 138)]),
]  # fmt: skip
OF_FILES = {
    "demo.mp4": [(0, 59), (23, 81), (45, 103), (67, 125), (89, 147), (111, 169), (133, 191), (155, 213), (177, 235),
                 (199, 257)],
    "nasa_13013.mp4": [(0, 53), (28, 80), (55, 107), (82, 134), (109, 161), (136, 189), (164, 216), (191, 243),
                       (218, 270), (245, 297)],
}  # fmt: skip


@pytest.mark.parametrize(("header", "clip", "ends"), LIBRARY)
def test_clips_are_those_of_the_library(header, clip, ends):
    stamps, start, stated, tick = header
    result = timed_indices(stamps, start=start, length=stated - start, tick=tick, frames=clip.frames, clips=10,
                           seconds=clip.frames * clip.sampling_rate / 30)  # fmt: skip
    assert result == [spread(list(range(first, last + 1)), clip.frames) for first, last in ends]


@pytest.mark.parametrize("name", OF_FILES)
def test_views_of_a_file_are_those_of_the_library(name, media):
    views = read_views(media / name, timed(10), EIGHT)
    expected = [spread(list(range(first, last + 1)), 8) for first, last in OF_FILES[name]]
    assert ranks(media / name, views).tolist() == expected


# Of test.avi, whose header states the start 0 and whose first frame is shown at 1. Its frames are decoded out of order,
# and the library closes a clip at the first one beyond, so it loses the last frame of the other clips.
WHOLE_CLIPS = {0: (0, 52), 1: (11, 63), 3: (33, 85), 4: (44, 96), 6: (66, 118), 7: (77, 129), 9: (99, 151)}


def test_a_video_begins_when_its_header_says_and_not_with_its_first_frame(media):
    views = read_views(media / "test.avi", timed(10), EIGHT)
    assert views.pts[0].tolist() == [1, 8, 15, 23, 30, 38, 45, 53]  # the library's, too
    clips = ranks(media / "test.avi", views).tolist()
    for number, (first, last) in WHOLE_CLIPS.items():
        assert clips[number] == spread(list(range(first, last + 1)), 8), number


def test_ten_clips_of_ten_seconds_at_thirty_frames_a_second():
    stamps = [512 * frame for frame in range(300)]
    result = timed_indices(
        stamps, start=0, length=153_600, tick=Fraction(1, 15360), seconds=64 / 30, frames=8, clips=10
    )
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
        for start in (0, 7):
            result = timed_indices(stamps, start=start, length=length, tick=tick, frames=clip.frames, clips=10,
                                  seconds=clip.frames * clip.sampling_rate / 30)  # fmt: skip
            assert result == original(stamps, start, length, tick, clip, 10)


def test_a_short_video_is_stretched():
    result = timed_indices([0, 1, 2], start=0, length=3, tick=Fraction(1, 30), seconds=64 / 30, frames=8, clips=2)
    assert result == [[0, 0, 0, 0, 1, 1, 1, 2]] * 2


def test_a_clip_in_which_no_frame_is_shown_is_told():
    with pytest.raises(VideoError, match=r"clip 2 of 2 holds no frame: none is shown from 0\.50 s on for 1\.00 s"):
        timed_indices([0, 1], start=0, length=60, tick=Fraction(1, 30), seconds=1, frames=2, clips=2)


def test_of_a_list_both_ends_of_a_clip_are_rounded():
    def listed(total: int, clips: int) -> list[list[int]]:
        return list_indices(timed(clips, LISTED), Clip(frames=4, sampling_rate=10), total)

    assert listed(100, 10)[0] == [0, 10, 20, 30]  # 31 frames, both ends included
    assert listed(100, 10)[3] == [21, 31, 41, 51]  # from 20.7 on
    assert listed(100, 10)[9] == [62, 72, 82, 92]  # from 62.1 on
    assert listed(3, 2) == [[0, 0, 1, 2]] * 2


def test_where_header_and_content_agree_the_content_has_the_library_s_clips(media):
    content = ranks(media / "demo.mp4", read_content_views(media / "demo.mp4", timed(10), EIGHT))
    assert content.tolist() == [spread(list(range(first, last + 1)), 8) for first, last in OF_FILES["demo.mp4"]]


def test_a_file_without_a_stated_length_is_as_long_as_its_stamps_say(tmp_path):
    path, clip = (
        write_video(tmp_path / "unstated.mkv", 90, codec="mpeg4", pix_fmt="yuv420p"),
        Clip(frames=4, sampling_rate=8),
    )
    with open_video(path) as video:
        assert video.info.duration is None
        stamps = [frame.pts for frame in video.frames()]
        start = video.info.start or 0
        expected = original(stamps, start, stamps[-1] - start, video.info.time_base, clip, 3)
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
    (kept,) = timed_indices(
        list(range(900)), start=0, length=900, tick=Fraction(1, 30), seconds=10, frames=160, clips=1
    )
    assert kept == thirty
    assert row_of(kept, frames=32, sampling_rate=1, clip=3, clips=4) == thirty[120:152]
    assert row_of([5, 6, 7, 8], frames=4, sampling_rate=1, clip=1, clips=2) == [7, 8, 8, 8]
