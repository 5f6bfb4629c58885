"""Which frames of a file the clips are made of, for videos whose frames can be told apart."""

from __future__ import annotations

import dataclasses
import weakref
from pathlib import Path

import numpy as np
import pytest

from tests.data.sample_videos import FOUR_FRAMES, numbered, protocol, write_video
from videohub.data.clips import read_clips
from videohub.data.spec import TestSpec
from videohub.data.video import Video, open_video
from videohub.errors import VideoError
from videohub.protocols import Protocol
from videohub.registry.schema import Clip


def spaced(index: int) -> np.ndarray:
    """Return a grey picture whose level survives a lossy codec: eight times the frame's number."""
    return numbered(8 * index)


def levels(path: Path, how: Protocol, clip: Clip = FOUR_FRAMES) -> list[list[int]]:
    """Return the grey level, which is the frame's number, of every frame of every clip."""
    with open_video(path) as video:
        clips = sorted(read_clips(video, [TestSpec(how, clip)]), key=lambda one: one.number)
        return [[int(frame.picture.to_rgb().to_ndarray()[0, 0, 0]) for frame in one.frames] for one in clips]


def test_a_clip_takes_frames_of_its_own_window(thirty_frames):
    # starts 0 and 11; positions 0, 2.33, 4.67, 7
    assert levels(thirty_frames, protocol(clips=2)) == [[0, 2, 4, 7], [11, 13, 15, 18]]


def test_a_window_keeps_the_first_frame_beyond_it(thirty_frames):
    # clip 1 starts at 5.5: frames 6 to 12 lie inside, and 13 is the one beyond
    assert levels(thirty_frames, protocol(clips=4))[1] == [6, 8, 10, 13]


def test_offset_clips_reach_the_end(thirty_frames):
    assert levels(thirty_frames, protocol(clips=3, sampling="offset"))[2] == [22, 24, 26, 29]


def test_without_a_stated_duration_positions_count_from_the_whole_video(tmp_path):
    path = write_video(tmp_path / "video.mkv", 30, codec="ffv1", pix_fmt="bgr0")
    # clip 1 starts at 5.5: positions 5.5, 7.83, 10.17, 12.5
    assert levels(path, protocol(clips=4))[1] == [5, 7, 10, 12]


def test_a_duration_without_a_frame_count_is_refused_as_the_original_does(tmp_path):
    path = write_video(tmp_path / "video.ts", 30, codec="mpeg2video", pix_fmt="yuv420p", picture=spaced)
    with pytest.raises(VideoError, match=r"video\.ts: the original's reader refuses it: .* a duration and 0 frames"):
        levels(path, protocol(clips=4))


def test_a_very_short_video_repeats_its_last_frame(tmp_path):
    path = write_video(tmp_path / "short.mov", 5)
    assert levels(path, protocol(clips=2)) == [[0, 2, 4, 4], [0, 2, 4, 4]]


def test_a_video_of_one_frame_shows_it_throughout(tmp_path):
    assert levels(write_video(tmp_path / "one.mov", 1), protocol(clips=2)) == [[0] * 4, [0] * 4]


def test_windows_are_made_of_time_where_the_frame_rate_varies(tmp_path):
    pts = [0, 1, 2, 3, 4, 5, 8, 11, 14, 19]  # 10 frames in 20 ticks of 1/20 s: 10 fps, 2 ticks a frame
    path = write_video(tmp_path / "varying.mov", 10, rate=20, pts=pts)
    # a clip spans 4 frames, starts are 0 and 3. Ticks 0 to 6 hold frames 0 to 5, and 6 is beyond: positions 0 and 3.
    # Ticks 6 to 12 hold frames 6 and 7, and 8 is beyond: position 3 becomes the last one.
    assert levels(path, protocol(clips=2), Clip(frames=2, sampling_rate=6)) == [[0, 3], [6, 8]]


def test_a_slower_video_is_sampled_by_time(tmp_path):
    path = write_video(tmp_path / "slow.mov", 30, rate=15)
    # a clip spans 4 frames, starts are 0 and 13; positions 0, 1, 2, 3
    assert levels(path, protocol(clips=2)) == [[0, 1, 2, 3], [13, 14, 15, 16]]


def test_segments_cover_the_whole_video(thirty_frames):
    # four segments of 29 / 4 frames: borders 0, 7.25, 14.5, 21.75, 29, rounded 0, 7, 14, 22, 29
    how = protocol(clips=1, sampling="segments")
    assert levels(thirty_frames, how) == [[3, 10, 18, 25]]


def test_spread_clips_reach_the_last_frame_at_the_videos_own_rate(tmp_path):
    path = write_video(tmp_path / "slow.mov", 30, rate=15)
    # a clip covers 7 frames, starts are 0, 11.5 (even: 12) and 23
    how = protocol(clips=3, sampling="spread")
    assert levels(path, how) == [[0, 2, 4, 6], [12, 14, 16, 18], [23, 25, 27, 29]]


def test_a_frame_list_is_in_order_of_time_and_starts_with_the_first_frame(media):
    how = protocol(clips=1, sampling="segments")
    with open_video(media / "test.avi") as video:  # hands out time stamps 1, 2, 4, 3, 5, 7, 6, ...
        (whole,) = read_clips(video, [TestSpec(how, Clip(frames=164, sampling_rate=1))])
    stamps = [frame.pts for frame in whole.frames]
    # segments are a little shorter than a frame: border i rounds to i, and the first seven frames are 0 to 6
    assert stamps[:7] == [1, 2, 3, 4, 5, 6, 7]
    assert stamps == sorted(stamps)


def test_a_frame_list_is_never_made_from_a_damaged_video(damaged_at_frame_twenty):
    how = protocol(clips=1, sampling="segments")
    with pytest.raises(VideoError, match=r"damaged\.mov: damaged after 20 decoded frames"):
        levels(damaged_at_frame_twenty, how, Clip(frames=1, sampling_rate=1))


def test_only_open_windows_are_held_in_memory(tmp_path, monkeypatch):
    path = write_video(tmp_path / "long.mov", 120)
    alive: weakref.WeakSet = weakref.WeakSet()
    most = 0
    decode = Video.frames

    def counted(video):
        nonlocal most
        for frame in decode(video):
            alive.add(frame)
            most = max(most, len(alive))
            yield frame

    monkeypatch.setattr(Video, "frames", counted)
    with open_video(path) as video:
        clips = [one.number for one in read_clips(video, [TestSpec(protocol(clips=4), FOUR_FRAMES)])]
    assert clips == [0, 1, 2, 3]
    assert most <= 14  # a window of 8, the frame beyond it, the one in hand, and the last clip's 4 in `one`


def test_decoding_stops_when_the_last_window_has_closed(damaged_at_frame_twenty):
    # clip 1 starts at 11 and closes at frame 19
    assert levels(damaged_at_frame_twenty, protocol(clips=2))[1] == [11, 13, 15, 18]


def test_damage_before_the_last_window_has_closed_is_an_error(damaged_at_frame_twenty):
    with pytest.raises(VideoError, match=r"damaged\.mov: damaged after 20 decoded frames"):
        levels(damaged_at_frame_twenty, protocol(clips=4))


def test_a_clip_without_any_frame_is_an_error(tmp_path):
    pts = [0, 1, 2, 3]
    path = write_video(tmp_path / "video.mov", 4, pts=pts)
    with open_video(path) as video:
        late = Video(path, dataclasses.replace(video.info, frames=40, duration=20480), video.container, video.stream)
        with pytest.raises(VideoError, match=r"video\.mov: clip 2 of 2 holds no frame"):
            list(read_clips(late, [TestSpec(protocol(clips=2), FOUR_FRAMES)]))
