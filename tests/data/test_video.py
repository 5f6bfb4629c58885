"""Files that are no videos, or damaged ones, are refused in one line that names them."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from tests.data.sample_videos import numbered, write_video
from videohub.data.video import open_video
from videohub.errors import UsageError, VideoError


def decode(path: Path) -> list[int]:
    with open_video(path) as video:
        return [frame.pts for frame in video.frames()]


def test_the_container_is_taken_at_its_word(thirty_frames):
    with open_video(thirty_frames) as video:
        info = video.info
        assert (info.frames, info.average_rate, info.width, info.height) == (30, 30, 64, 48)
        assert info.duration is not None
        assert info.duration * info.time_base == 1


def test_frames_are_numbered_as_they_come_out_of_the_decoder(media):
    with open_video(media / "test.avi") as video:
        frames = [(frame.position, frame.pts) for frame in islice(video.frames(), 7)]
    assert frames == [(0, 1), (1, 2), (2, 4), (3, 3), (4, 5), (5, 7), (6, 6)]


def test_the_first_video_stream_is_the_one_that_counts(media):
    with open_video(media / "nasa_13013.mp4") as video:
        assert (video.info.width, video.info.height, video.info.frames) == (320, 180, 325)


def test_matroska_states_neither_frames_nor_duration(tmp_path):
    path = write_video(tmp_path / "video.mkv", 10, codec="ffv1", pix_fmt="bgr0")
    with open_video(path) as video:
        assert (video.info.frames, video.info.duration) == (0, None)
        assert len(list(video.frames())) == 10


def test_a_missing_file_is_misuse(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.mp4: no such video file"):
        decode(tmp_path / "absent.mp4")


def test_a_folder_is_misuse(tmp_path):
    with pytest.raises(UsageError, match="this is a folder"):
        decode(tmp_path)


def test_a_pipe_is_misuse_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UsageError, match=r"pipe\.mp4: this is a pipe or a device, expected one video file"):
        decode(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["n" * 300, "zero\0byte.mp4", "folder\0/video.mp4"])
def test_a_path_that_cannot_be_is_misuse(tmp_path, name):
    with pytest.raises(UsageError) as refusal:
        decode(tmp_path / name)
    assert str(refusal.value).startswith(f"{tmp_path / name}: this path leads to no video file: ")


def test_a_file_below_a_file_is_misuse(thirty_frames):
    with pytest.raises(UsageError, match=r"thirty\.mov/video\.mp4: no such video file"):
        decode(thirty_frames / "video.mp4")


def test_a_folder_that_may_not_be_entered_is_misuse(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", forbidden)  # a real one would not stop root
    with pytest.raises(UsageError, match=r"video\.mp4: this path leads to no video file: Permission denied"):
        decode(tmp_path / "video.mp4")


def test_a_colon_in_a_name_makes_no_protocol(thirty_frames, monkeypatch):
    monkeypatch.chdir(thirty_frames.parent)
    thirty_frames.rename("12:30.mov")
    assert len(decode(Path("12:30.mov"))) == 30


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), [("t.avi", "ffv1", "bgr0"), ("t.mp4", "png", "rgb24")])
def test_a_title_in_latin_1_is_no_obstacle(tmp_path, name, codec, pix_fmt):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "El ni~o"
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(0), format="rgb24")))
        container.mux(stream.encode())
    written = path.read_bytes()
    path.write_bytes(written.replace(b"El ni~o", "El niño".encode("latin-1")))
    assert path.read_bytes() != written
    assert len(decode(path)) == 1


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match=r"empty\.mp4: the file is empty"):
        decode(tmp_path / "empty.mp4")


@pytest.mark.parametrize("name", ["words.mp4", "words.txt"])
def test_a_text_file_is_refused_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_text("these are only words\n" * 100)
    with pytest.raises(VideoError, match=rf"{name}: (this is a text file, )?not a video"):
        decode(tmp_path / name)


def test_a_file_with_sound_only_is_refused(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(VideoError, match=r"sound\.wav: no video stream \(streams found: audio\)"):
        decode(path)


def test_a_file_without_any_picture_is_refused(tmp_path):
    path = tmp_path / "none.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr24"
        container.start_encoding()
    with pytest.raises(VideoError, match=r"none\.avi: .*no pictures"):
        decode(path)


def test_a_file_whose_index_at_the_end_was_cut_off_is_refused(thirty_frames):
    thirty_frames.write_bytes(thirty_frames.read_bytes()[:-200])
    with pytest.raises(VideoError, match=r"thirty\.mov: not a video, or cut short"):
        decode(thirty_frames)


def test_an_mp4_that_lost_its_end_is_not_taken_for_a_shorter_one(tmp_path):
    path = write_video(tmp_path / "cut.mov", 30, options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    with pytest.raises(VideoError, match=r"cut\.mov: (cut short|damaged)"):
        decode(path)


def test_a_matroska_that_lost_its_end_is_not_taken_for_a_shorter_one(tmp_path):
    path = write_video(tmp_path / "cut.mkv", 30, codec="ffv1", pix_fmt="bgr0")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"cut\.mkv: (cut short|damaged)"):
        decode(path)


@pytest.mark.parametrize(
    ("name", "video_codec", "pix_fmt", "audio_codec"),
    [("long.mov", "png", "rgb24", "pcm_s16le"), ("long.wmv", "wmv2", "yuv420p", "wmav2")],
)
def test_sound_that_is_longer_than_the_pictures_is_no_cut(tmp_path, name, video_codec, pix_fmt, audio_codec):
    with av.open(str(tmp_path / name), "w") as container:
        video = container.add_stream(video_codec, rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        audio = container.add_stream(audio_codec, rate=44100, layout="mono")
        audio.bit_rate = 64000
        for index in range(30):
            picture = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode())
        resampler = av.AudioResampler(format=audio.codec_context.format, layout="mono", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 132300), np.int16), format="s16", layout="mono")
        sound.sample_rate, sound.pts = 44100, 0
        for piece in resampler.resample(sound):
            container.mux(audio.encode(piece))
        container.mux(audio.encode())
    assert len(decode(tmp_path / name)) == 30


def test_an_avi_that_lost_its_end_is_not_taken_for_a_shorter_one(tmp_path, media):
    path = tmp_path / "cut.avi"
    path.write_bytes((media / "test.avi").read_bytes()[:200_000])
    with pytest.raises(VideoError, match=r"cut\.avi: cut short: its header counts 164 frames"):
        decode(path)


def test_damage_is_reported_with_the_number_of_frames_before_it(damaged_at_frame_twenty):
    with pytest.raises(VideoError, match=r"damaged\.mov: damaged after 20 decoded frames"):
        decode(damaged_at_frame_twenty)


def test_damage_behind_the_last_wanted_frame_does_not_matter(damaged_at_frame_twenty):
    with open_video(damaged_at_frame_twenty) as video:
        frames = [frame.position for frame in islice(video.frames(), 20)]
    assert frames == list(range(20))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a /proc that lists open files")
@pytest.mark.parametrize("stop_early", [True, False])
def test_the_file_is_closed_afterwards(damaged_at_frame_twenty, stop_early):
    if stop_early:
        with open_video(damaged_at_frame_twenty) as video:
            next(video.frames())
    else:
        with pytest.raises(VideoError):
            decode(damaged_at_frame_twenty)
    opened = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert str(damaged_at_frame_twenty) not in opened


def test_a_file_of_one_frame_is_a_video(tmp_path):
    assert decode(write_video(tmp_path / "one.mov", 1)) == [0]


def test_average_rates_are_exact_fractions(media):
    with open_video(media / "demo.mp4") as video:
        assert video.info.average_rate == Fraction(28)
