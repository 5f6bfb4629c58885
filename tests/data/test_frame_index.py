"""Frames told by their packets: the same as by decoding all, fewer decoded, and which files are not trusted."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import av
import numpy as np
import pytest

from tests.data.sample_videos import protocol
from tests.data.test_middle_view import MIDDLES, with_rule
from tests.data.test_single_clip import encoded
from videohub.data import clips
from videohub.data.decoded import Decoded, decode_content
from videohub.data.frame_index import FrameIndex
from videohub.data.samples import VideoFile
from videohub.data.video import DecodedFrame, Video, open_video
from videohub.data.video_info import StampReader
from videohub.errors import VideoError
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

COUNT, CLIP = 120, Clip(frames=4, sampling_rate=2)
H264 = {"g": "12", "bf": "3", "x264-params": "scenecut=0:threads=1"}
VP8 = {"g": "12", "deadline": "realtime", "cpu-used": "8"}
CODECS = {
    "b_frames.mkv": ("libx264", H264),
    "open_gop.mkv": ("libx264", {**H264, "x264-params": "scenecut=0:open-gop=1:threads=1"}),
    "refreshed.mkv": ("libx264", {"g": "24", "bf": "0", "x264-params": "intra-refresh=1:threads=1"}),
    "one_key_frame.mkv": ("libx264", {**H264, "g": "250"}),
    "b_frames.ts": ("libx264", H264),
    "b_frames.flv": ("libx264", H264),
    "open_gop.ts": ("mpeg2video", {"g": "12", "bf": "2"}),
    "layers.mkv": ("libx265", {"g": "12", "x265-params": "bframes=3:open-gop=1:log-level=none:pools=none"}),
    "vp8.webm": ("libvpx", VP8),
    "vp9.webm": ("libvpx-vp9", {**VP8, "auto-alt-ref": "1", "lag-in-frames": "10"}),
    "av1.webm": ("libsvtav1", {"g": "12", "preset": "12"}),
}
TICKS = {
    "even": list(range(COUNT)),
    "late": list(range(50, 50 + COUNT)),
    "uneven": [3 * (number // 2) + number % 2 for number in range(COUNT)],
}
PROPORTIONAL = protocol(clips=4)


def read(path: Path, rule: Protocol, number: int | None) -> Decoded | str:
    """Return the frames, or the words of the refusal."""
    try:
        return decode_content(VideoFile(path), rule, CLIP, number=number)
    except VideoError as error:
        return str(error)


def all_decoded(path: Path, rule: Protocol, number: int | None) -> Decoded | str:
    """Return the same by decoding all frames to count them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameIndex, "is_complete", lambda *_: False)
        return read(path, rule, number)


def same(one: Decoded | str, other: Decoded | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(Decoded)]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


def readings(rule: Protocol) -> Iterator[tuple[Protocol, int | None]]:
    """Yield what is asked for: the clip in the middle, all clips, the first one."""
    yield from (rule.middle_view(), (rule, None), (rule, 0))


def is_trusted(path: Path) -> bool:
    with open_video(path) as video:
        index = FrameIndex(video)
        return index.is_complete(video.stamps(index.take))


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """The time stamps of all pictures that come out of a decoder."""
    stamps: list[int] = []
    show = StampReader.show
    monkeypatch.setattr(StampReader, "show", lambda reader, pts: (stamps.append(pts), show(reader, pts))[1])
    return stamps


@pytest.mark.parametrize("ticks", TICKS)
@pytest.mark.parametrize("name", CODECS)
def test_frames_told_by_packets_are_those_that_decoding_all_finds(tmp_path, name, ticks):
    path = encoded(tmp_path / name, *CODECS[name], TICKS[ticks])
    assert is_trusted(path)
    for rule, number in readings(PROPORTIONAL):
        assert same(read(path, rule, number), all_decoded(path, rule, number))


@pytest.mark.parametrize("name", ["b_frames.mkv", "b_frames.mp4"])
@pytest.mark.parametrize("frames", [rule for rule, _ in MIDDLES], ids=lambda rule: rule.name)
def test_every_rule_finds_the_same_frames_either_way(tmp_path, name, frames):
    path = encoded(tmp_path / name, "libx264", H264, TICKS["even"])
    for rule, number in readings(with_rule(frames, clips=4)):
        assert same(read(path, rule, number), all_decoded(path, rule, number))


@pytest.mark.parametrize("name", ["b_frames.mkv", "b_frames.ts", "b_frames.flv", "vp9.webm"])
@pytest.mark.parametrize("part", [0.5, 0.8, 0.97])
def test_a_file_without_its_end_is_read_or_refused_as_where_all_is_decoded(tmp_path, name, part):
    path = encoded(tmp_path / name, *CODECS[name], TICKS["even"])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    for rule, number in readings(PROPORTIONAL):
        assert same(read(path, rule, number), all_decoded(path, rule, number))


def test_a_file_without_its_beginning_is_not_trusted(tmp_path):
    path = encoded(tmp_path / "b_frames.ts", "libx264", H264, TICKS["even"])
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 5 // 188 * 188 :])  # packets of a transport stream are 188 bytes
    assert not is_trusted(path)


def remuxed(source: Path, target: Path, changed: dict[int, bytes]) -> Path:
    """Copy a video with other bytes in some packets."""
    with av.open(str(source)) as given, av.open(str(target), "w") as file:
        stream = file.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(given.streams.video[0])):
            if packet.dts is not None:
                copy = av.Packet(changed.get(number, bytes(packet)))
                copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, stream
                copy.is_keyframe = packet.is_keyframe
                file.mux(copy)
    return target


def test_pictures_of_vp8_that_are_never_shown_are_not_counted(tmp_path):
    """A bit of a packet's first byte tells; a picture is hidden that lies behind the clip, where nothing is decoded."""
    source = encoded(tmp_path / "vp8.webm", "libvpx", VP8, TICKS["even"])
    with av.open(str(source)) as container:
        hidden = bytes(next(packet for number, packet in enumerate(container.demux()) if number == 110))
    path = remuxed(source, tmp_path / "hidden.webm", {110: bytes([hidden[0] & ~0b10000]) + hidden[1:]})
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == COUNT - 1
    assert is_trusted(source)
    assert not is_trusted(path)


@pytest.mark.parametrize("number", [48, 54])  # a key frame, and one that no other refers to
def test_where_other_pictures_come_than_were_announced_all_are_decoded(tmp_path, monkeypatch, number):
    path = encoded(tmp_path / "b_frames.mkv", "libx264", H264, TICKS["even"])
    expected = all_decoded(path, *PROPORTIONAL.middle_view())
    complete = FrameIndex.is_complete

    def false(index: FrameIndex, stamps: object) -> bool:
        known = complete(index, stamps)
        index.times.insert(number, index.times[number] + 1)
        return known

    monkeypatch.setattr(FrameIndex, "is_complete", false)
    assert same(read(path, *PROPORTIONAL.middle_view()), expected)


@pytest.mark.parametrize("name", ["b_frames.mkv", "b_frames.ts", "vp9.webm", "b_frames.mp4"])
@pytest.mark.parametrize("frames", ["proportional", "spread"])
def test_no_more_is_decoded_than_from_a_key_frame_to_the_clip(tmp_path, decoded, name, frames):
    codec = CODECS.get(name, ("libx264", H264))
    path = encoded(tmp_path / name, *codec, list(range(600)))
    read(path, *protocol(clips=4, sampling=frames).middle_view())
    windows = 32 * (name == "b_frames.mp4" and frames == "proportional")  # which are entered so many ahead
    ending = 12 * name.endswith(".ts")  # whose last frames are decoded to see whether they are whole
    assert 4 <= len(decoded) <= 12 + 8 + 12 + windows + ending  # to a key frame, a clip, and what comes out late


@pytest.fixture
def held(monkeypatch) -> list[tuple[int, int]]:
    """How many decoded frames are held, and their bytes, each time that another one comes."""
    alive: weakref.WeakSet[DecodedFrame] = weakref.WeakSet()
    noted: list[tuple[int, int]] = []

    def watch(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments):
            for frame in original(*arguments):
                alive.add(frame)
                noted.append((len(alive), sum(each.nbytes for each in alive)))
                yield frame

        monkeypatch.setattr(owner, name, watched)

    watch(Video, "frames")
    watch(FrameIndex, "frames")
    watch(Video, "numbered_frames")
    return noted


@pytest.mark.parametrize("name", ["b_frames.mkv", "vp9.webm", "b_frames.mp4"])
def test_a_clip_is_all_that_is_held(tmp_path, held, name):
    path = encoded(tmp_path / name, *CODECS.get(name, ("libx264", H264)), list(range(600)))
    result = read(path, *protocol(clips=4, sampling="spread").middle_view())
    assert result.decode_positions.tolist() == [[296, 298, 300, 302]]  # (600 - 7) // 2
    assert 4 <= max(held)[0] <= 6  # its four, one on its way, one before it


def test_of_a_video_that_must_be_counted_no_more_is_held_than_was_agreed(tmp_path, held, monkeypatch):
    """A raw stream has no stamps."""
    path = encoded(tmp_path / "raw.h264", "libx264", H264, list(range(300)))
    expected = read(path, *PROPORTIONAL.middle_view())
    assert max(held)[0] >= 300
    held.clear()
    monkeypatch.setattr(clips, "CONTENT_HELD_BYTES", 100_000)
    assert same(read(path, *PROPORTIONAL.middle_view()), expected)
    most, most_bytes = max(held)
    assert 4 <= most <= 30
    assert most_bytes <= 100_000 + 2 * most_bytes / most  # one on its way, and one more
