"""Copies of videos with something drawn over them: frames, sizes, times, colours and sound are the source's.

Boxes and words over pictures of any size: where they lie, what is cut, and what is only shown.
"""

from __future__ import annotations

import logging
import os
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image

from tests.data.contradicted_videos import KEPT
from tests.data.sample_videos import write_video
from tests.data.small_videos import small_video
from videohub.data import annotated_video
from videohub.data.annotated_video import (
    COLOURS,
    annotate_video,
    draw_box,
    draw_caption,
    draw_label,
    drawn_on,
)
from videohub.data.decoded_images import converted
from videohub.errors import DeviceError, UsageError, VideoError


def untouched(canvas, seconds):
    """Draw nothing."""


def decoded(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Return the times and pictures of a video, plainly decoded."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [float(frame.pts * frame.time_base) for frame in frames], [
            converted(frame, VideoReformatter()) for frame in frames
        ]


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        return [
            (float(packet.pts * packet.time_base), bytes(packet)) for packet in container.demux(audio=0) if packet.size
        ]


def with_sound(path: Path, codec: str, *, seconds: float = 1.0, begins: int = 0) -> Path:
    """Write a second of video at 25 frames a second, beginning at frame number `begins`, and a tone beside it."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(codec, rate=48_000)
        sound.codec_context.layout = "mono"
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = begins + number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        size = sound.codec_context.frame_size or 1024
        for first in range(0, int(48_000 * seconds), size):
            wave = np.sin(np.arange(first, first + size) * (2 * np.pi * 440 / 48_000)).astype(np.float32)
            format = sound.codec_context.format.name
            zero, peak, kind = {"flt": (0, 1, np.float32), "s16": (0, 3e4, np.int16),
                                "u8p": (128, 100, np.uint8)}[format[:3]]  # fmt: skip
            samples = (zero + peak * wave).astype(kind)
            frame = av.AudioFrame.from_ndarray(samples[None], format=format, layout="mono")
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = begins * 1920 + first
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_copy_has_every_frame_at_its_time_and_in_its_size(tmp_path, suffix):
    # ticks of 1/30 s: 0, 1, 4, 6, 7, 10, 12, ...
    source = small_video(tmp_path / "v.mp4", count=12, distances=(1, 3, 2))
    times: list[float] = []
    out = tmp_path / f"out{suffix}"
    annotate_video(source, out, lambda canvas, seconds: times.append(seconds))
    ticks = [0, 1, 4, 6, 7, 10, 12, 13, 16, 18, 19, 22]
    assert times == pytest.approx([tick / 30 for tick in ticks])
    copied, pictures = decoded(out)
    assert copied == pytest.approx(times, abs=1e-3 if suffix == ".mkv" else 1e-6)  # Matroska counts milliseconds
    assert {picture.shape for picture in pictures} == {(64, 96, 3)}


def test_what_a_killed_call_left_is_removed_after_a_day_and_what_another_one_writes_is_not(tmp_path):
    left, begun = (tmp_path / f".out.mp4-{digit * 16}.part" for digit in "01")
    for temp, hours in ((left, 25), (begun, 1)):
        temp.touch()
        os.utime(temp, (time.time() - 3600 * hours,) * 2)
    annotate_video(small_video(tmp_path / "v.mp4", count=3, distances=(1,)), tmp_path / "out.mp4", untouched)
    assert sorted(path.name for path in tmp_path.iterdir()) == [begun.name, "out.mp4", "v.mp4"]


def test_what_is_drawn_is_there_and_all_else_keeps_its_colours(tmp_path):
    colours = [(200, 30, 40), (20, 180, 60), (10, 40, 220), (250, 250, 250), (5, 5, 5), (128, 90, 200)]
    source = write_video(
        tmp_path / "v.mov", len(colours), picture=lambda number: np.full((48, 64, 3), colours[number], np.uint8)
    )

    def left_half_white(canvas, seconds):
        canvas.rectangle((0, 0, 31, 47), fill=(255, 255, 255))

    annotate_video(source, tmp_path / "out.mp4", left_half_white)
    pictures = decoded(tmp_path / "out.mp4")[1]
    for picture, colour in zip(pictures, colours, strict=True):
        # a step of luma is 1.2 levels and one of blue's chroma 2.1: rounding both is 1.7, and the encoder rounds again
        assert np.abs(picture[4:-4, 40:60].astype(int) - colour).max() <= 5
        assert picture[4:-4, 4:24].min() >= 250


def test_an_odd_side_gets_one_more_pixel_like_its_last(tmp_path):
    ramp = np.repeat(np.arange(33, dtype=np.uint8)[None, :, None] * 4, 17, axis=0).repeat(3, axis=2)
    source = write_video(tmp_path / "v.mov", 3, picture=lambda number: ramp)
    annotate_video(source, tmp_path / "out.mp4", untouched)
    picture = decoded(tmp_path / "out.mp4")[1][0].astype(int)
    assert picture.shape == (18, 34, 3)
    assert np.abs(picture[8, 33] - picture[8, 32]).max() <= 5


def test_a_turned_picture_is_upright(tmp_path):
    sizes: set[tuple[int, int]] = set()
    annotate_video(KEPT / "turned.mp4", tmp_path / "out.mp4", lambda canvas, _: sizes.add(canvas.im.size))
    with av.open(str(KEPT / "turned.mp4")) as container:
        stored = container.streams.video[0].width, container.streams.video[0].height
    assert sizes == {stored[::-1]}
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == stored[::-1]
        assert frame.side_data.get("DISPLAYMATRIX") is None


@pytest.mark.parametrize(
    ("codec", "suffix"), [("aac", ".mp4"), ("aac", ".mkv"), ("ac3", ".mp4"), ("pcm_s16le", ".mkv")]
)
def test_sound_is_copied_packet_by_packet(tmp_path, codec, suffix):
    source = with_sound(tmp_path / "v.mkv", codec)
    annotate_video(source, tmp_path / f"out{suffix}", untouched)
    before, after = sound_packets(source), sound_packets(tmp_path / f"out{suffix}")
    assert [content for _, content in after] == [content for _, content in before]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=1.1e-3)


def test_a_copy_begins_with_the_first_frame_and_its_sound_goes_along(tmp_path):
    source = with_sound(tmp_path / "v.mkv", "aac", begins=50)  # two seconds
    assert decoded(source)[0][0] == pytest.approx(2)
    annotate_video(source, tmp_path / "out.mkv", untouched)
    assert decoded(tmp_path / "out.mkv")[0][0] == pytest.approx(0, abs=0.03)  # Matroska begins with the sound's lead
    lag = decoded(source)[0][0] - sound_packets(source)[0][0]
    assert decoded(tmp_path / "out.mkv")[0][0] - sound_packets(tmp_path / "out.mkv")[0][0] == pytest.approx(
        lag, abs=2e-3
    )


def test_sound_that_the_container_does_not_take_is_left_out_and_told(tmp_path, caplog):
    source = with_sound(tmp_path / "v.mkv", "wavpack")
    with caplog.at_level(logging.WARNING, "videohub"):
        annotate_video(source, tmp_path / "out.mp4", untouched)
    assert "its sound (wavpack) has no place in a file .mp4 and is left out; one whose name ends in .mkv" in caplog.text
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    annotate_video(source, tmp_path / "out.mkv", untouched)
    assert sound_packets(tmp_path / "out.mkv")


def test_a_damaged_video_leaves_nothing(damaged_at_frame_twenty, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    with pytest.raises(VideoError, match="damaged after 20 decoded frames"):
        annotate_video(damaged_at_frame_twenty, folder / "out.mp4", untouched)
    assert list(folder.iterdir()) == []


def test_an_error_while_drawing_leaves_what_was_there(thirty_frames, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError):
        annotate_video(thirty_frames, out, lambda canvas, seconds: 1 / 0)
    assert out.read_bytes() == b"before"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_progress_counts_every_frame(thirty_frames, tmp_path):
    messages: list[int] = []
    annotate_video(thirty_frames, tmp_path / "out.mp4", untouched, progress=messages.append)
    assert sum(messages) == 30


def test_an_ending_that_is_none_of_ours_is_refused(thirty_frames, tmp_path):
    with pytest.raises(UsageError, match=r"out\.avi: found the ending '\.avi', expected one of \.mp4, \.mov, \.mkv"):
        annotate_video(thirty_frames, tmp_path / "out.avi", untouched)


def test_the_source_is_not_written_over(thirty_frames):
    content = thirty_frames.read_bytes()
    with pytest.raises(UsageError, match="this is the video to read; give the copy another name"):
        annotate_video(thirty_frames, thirty_frames, untouched)
    assert thirty_frames.read_bytes() == content


def test_without_a_folder_to_write_into_nothing_is_decoded(thirty_frames, tmp_path):
    with pytest.raises(UsageError, match="found no folder"):
        annotate_video(thirty_frames, tmp_path / "absent" / "out.mp4", lambda canvas, seconds: 1 / 0)


def test_an_ffmpeg_without_an_encoder_is_told(thirty_frames, tmp_path, monkeypatch):
    monkeypatch.setattr(annotated_video, "_ENCODERS", ("no_such_encoder",))
    with pytest.raises(DeviceError, match=r"out\.mp4: this FFmpeg has no encoder for H\.264"):
        annotate_video(thirty_frames, tmp_path / "out.mp4", untouched)
    assert not (tmp_path / "out.mp4").exists()


def test_a_video_whose_time_goes_back_keeps_all_its_frames(tmp_path):
    parts = [small_video(tmp_path / f"{name}.ts", count=10) for name in "ab"]
    source = tmp_path / "two.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    times: list[float] = []
    annotate_video(source, tmp_path / "out.mp4", lambda canvas, seconds: times.append(seconds))
    assert times == pytest.approx([number / 30 for number in range(20)], abs=1e-4)
    assert len(decoded(tmp_path / "out.mp4")[0]) == 20


# --- what is drawn ---------------------------------------------------------------------------------------------------

GREY = 128


def named(canvas, corners, words):
    """Draw a box and words at it."""
    draw_box(canvas, corners)
    draw_label(canvas, corners, words)


def drawn(draw, width=320, height=240) -> np.ndarray:
    picture = Image.new("RGB", (width, height), (GREY, GREY, GREY))
    draw(drawn_on(picture))
    return np.asarray(picture).astype(int)


def changed(pixels: np.ndarray) -> np.ndarray:
    """Return which pixels are no longer grey, (H, W)."""
    return (pixels != GREY).any(axis=2)


def test_a_box_is_an_outline_and_what_is_within_stays():
    pixels = drawn(lambda canvas: draw_box(canvas, (40, 60, 200.4, 179.6), colour=(10, 20, 30)))
    assert pixels[60, 40].tolist() == pixels[180, 200].tolist() == [10, 20, 30]
    rows, columns = np.nonzero(changed(pixels))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 180, 40, 200)
    assert not changed(pixels)[70:170, 50:190].any()


def test_the_names_stand_above_the_box_where_there_is_room_and_inside_where_there_is_none():
    low = changed(drawn(lambda canvas: named(canvas, (40, 100, 200, 200), ["stand 0.91"])))
    assert low[70:100].any()
    assert not low[110:190, 50:190].any()
    high = changed(drawn(lambda canvas: named(canvas, (40, 0, 200, 200), ["stand 0.91"])))
    assert high[5:20, 50:80].any()
    assert not high[40:190, 50:190].any()


def test_a_box_beyond_the_edges_is_cut_at_them_and_its_names_stay_within():
    pixels = changed(drawn(lambda canvas: named(canvas, (250, 100, 500, 900), ["talk to (e.g., self, a person)"])))
    assert pixels[110:, 250].all()
    assert pixels[-1, 250:].all()
    assert pixels[90, :250].any()  # moved to the left, so that the end can be read


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (480, 854), (1920, 1080)])
def test_letters_grow_with_the_short_side_of_the_picture(size):
    width, height = size
    rows = np.nonzero(changed(drawn(lambda canvas: draw_caption(canvas, ["walk"]), width, height)).any(axis=1))[0]
    bar = rows.max() - rows.min() + 1
    assert rows.max() == height - 1
    assert bar >= max(14, min(width, height) // 26)
    assert bar <= max(20, min(width, height) // 12)


def test_the_bar_of_a_caption_lets_half_of_the_picture_through():
    pixels = drawn(lambda canvas: draw_caption(canvas, ["M"]))
    # 128 under black of density 150 of 255: 128 x 105 / 255 = 52.7
    assert pixels[-2, -2].tolist() in ([52] * 3, [53] * 3)
    assert pixels[-20:].max() > 240


def test_a_line_that_is_too_long_ends_in_dots_and_none_leaves_the_picture():
    long, cut = (
        drawn(lambda canvas, words=words: draw_caption(canvas, [words])) for words in ("word " * 100, "word " * 200)
    )
    assert np.array_equal(long, cut)


def test_a_name_of_a_million_letters_is_cut_as_a_shorter_one_is():
    long, longer = (
        drawn(lambda canvas, count=count: draw_caption(canvas, ["walk " * count])) for count in (100, 200_000)
    )
    assert (long == longer).all()


def test_what_would_steer_a_screen_is_shown_and_never_obeyed():
    hostile, escaped = (
        drawn(lambda canvas, words=words: draw_caption(canvas, [words])) for words in ("a\nb\x1b[2J", "a\\nb\\x1b[2J")
    )
    assert np.array_equal(hostile, escaped)


def test_letters_that_the_font_lacks_are_no_error():
    assert changed(drawn(lambda canvas: named(canvas, (40, 100, 200, 200), ["走る 🏃", ""]))).any()


def test_without_words_there_is_no_bar():
    assert not changed(drawn(lambda canvas: draw_caption(canvas, []))).any()
    assert not changed(drawn(lambda canvas: draw_label(canvas, (40, 100, 200, 200), []))).any()


def test_colours_can_be_told_apart():
    assert len(set(COLOURS)) == len(COLOURS) >= 5
