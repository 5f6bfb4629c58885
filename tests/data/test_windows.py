"""Windows along videos whose frames can be told apart: which frames each holds, worked out by hand."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data import barcode
from tests.data.contradicted_videos import VIDEOS, turned
from tests.data.sample_videos import numbered, protocol, write_video
from videohub.data import windows as module
from videohub.data.decoded_images import Image
from videohub.data.views import read_content_views
from videohub.data.windows import TimedFrames, Window, open_frames, windows
from videohub.errors import UsageError, VideoError
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

WHOLE = protocol(crop=None, short_side=barcode.HEIGHT)


def listed_frames(pictures: Iterable[np.ndarray], rate: float, name: str = "the frames") -> TimedFrames:
    """Return pictures (H, W, 3) as the frames of a video."""
    timed = ((number / rate, Image(picture)) for number, picture in enumerate(pictures))
    return TimedFrames(Path(name), rate, None, timed)


def along(path: Path, times: Iterable[Sequence[float]], *, needed: int = 0, how: Protocol = WHOLE) -> list[Window]:
    with open_frames(path) as frames:
        return list(windows(frames, times, how, needed=needed))


def numbers(window: Window) -> list[int]:
    """Return the number that each frame of a window carries."""
    return [barcode.number(frame.permute(1, 2, 0).numpy()) for frame in window.frames]


def every(stride: int, frames: int, distance: int, rate: float = 30) -> Iterable[list[float]]:
    """Yield the times of windows without end: one every `stride` frames, of frames so far apart."""
    return ([(k * stride + j * distance) / rate for j in range(frames)] for k in itertools.count())


def test_a_window_begins_every_stride_and_holds_the_frames_of_its_times(tmp_path):
    path = barcode.write(tmp_path / "v.mp4", 40)
    result = along(path, every(16, 4, 2), needed=-1)
    assert [numbers(window) for window in result] == [[0, 2, 4, 6], [16, 18, 20, 22], [32, 34, 36, 38]]
    assert [window.number for window in result] == [0, 1, 2]
    assert result[1].times == pytest.approx([16 / 30, 18 / 30, 20 / 30, 22 / 30])


def test_windows_at_the_end_repeat_the_last_frame_or_are_left_out(tmp_path):
    path = barcode.write(tmp_path / "v.mp4", 10)
    padded = along(path, every(4, 4, 1))
    assert [numbers(window) for window in padded] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]
    assert padded[2].times == pytest.approx([8 / 30, 9 / 30, 9 / 30, 9 / 30])
    assert [numbers(window) for window in along(path, every(4, 4, 1), needed=-1)] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_video_that_ends_with_a_window_has_no_further_one(tmp_path):
    path = barcode.write(tmp_path / "v.mp4", 12)
    expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert [numbers(window) for window in along(path, every(4, 4, 1))] == expected
    assert [numbers(window) for window in along(path, every(4, 4, 1), needed=-1)] == expected


def test_around_a_key_frame_the_first_and_the_last_frame_are_repeated(tmp_path):
    path = barcode.write(tmp_path / "v.mp4", 12)
    keys = (1, 6, 11, 12)  # frame 12 is not there
    around = [[(key + 2 * j - 4) / 30 for j in range(4)] for key in keys]  # AVA: the key frame is at 4 / 2
    assert [numbers(window) for window in along(path, around, needed=2)] == [[0, 0, 1, 3], [2, 4, 6, 8], [7, 9, 11, 11]]


def test_the_picture_of_a_key_frame_is_kept_as_it_is_for_whoever_asks(tmp_path):
    path = barcode.write(tmp_path / "v.mp4", 12)
    around = [[(key + 2 * j - 4) / 30 for j in range(4)] for key in (1, 6, 11)]
    with open_frames(path) as frames:
        result = list(windows(frames, around, protocol(crop=None, short_side=32), needed=2, keep_picture=True))
    assert [barcode.number(window.picture.rgb()) for window in result] == [1, 6, 11]
    assert {window.picture.size for window in result} == {(barcode.HEIGHT, barcode.WIDTH)}
    assert along(path, around, needed=2)[0].picture is None


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_a_frame_is_found_at_its_own_time_however_its_container_rounds(tmp_path, suffix):
    path = barcode.write(tmp_path / f"v.{suffix}", 150, b_frames=0 if suffix == "avi" else 2)
    (window,) = along(path, [[k / 30 for k in range(150)]])
    assert numbers(window) == list(range(150))


def test_at_nearly_its_own_rate_a_video_repeats_no_frame_before_the_difference_shows(tmp_path):
    path = barcode.write(tmp_path / "v.mp4", 150, rate=Fraction(30000, 1001))
    (window,) = along(path, [[k / 30 for k in range(150)]])
    # frame k is stamped k * 1.001 / 30: an eighth of a frame late from k = 125 on, and its predecessor still shown
    assert numbers(window) == [k if k <= 125 else k - 1 for k in range(150)]


def test_a_slower_and_a_faster_video_are_followed_in_time(tmp_path):
    slow = barcode.write(tmp_path / "slow.mp4", 20, rate=10)
    fast = barcode.write(tmp_path / "fast.mp4", 120, rate=60)
    asked = [[0, 0.1, 0.25, 1.0]]
    assert numbers(along(slow, asked)[0]) == [0, 1, 2, 10]
    assert numbers(along(fast, asked)[0]) == [0, 6, 15, 60]


def test_frames_that_are_there_stand_for_a_video_at_a_rate():
    pictures = [barcode.picture(number) for number in range(10)]
    result = list(windows(listed_frames(pictures, 5), [[-1, 0, 0.5, 1.0, 1.8]], WHOLE))
    assert [numbers(window) for window in result] == [[0, 0, 2, 5, 9]]
    assert result[0].times == pytest.approx([0, 0, 0.4, 1.0, 1.8])


# --- headers and stamps that lie -------------------------------------------------------------------------------------

FIRST = {name: video.content[0][0] for name, video in VIDEOS.items()}
RATE = {"clock rate": 24, "doubled stamps": 1000 * 149 / (74 * 66)}  # ticks of 1 ms, 149 steps up to 74 * 66


@pytest.mark.parametrize("name", [name for name in VIDEOS if name != "uneven"])
def test_time_begins_with_the_first_frame_and_follows_the_content(name, tmp_path):
    path, rate = VIDEOS[name].write(tmp_path), RATE.get(name, 30)
    with open_frames(path) as frames:
        (window,) = windows(frames, [[k / rate for k in range(60)]], WHOLE)
        kinds = {one.kind for one in frames.contradictions()}
    assert numbers(window) == list(range(FIRST[name], FIRST[name] + 60))
    assert kinds == VIDEOS[name].kinds


def test_two_streams_in_one_go_on_where_time_begins_again(tmp_path):
    path = VIDEOS["two streams"].write(tmp_path)  # 0 … 59 and 60 … 119
    assert [numbers(window)[0] for window in along(path, every(20, 1, 1))] == [0, 20, 40, 60, 80, 100]


def test_uneven_frames_are_those_that_are_shown_at_the_time(tmp_path):
    path = VIDEOS["uneven"].write(tmp_path)  # frame k < 50 at k / 30 s, then frame k at (50 + (k - 50) * 3) / 30 s
    asked = [0.5, 49 / 30, 50 / 30, 1.70, 50 / 30 + 0.25, 50 / 30 + 5.0]
    assert numbers(along(path, [asked])[0]) == [15, 49, 50, 50, 52, 100]


def test_the_last_frame_is_shown_as_long_as_the_container_says(tmp_path):
    path = write_video(tmp_path / "v.mov", 4, pts=[0, 1, 2, 3])
    assert len(along(path, every(1, 1, 1), how=protocol(crop=None))) == 4


def test_a_turned_video_is_seen_upright(tmp_path):
    path = turned(tmp_path, (0, 1, -1, 0))  # 90 degrees: 96 x 64 is shown as 64 x 96
    with open_frames(path) as frames:
        (window,) = windows(frames, [[0.0]], WHOLE)
        assert [one.kind for one in frames.contradictions()] == ["turned picture"]
    assert window.shape == (1, 3, 1, barcode.WIDTH, barcode.HEIGHT)


# --- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["proportional", "keyframe"])  # resized last, as floats; or first, as OpenCV does it
def test_a_prepared_frame_has_the_bits_that_the_views_of_a_test_have(tmp_path, of):
    path = barcode.write(tmp_path / "v.mp4", 64)
    how = protocol(crops=3, pixels=protocol(sampling=of, short_side=40, crop=36).pixels)
    views = read_content_views(path, how, Clip(frames=8, sampling_rate=8))
    times = [int(position) / 30 for position in views.decode_positions[0]]
    (window,) = along(path, [times], how=how)
    crops = window.stack()
    assert window.shape == tuple(crops.shape) == (3, 3, 8, 36, 36)
    assert all(torch.equal(crops[crop], views[crop]) for crop in range(3))


def test_each_frame_is_prepared_once_and_only_those_that_a_window_has(tmp_path, monkeypatch):
    path = barcode.write(tmp_path / "v.mp4", 40)
    prepared: list[int] = []

    def counted(pixels, how, planar=None):
        prepared.append(barcode.number(pixels[0].numpy()))
        return original(pixels, how, planar)

    original = module.prepare
    monkeypatch.setattr(module, "prepare", counted)
    assert len(along(path, every(4, 8, 2))) == 10
    assert prepared == [*range(0, 40, 2), 39]  # 39 stands in for what is behind the end


def test_memory_holds_the_frames_of_open_windows_alone(tmp_path, monkeypatch):
    path = write_video(tmp_path / "long.mov", 200)
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    def watched(pixels, how, planar=None):
        nonlocal most
        frames = original(pixels, how, planar)
        alive.add(frames)
        most = max(most, len(alive))
        return frames

    original = module.prepare
    monkeypatch.setattr(module, "prepare", watched)
    with open_frames(path) as frames:
        count = sum(1 for _ in windows(frames, every(5, 10, 1), protocol(crop=None)))
    assert count == 40
    assert most <= 17  # 10 of an open window, 5 of the one before it that is in `_`, one at hand, one kept for the end


def test_decoding_stops_with_the_last_window_that_was_asked_for(damaged_at_frame_twenty):
    assert len(along(damaged_at_frame_twenty, [[0.0], [0.5]], how=protocol(crop=None))) == 2


def test_damage_is_an_error_once_it_is_reached(damaged_at_frame_twenty):
    with open_frames(damaged_at_frame_twenty) as frames:
        result = windows(frames, every(8, 4, 1), protocol(crop=None))
        assert [next(result).number, next(result).number] == [0, 1]
        with pytest.raises(VideoError, match="after 20 decoded frames"):
            next(result)  # 16 … 19: that 19 is the frame that is shown shows when the next one comes


def test_times_that_do_not_ascend_are_refused():
    for times in ([[0.2, 0.1]], [[0.5], [0.4]], [[]]):
        with pytest.raises(ValueError, match="expected them to ascend"):
            list(windows(listed_frames([numbered(0)] * 30, 30), times, protocol(crop=None)))


@pytest.mark.parametrize("of", ["the next frame", "the end"])
def test_a_jump_of_the_time_stamps_is_refused_and_not_filled_with_windows(of):
    pictures = [(seconds, Image(np.zeros((8, 8, 3), np.uint8))) for seconds in (0.0, 0.04, 0.08, 10_000.0)]
    frames = TimedFrames(Path("odd.mkv"), 25, None, iter(pictures), end=lambda: 10_000.04)
    if of == "the end":
        frames = TimedFrames(Path("odd.mkv"), 25, None, iter(pictures[:3]), end=lambda: 10_000.0)
    result = windows(frames, every(1, 2, 1, rate=25), protocol(crop=None, short_side=8))
    assert next(result).times == pytest.approx([0, 0.04])
    with pytest.raises(
        VideoError, match=r"odd\.mkv: its time stamps jump by [\d,]+ s at 0\.080 s, expected at most 3,600"
    ):
        list(result)


def test_a_frame_that_stays_fills_one_window_after_the_other():
    """Of the 75,000 windows that begin while it is shown, no more are open than were asked for."""
    pictures = [(seconds, Image(np.zeros((8, 8, 3), np.uint8))) for seconds in (0.0, 3000.0)]
    begun = []
    times = (begun.append(number) or asked for number, asked in enumerate(every(1, 2, 1, rate=25)))
    result = windows(TimedFrames(Path("still.mkv"), 25, None, iter(pictures)), times, protocol(crop=None, short_side=8))
    for number in range(3):
        assert next(result).number == number
        assert len(begun) <= number + 3


def test_nothing_to_see_and_another_size_are_errors():
    with pytest.raises(VideoError, match="the frames: holds no pictures"):
        list(windows(listed_frames([], 30), [[0.0]], WHOLE))
    changing = listed_frames([numbered(0), numbered(1, 32, 48)], 30, name="clip")
    with pytest.raises(VideoError, match=r"clip: the picture changes its shape .* from 64x48 to 32x48"):
        list(windows(changing, [[0.0, 0.04]], protocol(crop=None)))
    with pytest.raises(UsageError, match="a crop of 50 pixels does not fit"):
        list(windows(listed_frames([numbered(0)], 30), [[0.0]], protocol(short_side=48, crop=50)))


def test_frames_of_open_windows_that_fill_the_memory_are_refused():
    frames = listed_frames([numbered(0)] * 40, 30, name="huge")
    frames.budget._most = 48 * 64 * (20 * 12 + 20 + 24)  # 20 frames, and another one while it is prepared
    with pytest.raises(
        VideoError, match="huge: 21 frames in open windows, and one of 64x48, 64x48 once resized, would"
    ):
        list(windows(frames, every(1, 40, 1), protocol(crop=None)))


def test_a_strip_that_would_fill_the_memory_once_it_is_resized_is_refused_before():
    strip = listed_frames([np.zeros((2, 2048, 3), np.uint8)], 30, name="strip")
    strip.budget._most = 1 << 30  # short side 256: 262144 x 256
    with pytest.raises(VideoError, match="strip: 0 frames in open windows, and one of 2048x2, 262144x256 once resized"):
        list(windows(strip, [[0.0]], protocol(short_side=256, crop=224)))


def test_of_a_frame_what_no_crop_reaches_is_let_go():
    (window,) = windows(listed_frames([numbered(0)], 30), [[0.0]], protocol(crop=32))
    assert window.frames[0].untyped_storage().nbytes() == 3 * 32 * 32 * 4
    assert window.offsets == [(0, 0, False)]


def test_crops_are_cut_out_of_whole_frames():
    picture = np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8)
    (window,) = windows(listed_frames([picture], 30), [[0.0]], protocol(crops=3))
    left, _, right = window.stack()
    expected = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    assert torch.allclose(left[:, 0], expected[:, :, :48])
    assert torch.allclose(right[:, 0], expected[:, :, 16:])
