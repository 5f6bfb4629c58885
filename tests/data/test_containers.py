"""Content alone chooses how a file is read, and no file makes FFmpeg open another one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.sample_videos import write_video
from videohub.data.containers import DEMUXERS, open_container
from videohub.data.video import open_video
from videohub.errors import UsageError, VideoError


def count(path: Path) -> int:
    with open_video(path) as video:
        return len(list(video.frames()))


SCRIPTS = {
    "a list for FFmpeg's concat": "ffconcat version 1.0\nfile '{other}'\n",
    "a play list": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
    "a session description": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "a DASH manifest": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">{other}</MPD>',
    "metadata as FFmpeg writes them": ";FFMETADATA1\ntitle={other}\n",
    "words": "these are only words\n",
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", ["video.mp4", "video.ffconcat", "video.m3u8", "video.sdp", "video.txt", "video.mpd"])
def test_a_text_is_no_video_whatever_its_name_and_what_it_names_is_not_opened(tmp_path, script, name):
    os.mkfifo(tmp_path / "other.mp4")  # whoever opened it would wait for ever
    (tmp_path / name).write_text(SCRIPTS[script].format(other=tmp_path / "other.mp4"))
    with pytest.raises(VideoError, match=f"{name}: this is a text file, not a video"):
        count(tmp_path / name)


def test_a_list_of_sound_videos_is_not_read_from_them(thirty_frames, tmp_path):
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {thirty_frames.name}\n")
    with pytest.raises(VideoError, match=r"list\.mp4: this is a text file, not a video"):
        count(tmp_path / "list.mp4")


@pytest.mark.parametrize("name", ["frame%03d.png", "frame*.jpg", "frame.yuv", "frame.txt", "frame"])
def test_a_video_is_read_for_what_it_holds_whatever_its_name(thirty_frames, name):
    assert count(thirty_frames.rename(thirty_frames.parent / name)) == 30


def test_a_link_to_a_video_is_one(thirty_frames, tmp_path):
    (tmp_path / "link.mp4").symlink_to(thirty_frames)
    assert count(tmp_path / "link.mp4") == 30


def test_a_link_to_a_pipe_or_a_device_is_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, target in (("a.mp4", tmp_path / "pipe"), ("b.mp4", Path("/dev/zero"))):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(UsageError, match="this is a pipe or a device"):
            count(tmp_path / name)


def test_a_format_that_nobody_keeps_videos_in_is_refused_by_name_of_those_that_are_read(tmp_path):
    path = write_video(tmp_path / "game.roq", 4, codec="roqvideo", pix_fmt="yuvj444p")
    with pytest.raises(VideoError, match=r"game\.roq: .*in no format that is read here \(MP4, MOV, .*convert it"):
        count(path)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("v.mp4", "mpeg4", "yuv420p"), ("v.mov", "png", "rgb24"), ("v.mkv", "ffv1", "bgr0"),
        ("v.avi", "mjpeg", "yuvj420p"),
        ("v.webm", "libvpx", "yuv420p"), ("v.ts", "mpeg2video", "yuv420p"), ("v.mpg", "mpeg1video", "yuv420p"),
        ("v.flv", "flv", "yuv420p"), ("v.wmv", "wmv2", "yuv420p"), ("v.asf", "msmpeg4", "yuv420p"),
        ("v.3gp", "mpeg4", "yuv420p"), ("v.m4v", "mpeg4", "yuv420p"), ("v.vob", "mpeg2video", "yuv420p"),
        ("v.m2ts", "mpeg2video", "yuv420p"), ("v.gif", "gif", "rgb8"),
        ("v.nut", "ffv1", "bgr0"), ("v.mxf", "mpeg2video", "yuv420p"), ("v.apng", "apng", "rgb24"),
        ("v.y4m", "wrapped_avframe", "yuv420p"),
    ],
)  # fmt: skip
def test_what_data_sets_and_cameras_write_is_read(tmp_path, name, codec, pix_fmt):
    path = write_video(tmp_path / name, 12, codec=codec, pix_fmt=pix_fmt, rate=25)
    assert count(path.rename(tmp_path / "anything")) == 12


class Sent:
    """A file that FFmpeg is sent to an impossible place of, as by a damaged index, when it asks for a certain one."""

    def __init__(self, file, place):
        self.file, self.place = file, place
        self.read, self.tell, self.sent = file.read, file.tell, 0

    def seek(self, offset, whence):
        if offset == self.place:
            self.sent += 1
            return self.file.seek(-1)
        return self.file.seek(offset, whence)


def test_a_place_that_cannot_be_is_ffmpegs_to_mind(thirty_frames):
    """It measures a file by going to its last byte, -1 from the end, and can do without; Python raises an exception."""
    with thirty_frames.open("rb") as file:
        sent = Sent(file, -1)
        with open_container(sent, thirty_frames) as container:
            assert len(list(container.decode(video=0))) == 30
        assert sent.sent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_ffmpeg_asks_for_bytes_is_not_lost(thirty_frames, number):
    """PyAV drops what is raised there: the rest of the run would go on, or the video count as damaged."""

    class Asked:
        def __init__(self, file, at):
            self.file, self.at, self.calls, self.tell = file, at, 0, file.tell

        def called(self):
            self.calls += 1
            if self.calls == self.at:
                os.kill(os.getpid(), number)

        def read(self, size):
            self.called()
            return self.file.read(size)

        def seek(self, offset, whence):
            self.called()
            return self.file.seek(offset, whence)

    def decoded(at):
        with thirty_frames.open("rb") as opened:
            asked = Asked(opened, at)
            with open_container(asked, thirty_frames) as container:
                assert len(list(container.decode(video=0))) == 30
        return asked.calls

    class Stopped(BaseException):
        pass

    def stop(*_):
        raise Stopped

    before = signal.signal(number, stop)
    try:
        calls = decoded(1000)
        assert calls > 5
        for at in range(1, calls + 1):
            with pytest.raises(Stopped):
                decoded(at)
            assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)


def test_a_disk_that_fails_is_told_as_that(thirty_frames):
    class Failing(Sent):
        def __init__(self, file, place):
            super().__init__(file, place)
            self.read = self.fail

        def fail(self, size):
            if self.tell() >= 1000:
                raise OSError(5, "Input/output error")
            return self.file.read(min(size, 1000))

    expected = pytest.raises(VideoError, match=r"mov: cannot be read: Input/output error")
    with thirty_frames.open("rb") as file, expected, open_container(Failing(file, None), thirty_frames):
        pass


@pytest.mark.parametrize(("listens", "lines_printed"), [("", 1), ("import logging; logging.basicConfig()", 2)])
def test_what_ffmpeg_says_of_a_file_is_printed_only_where_somebody_listens(thirty_frames, listens, lines_printed):
    data = thirty_frames.read_bytes()
    thirty_frames.write_bytes(data[: len(data) // 2])  # the index, at its end, is gone
    script = f"""
import av, sys
from pathlib import Path
{listens}
av.logging.set_level(av.logging.ERROR)  # as importing torchvision 0.21 does
from videohub.data.video import open_video
from videohub.errors import VideoError
try:
    with open_video(Path({str(thirty_frames)!r})):
        pass
except VideoError as error:
    print(error, file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = ran.stderr.splitlines()
    assert len(lines) == lines_printed, lines
    assert "thirty.mov: not a video, or cut short" in lines[-1]


def test_no_container_that_is_read_can_name_another_file(tmp_path):
    """Of FFmpeg's demuxers these open what a file names, or run it as a script."""
    assert not {"concat", "hls", "dash", "sdp", "rtsp", "rtp", "image2", "image2pipe", "tty", "lavfi", "imf", "vobsub",
                "webm_dash_manifest", "ffmetadata", "avisynth", "vapoursynth", "svg_pipe"} & set(DEMUXERS)  # fmt: skip


def test_ffmpeg_may_open_nothing_itself(thirty_frames, monkeypatch):
    """Even where it may choose any format: the second lock behind the first."""
    from videohub.data import containers

    listing = thirty_frames.parent / "list.mp4"
    listing.write_text(f"ffconcat version 1.0\nfile {thirty_frames.name}\n")
    monkeypatch.delitem(containers._NOTHING_ELSE, "format_whitelist")
    with listing.open("rb") as file, pytest.raises(VideoError), open_container(file, listing) as container:
        list(container.decode(video=0))
