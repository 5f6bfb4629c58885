"""One clip of a video: which frames it takes, by hand, and that seeking finds those that decoding all does."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.data import barcode
from tests.data.sample_videos import FOUR_FRAMES, numbered, protocol, write_video
from tests.data.small_videos import moving
from videohub import protocols as steps
from videohub.data import single_clip
from videohub.data.samples import FrameList, ImageFile, VideoFile
from videohub.data.single_clip import clip_indices, read_clip
from videohub.data.views import read_content_views
from videohub.errors import UsageError, VideoError
from videohub.registry.schema import Clip

EIGHT_BY_EIGHT = Clip(frames=8, sampling_rate=8)


def drawing(*numbers: float):
    """A source of these numbers."""
    return iter(numbers).__next__


def rule(frames: steps.FrameRule):
    return protocol(frames=frames)


# --- which frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "draw", "expected"),
    [
        # 64 frames of 300 from (300 - 64) / 2 = 118 on; a clip's frames are linspace(0, 63, 8), rounded down
        (steps.Proportional(fps=30.0, past_end="repeat"), None, [118, 127, 136, 145, 154, 163, 172, 181]),
        (steps.Offset(fps=30.0, past_end="repeat"), None, [118, 127, 136, 145, 154, 163, 172, 181]),
        (steps.OffsetFrames(past_end="repeat"), None, [118, 127, 136, 145, 154, 163, 172, 181]),
        (steps.OffsetFrames(past_end="repeat"), 0.0, [0, 9, 18, 27, 36, 45, 54, 63]),
        (steps.Proportional(fps=30.0, past_end="repeat"), 0.5, [118, 127, 136, 145, 154, 163, 172, 181]),
        (steps.Proportional(fps=30.0, past_end="repeat"), 0.0, [0, 9, 18, 27, 36, 45, 54, 63]),
        (steps.Timed(fps=30.0, past_end="stretch"), 0.0, [0, 9, 18, 27, 36, 45, 54, 63]),
        # at 15 a second clips are twice as long: 128 of 300 from 86 on, linspace(0, 127, 8) rounded down
        (steps.Proportional(fps=15.0, past_end="repeat"), None, [86, 104, 122, 140, 158, 176, 194, 213]),
        # exact distances: 57 frames, from (300 - 57) / 2 = 121.5 on, rounded half to even, or one of 244 places
        (steps.Spread(past_end="loop"), None, [122, 130, 138, 146, 154, 162, 170, 178]),
        (steps.SpreadDown(past_end="repeat"), None, [121, 129, 137, 145, 153, 161, 169, 177]),  # rounded down
        (steps.Spread(past_end="repeat"), 0.999, [243, 251, 259, 267, 275, 283, 291, 299]),
        (steps.Strided(past_end="loop"), 0.0, [0, 8, 16, 24, 32, 40, 48, 56]),
        (steps.Dense(positions=10, window=64, past_end="loop"), 0.999, [243, 251, 259, 267, 275, 283, 291, 299]),
        (steps.Windows(past_end="repeat"), None, [120, 128, 136, 144, 152, 160, 168, 176]),  # window 15 of 31
        (steps.Windows(past_end="repeat"), 0.999, [243, 251, 259, 267, 275, 283, 291, 299]),
        (steps.Interleaved(past_end="repeat"), None, [18, 56, 93, 131, 168, 206, 243, 281]),  # middles of 37.5 frames
        (steps.SpreadResampled(fps=30.0, past_end="loop"), None, [118, 126, 134, 142, 150, 158, 166, 174]),
        # every second frame at 15 a second, 8 of those apart
        (steps.Resampled(fps=15.0, past_end="refuse"), 0.0, [0, 16, 32, 48, 64, 80, 96, 112]),
    ],
)
def test_a_clip_of_three_hundred_frames_at_thirty_a_second(frames, draw, expected):
    result = clip_indices(rule(frames), EIGHT_BY_EIGHT, 300, 30.0, None if draw is None else drawing(draw))
    assert result == expected


def test_a_clip_lasts_as_long_at_any_rate_of_the_video():
    """At 25 a second 64 frames at 30 are 53.33: linspace(0, 52.33, 8) from (250 - 53.33) / 2 = 98.33 on."""
    expected = [99 + int(52.3333 * number / 7) for number in range(8)]
    assert clip_indices(rule(steps.Proportional(fps=30.0, past_end="repeat")), EIGHT_BY_EIGHT, 250, 25.0) == expected


def test_past_the_end_each_rule_does_what_it_does_in_a_test():
    """Clips of 4 frames, 2 apart, of 3 frames."""

    def of(frames: steps.FrameRule) -> list[int]:
        return clip_indices(rule(frames), FOUR_FRAMES, 3, 30.0, drawing(0.5))

    assert of(steps.Proportional(fps=30.0, past_end="repeat")) == [0, 2, 2, 2]  # linspace(0, 7, 4): 0, 2.3, 4.7, 7
    assert of(steps.Spread(past_end="repeat")) == [0, 2, 2, 2]
    assert of(steps.Spread(past_end="loop")) == [0, 2, 1, 0]
    assert of(steps.Timed(fps=30.0, past_end="stretch")) == [0, 0, 1, 2]  # linspace(0, 2, 4): 0, 0.67, 1.33, 2
    with pytest.raises(VideoError, match="its 3 frames are fewer than a clip takes"):
        of(steps.Resampled(fps=30.0, past_end="refuse"))


OF_VIDEOS = {
    "proportional": steps.Proportional(fps=30.0, past_end="repeat"),
    "offset": steps.Offset(fps=15.0, past_end="repeat"),
    "timed": steps.Timed(fps=24.0, past_end="stretch"),
    "segments": steps.Segments(past_end="repeat"),
    "spread": steps.Spread(past_end="loop"),
    "spread at rate": steps.SpreadAtRate(fps=15.0, past_end="loop"),
    "resampled": steps.Resampled(fps=15.0, past_end="refuse"),
    "centres": steps.Centres(past_end="loop"),
    "dense": steps.Dense(positions=10, window=64, past_end="loop"),
    "timed list": steps.TimedList(past_end="stretch"),
}


@pytest.mark.parametrize("count", [29, 31])
@pytest.mark.parametrize("kind", OF_VIDEOS)
def test_the_middle_clip_is_that_of_the_test_s_own_reader(kind, count, tmp_path):
    """Which was compared with the original's frames; here it is asked for the clip in the middle, as `predict` does."""
    path = write_video(tmp_path / "numbered.mov", count)
    middle, number = rule(OF_VIDEOS[kind]).middle_view()
    views = read_content_views(path, middle, FOUR_FRAMES, number=number)
    clip = read_clip(VideoFile(path), rule(OF_VIDEOS[kind]), FOUR_FRAMES)
    assert clip[:, 0, 0, 0].tolist() == (views[0][0, :, 0, 0] * 255).round().tolist()  # levels are the frames' numbers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # at 25 a second 8 frames at 30 are 6.67, which begin at (31 - 6.67) / 2 = 12.17: linspace(12.17, 17.83, 4)
        ("uncounted.mkv", [12, 14, 15, 17]),
        ("reordered.avi", [12, 14, 15, 17]),
        # 30 distances in 39 ticks of 1 / 25 s: 5.13 frames, from 12.94 on, which are 12, 14, 15 and 17 rounded down. At
        # even distances these were shown at 15.6, 18.2, 19.5 and 22.1 ticks, and half a tick is for rounding; frame 9
        # is shown at 18, those before it every second tick, those behind it each
        ("uneven.mp4", [8, 9, 11, 13]),
    ],
)
def test_the_middle_clip_of_a_video_whose_frames_are_counted_is_that_of_predict(name, expected, tmp_path):
    """Its container states no count, or no stamp tells which frame is which, or they come at uneven distances."""
    path = tmp_path / name
    codec, options = ("mpeg4", {"bf": "2", "g": "12"}) if name == "reordered.avi" else ("libx264", {"bf": "0"})
    ticks = [number + (min(number, 9) if name == "uneven.mp4" else 0) for number in range(31)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = barcode.WIDTH, barcode.HEIGHT, "yuv420p"
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(barcode.picture(number), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    proportional = rule(steps.Proportional(fps=30.0, past_end="repeat"))
    middle, number = proportional.middle_view()
    views = read_content_views(path, middle, FOUR_FRAMES, number=number)
    seen = views.frames[views.positions[0]].permute(0, 2, 3, 1).numpy()  # before they are cropped
    assert [barcode.number(picture) for picture in read_clip(VideoFile(path), proportional, FOUR_FRAMES)] == expected
    assert [barcode.number(picture) for picture in seen] == expected


def test_a_frame_is_drawn_from_each_part_of_a_video_that_a_clip_covers():
    """Of 9 frames, 4 parts have the borders 0, 2, 4, 6, 8, both included; the test takes their middles."""
    parts = rule(steps.Segments(past_end="repeat"))
    assert clip_indices(parts, FOUR_FRAMES, 9, None) == [1, 3, 5, 7]
    assert clip_indices(parts, FOUR_FRAMES, 9, None, drawing(0, 0.34, 0.67, 0.999)) == [0, 3, 6, 8]


def test_every_place_where_a_clip_fits_is_drawn():
    """7 frames of 10: four places."""
    spread = rule(steps.Spread(past_end="loop"))
    starts = [clip_indices(spread, FOUR_FRAMES, 10, None, drawing(number / 100))[0] for number in range(100)]
    assert [starts.count(start) for start in range(5)] == [25, 25, 25, 25, 0]


# --- seeking and decoding --------------------------------------------------------------------------------------------

RATE, COUNT = 30, 90
CONTAINERS = {
    "b_frames.mp4": ("libx264", {"g": "12", "bf": "3", "x264-params": "scenecut=0:b-pyramid=normal:threads=1"}),
    "open_gop.mp4": ("libx264", {"g": "12", "bf": "3", "x264-params": "scenecut=0:open-gop=1:threads=1"}),
    "one_key_frame.mkv": ("libx264", {"g": "250", "bf": "3", "x264-params": "threads=1"}),
    "b_frames.mkv": ("libx264", {"g": "12", "bf": "3", "x264-params": "threads=1"}),
    "stream.ts": ("libx264", {"g": "12", "bf": "2", "x264-params": "threads=1"}),
    "b_frames.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "plain.avi": ("mpeg4", {"g": "12"}),
    "frames.webm": ("libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1",
                                   "lag-in-frames": "10"}),
    "all_intra.mov": ("mjpeg", {}),
    "layers.mp4": ("libx265", {"g": "12", "x265-params": "temporal-layers=3:bframes=3:log-level=none:pools=none"}),
    "mpeg2.ts": ("mpeg2video", {"g": "12", "bf": "2"}),
    "mpeg4.mp4": ("mpeg4", {"g": "12", "bf": "2"}),
    "vp8.webm": ("libvpx", {"g": "12", "deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1",
                            "lag-in-frames": "10"}),
}  # fmt: skip


def encoded(path: Path, codec: str, options: dict[str, str], ticks: list[int]) -> Path:
    """Write pictures that differ from frame to frame, shown at `ticks` of 1 / RATE s."""
    with av.open(str(path), "w") as container:
        try:
            stream = container.add_stream(codec, rate=RATE, options=options)
        except (ValueError, av.FFmpegError):
            pytest.skip(f"this FFmpeg does not write {codec}")
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(moving(number, 64, 48), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def all_of(path: Path) -> np.ndarray:
    """Every frame in the order in which the decoder hands them out."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


SPREAD = rule(steps.Spread(past_end="repeat"))


@pytest.mark.parametrize("name", CONTAINERS)
def test_seeking_finds_the_frames_that_decoding_all_finds(name, tmp_path):
    path = encoded(tmp_path / name, *CONTAINERS[name], list(range(COUNT)))
    frames = all_of(path)
    assert len(frames) == COUNT
    for draw in (0.0, 0.13, 0.37, 0.5, 0.81, 0.999):
        start = int(draw * (COUNT - 7 + 1))  # a clip is 7 frames long
        clip = read_clip(VideoFile(path), SPREAD, FOUR_FRAMES, drawing(draw))
        assert np.array_equal(clip, frames[[start, start + 2, start + 4, start + 6]]), draw


@pytest.mark.parametrize("name", [name for name in CONTAINERS if name != "b_frames.avi"])
def test_where_stamps_tell_the_frames_no_more_than_is_needed_is_decoded(name, tmp_path, monkeypatch):
    path = encoded(tmp_path / name, *CONTAINERS[name], list(range(COUNT)))
    decoded = []
    shown = single_clip.from_packet

    def counted(*arguments):
        for packet in shown(*arguments):
            decoded.append(packet)
            yield packet

    monkeypatch.setattr(single_clip, "from_packet", counted)
    monkeypatch.setattr(single_clip, "_from_start", lambda *_: pytest.fail("decoded from the start"))
    read_clip(VideoFile(path), SPREAD, FOUR_FRAMES, drawing(0.6))  # from frame 50 on
    limit = COUNT if name == "one_key_frame.mkv" else 12 + 7 + 12  # a key frame every 12; encoders look some ahead
    assert 4 <= len(decoded) <= limit


@pytest.mark.parametrize("name", ["b_frames.mp4", "b_frames.mkv"])
def test_frames_at_uneven_distances_are_taken_by_the_times_at_which_they_are_shown(name, tmp_path):
    """Every second frame is shown twice as long: at 0, 1, 3, 4, 6 …; evenly spaced, frame i would be at 1.5 i."""
    ticks = [3 * (number // 2) + number % 2 for number in range(40)] + [90 + 10 * number for number in range(20)]
    path = encoded(tmp_path / name, *CONTAINERS[name], ticks)
    frames = all_of(path)
    step = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
    start = int(0.4 * (60 - 7 + 1))
    clip = read_clip(VideoFile(path), SPREAD, FOUR_FRAMES, drawing(0.4))
    expected = [max(number for number, tick in enumerate(ticks) if tick <= index * step + 0.02)
                for index in range(start, start + 7, 2)]  # fmt: skip
    assert expected != list(range(start, start + 7, 2))
    assert np.array_equal(clip, frames[expected])


@pytest.mark.parametrize("name", ["demo.mp4", "nasa_13013.mp4", "test.avi"])
def test_real_videos_give_the_frames_that_decoding_all_finds(name, media, monkeypatch):
    clip, parts = Clip(frames=8, sampling_rate=4), rule(steps.Proportional(fps=30.0, past_end="repeat"))
    sought = [read_clip(VideoFile(media / name), parts, clip, drawing(draw)) for draw in (0.1, 0.5, 0.95)]
    monkeypatch.setattr(single_clip, "_sought", lambda *_: None)
    for draw, frames in zip((0.1, 0.5, 0.95), sought, strict=True):
        assert np.array_equal(read_clip(VideoFile(media / name), parts, clip, drawing(draw)), frames)


@pytest.mark.parametrize("held", [0, 64 << 20])
def test_frames_that_were_not_held_are_decoded_again(held, tmp_path, monkeypatch):
    path = encoded(tmp_path / "b_frames.avi", *CONTAINERS["b_frames.avi"], list(range(COUNT)))
    monkeypatch.setattr(single_clip, "CONTENT_HELD_BYTES", held)
    clip = read_clip(VideoFile(path), SPREAD, FOUR_FRAMES, drawing(0.5))
    assert np.array_equal(clip, all_of(path)[[42, 44, 46, 48]])


def test_a_video_of_one_frame_repeats_it(tmp_path):
    path = write_video(tmp_path / "one.mov", 1)
    for draw in (None, drawing(0.5)):
        clip = read_clip(VideoFile(path), protocol(), FOUR_FRAMES, draw)
        assert np.array_equal(clip, np.stack([numbered(0)] * 4))


@pytest.mark.parametrize("name", ["b_frames.mp4", "plain.avi"])
def test_a_video_that_was_cut_short_is_an_error_with_its_name(name, tmp_path):
    path = encoded(tmp_path / name, *CONTAINERS[name], list(range(COUNT)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=name):
        read_clip(VideoFile(path), SPREAD, FOUR_FRAMES)


def test_damage_matters_where_a_clip_needs_it_and_is_an_error_with_its_name(damaged_at_frame_twenty):
    clip = read_clip(VideoFile(damaged_at_frame_twenty), SPREAD, FOUR_FRAMES, drawing(0.0))
    assert clip[:, 0, 0, 0].tolist() == [0, 2, 4, 6]
    with pytest.raises(VideoError, match=r"damaged\.mov: damaged after 20 decoded frames"):
        read_clip(VideoFile(damaged_at_frame_twenty), SPREAD, FOUR_FRAMES, drawing(16 / 24))  # frames 16 to 22


def test_a_turned_video_is_seen_upright(tmp_path):
    turned = Path(__file__).parent / "contradicted" / "turned.mp4"
    with av.open(str(turned)) as container:
        stored = (container.streams.video[0].height, container.streams.video[0].width)
    assert read_clip(VideoFile(turned), SPREAD, FOUR_FRAMES).shape[1:3] == stored[::-1]


def test_frames_of_a_list_and_an_image_are_read_as_they_are(tmp_path):
    for number in range(9):
        Image.fromarray(numbered(10 * number)).save(tmp_path / f"{number}.png")
    source = FrameList(tmp_path, "\n".join(f"{number}.png" for number in range(9)))
    segments = rule(steps.Segments(past_end="repeat"))
    assert read_clip(source, segments, FOUR_FRAMES)[:, 0, 0, 0].tolist() == [10, 30, 50, 70]
    image = read_clip(ImageFile(tmp_path / "3.png"), protocol(sampling="image"), Clip(frames=1, sampling_rate=1))
    assert np.array_equal(image, numbered(30)[None])


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.mp4"):
        read_clip(VideoFile(tmp_path / "gone.mp4"), SPREAD, FOUR_FRAMES)
