"""Broken and odd videos, made on the spot, each with what it does to whoever decodes it.

`make(folder)` writes all kinds and says where each lies; `KINDS` says what is expected of each:

- "fine": it looks unusual, and decodes as any other;
- "odd": it decodes, but a check of the data should remark on it, in words that hold `says`;
- "fails": decoding ends with an error whose message holds `says`. Damage lies in front of the end of the last clip of
  two: what comes after the last clip is never decoded.

If `deep`, nobody notices who does not decode all of it.

Each has (or should have had) `FRAMES` frames of 96 x 64 pixels at 30 a second.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import av
import numpy as np
from PIL import Image

from tests.data.small_videos import FRAMES, HEIGHT, WIDTH, moving, small_video

Writer: TypeAlias = Callable[[Path], Path]


@dataclass(frozen=True)
class Kind:
    """How to write one kind of video, and what is expected of it."""

    write: Writer
    expected: Literal["fine", "odd", "fails"]
    says: str = ""
    deep: bool = False


KINDS: dict[str, Kind] = {}


def make(folder: Path) -> dict[str, Path]:
    """Write a video of each kind into a folder, and return where each lies (or, of one kind, does not)."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: kind.write(folder) for name, kind in KINDS.items()}


def kind(
    expected: Literal["fine", "odd", "fails"], says: str = "", *, deep: bool = False
) -> Callable[[Writer], Writer]:
    """Enter a writer among the kinds, under its own name."""

    def enter(write: Writer) -> Writer:
        KINDS[write.__name__] = Kind(write, expected, says, deep)
        return write

    return enter


# --- nothing there, or something else --------------------------------------------------------------------------------


@kind("fails", "no such video file")
def missing(folder: Path) -> Path:
    """A path where nothing is."""
    return folder / "missing.mp4"


@kind("fails", "no such video file")
def dangling_link(folder: Path) -> Path:
    """A symbolic link that leads nowhere, as after a disk was moved."""
    path = folder / "dangling.mp4"
    path.symlink_to(folder / "moved away.mp4")
    return path


@kind("fails", "this is a folder")
def folder_in_its_place(folder: Path) -> Path:
    """A folder with the name of a video, as some tools leave when they unpack."""
    path = folder / "folder.mp4"
    path.mkdir()
    return path


@kind("fails", "empty (0 bytes)")
def empty(folder: Path) -> Path:
    """A file of no bytes, as a full disk leaves it."""
    return _written(folder / "empty.mp4", b"")


@kind("fails", "this is a pipe or a device")
def pipe(folder: Path) -> Path:
    """A named pipe that nobody writes to: whoever opens it waits for ever."""
    path = folder / "pipe.mp4"
    os.mkfifo(path)
    return path


@kind("fine" if os.geteuid() == 0 else "fails", "" if os.geteuid() == 0 else "Permission denied")
def without_permission(folder: Path) -> Path:
    """A good video that may not be read; root may read it, so for root it is fine."""
    path = small_video(folder / "secret.mp4")
    path.chmod(0)
    return path


@kind("fails", "not a video")
def text(folder: Path) -> Path:
    """Words; FFmpeg would draw them."""
    return _written(folder / "text.mp4", b"Video unavailable. This video is private.\n" * 40)


@kind("fails", "not a video")
def web_page(folder: Path) -> Path:
    """A page saved under the name of the video that it should have led to."""
    return _written(
        folder / "page.mp4", b"<!DOCTYPE html><html><body>" + b"<p>404 Not Found</p>" * 60 + b"</body></html>"
    )


@kind("fails", "not a video")
def random_bytes(folder: Path) -> Path:
    """100,000 bytes without a meaning."""
    return _written(folder / "random.mp4", np.random.default_rng(0).bytes(100_000))


@kind("odd", "shorter than one clip")
def image(folder: Path) -> Path:
    """A still picture under the name of a video: FFmpeg takes it for a video of one frame."""
    path = folder / "image.mp4"
    Image.fromarray(moving(0, WIDTH, HEIGHT)).save(path, format="png")
    return path


@kind("fails", "no video stream")
def sound_only(folder: Path) -> Path:
    """A second of silence."""
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# --- damaged ---------------------------------------------------------------------------------------------------------


@kind("fails", "not a video, or cut short")
def cut_before_its_index(folder: Path) -> Path:
    """An mp4 that lost its end, where mp4 keeps the table of its frames: the most frequent half download."""
    whole = small_video(folder / "index.mp4").read_bytes()
    return _written(folder / "index.mp4", whole[: len(whole) * 8 // 10])


@kind("fails", "damaged after")
def cut_in_the_middle(folder: Path) -> Path:
    """An mp4 that begins with its table, and lost half of its frames: the header is in order."""
    whole = small_video(folder / "half.mp4", movflags="faststart").read_bytes()
    return _written(folder / "half.mp4", whole[: len(whole) // 2])


@kind("fails", "damaged after 16", deep=True)
def lost_frame(folder: Path) -> Path:
    """All bits of frame 16 are flipped, lengths within it too; a bad disk."""
    return flipped(small_video(folder / "lost.mp4"), frame=16, size=None)


@kind("odd", "covered up", deep=True)
def flipped_bytes(folder: Path) -> Path:
    """The bits of 8 bytes within frame 16 are flipped; the decoder covers it up, and four frames look wrong."""
    return flipped(small_video(folder / "flipped.mp4"), frame=16, size=8)


@kind("fails", "cut short")
def cut_avi(folder: Path) -> Path:
    """An AVI that lost half of its frames and the index behind them; its header still counts all."""
    whole = small_video(folder / "cut.avi", codec="mjpeg", pix_fmt="yuvj420p").read_bytes()
    return _written(folder / "cut.avi", whole[: len(whole) // 2])


@kind("fails", "states no frame rate")
def without_pictures(folder: Path) -> Path:
    """An mp4 of no duration: it announces a video, and holds none."""
    return small_video(folder / "nothing.mp4", movflags="empty_moov+frag_keyframe", count=0)


@kind("fails", "states no frame rate")
def without_frame_rate(folder: Path) -> Path:
    """A transport stream of one frame: there is no second one to measure the rate by."""
    return small_video(folder / "rate.ts", count=1)


@kind("fails", "no time stamp")
def bare_stream(folder: Path) -> Path:
    """H.264 without a container: nothing says when a frame is to be shown."""
    return small_video(folder / "bare.h264")


@kind("fails", "damaged after 0")
def huge_header(folder: Path) -> Path:
    """An AVI of raw pictures whose header claims 60,000 x 60,000 pixels, 5 GB a frame."""
    content = bytearray(small_video(folder / "huge.avi", codec="rawvideo").read_bytes())
    place = content.index(b"strf") + 12  # behind the name, the length, and the structure's own length
    content[place : place + 8] = struct.pack("<ii", 60_000, 60_000)
    return _written(folder / "huge.avi", bytes(content))


@kind("fails", "a duration and 0 frames")
def transport_stream(folder: Path) -> Path:
    """A broadcast: time stamps tell its length, and nothing its frames, by whose number the original divides."""
    return small_video(folder / "broadcast.ts")


@kind("fails", "changes", deep=True)
def changing_size(folder: Path) -> Path:
    """A recording whose pictures become larger half-way, as broadcasts do."""
    path = folder / "changing.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        container.start_encoding()
        for number in range(FRAMES):
            width, height = (WIDTH, HEIGHT) if number < FRAMES // 2 else (128, 96)
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
            encoder.time_base = Fraction(1, 30)
            (packet,) = encoder.encode(av.VideoFrame.from_ndarray(moving(number, width, height), format="rgb24"))
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.duration = Fraction(1, 30), stream, 1
            container.mux(packet)
    return path


# --- odd -------------------------------------------------------------------------------------------------------------


@kind("odd", "shorter than one clip")
def one_frame(folder: Path) -> Path:
    """A video of a single frame: each clip shows it and nothing else."""
    return small_video(folder / "one.mp4", count=1)


@kind("odd", "varying distances")
def uneven_frame_rate(folder: Path) -> Path:
    """Frames at distances of 1, 1 and 3, as telephones and screen recorders write them."""
    return small_video(folder / "uneven.mp4", distances=(1, 1, 3))


@kind("odd", "rotation tag")
def rotated(folder: Path) -> Path:
    """A quarter turn is noted in the header; players apply it, the original's decoder did not."""
    content = bytearray(small_video(folder / "rotated.mp4").read_bytes())
    place = content.index(b"tkhd") + 44  # the matrix of the track's header, in 16.16 and 2.30 bits
    content[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, HEIGHT << 16, 0, 1 << 30)
    return _written(folder / "rotated.mp4", bytes(content))


# --- fine ------------------------------------------------------------------------------------------------------------


@kind("fine")
def wrong_extension(folder: Path) -> Path:
    """Matroska under the name of an AVI: content decides."""
    return small_video(folder / "wrong.mkv").rename(folder / "wrong.avi")


@kind("fine")
def matroska(folder: Path) -> Path:
    """Matroska counts no frames, and states no length for a stream."""
    return small_video(folder / "fine.mkv")


@kind("fine")
def full_colour(folder: Path) -> Path:
    """Colour in full resolution, 4:4:4."""
    return small_video(folder / "colour.mp4", pix_fmt="yuv444p")


@kind("fine")
def ten_bits(folder: Path) -> Path:
    """Ten bits a sample."""
    return small_video(folder / "ten.mkv", codec="ffv1", pix_fmt="yuv420p10le")


@kind("fine")
def portrait(folder: Path) -> Path:
    """Higher than wide."""
    return small_video(folder / "portrait.mp4", width=HEIGHT, height=WIDTH)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def flipped(path: Path, *, frame: int, size: int | None) -> Path:
    """Flip all bits of `size` bytes in the middle of a frame, None: of all its bytes."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][frame]
    assert packet.pos is not None
    first = packet.pos + (packet.size // 2 if size else 0)
    last = first + (size or packet.size)
    content = path.read_bytes()
    return _written(path, content[:first] + bytes(255 - byte for byte in content[first:last]) + content[last:])
