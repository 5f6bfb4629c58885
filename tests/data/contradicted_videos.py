"""Videos whose header and content disagree, one of each kind, and what each reading makes of them.

Each holds frames 0, 1, … at 30 a second unless it says otherwise. Expected clips are worked out by hand: of a clip of
32 frames at rate 2, 64 frames at 30 a second, in 10 clips. In a plain copy of 150 frames clip 9 begins at
(150 - 64) * 9 / 10 = 77.4: at frame 78 where windows are made of time, at 77 where no count is stated.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from shutil import copyfile

import av

from tests.data.barcode import HEIGHT, WIDTH, picture, write

KEPT = Path(__file__).parent / "contradicted"

First = tuple[int, int]  # the first and the last frame of a clip


@dataclass(frozen=True)
class Contradicted:
    """How to write a video, its kinds, and the frames of clips 0 and 9: of the content, and as the original has it."""

    write: Callable[[Path], Path]
    kinds: set[str]
    content: tuple[First, First]
    original: tuple[First, First] | str | None  # words of the refusal; None: only a reader that seeks tells


def _patched(path: Path, name: bytes, offset: int, value: bytes) -> Path:
    content = bytearray(path.read_bytes())
    place = content.index(name) + offset
    content[place : place + len(value)] = value
    path.write_bytes(content)
    return path


def _replaced(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


def _two_streams(folder: Path) -> Path:
    parts = [write(folder / f"{name}.ts", 60, first=first) for name, first in (("a", 0), ("b", 60))]
    path = folder / "two.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def _kept(name: str) -> Callable[[Path], Path]:
    return lambda folder: Path(copyfile(KEPT / name, folder / name))


def _after_a_cover(folder: Path) -> Path:
    """Write Matroska whose first track is a single JPEG, a frame at 25 a second."""
    path = folder / "v.mkv"
    with av.open(str(path), "w") as file:
        cover, video = file.add_stream("mjpeg", rate=25), file.add_stream("libx264", rate=30, options={"bf": "0"})
        cover.width, cover.height, cover.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for stream, numbers in ((cover, [COVER]), (video, range(150))):
            for place, number in enumerate(numbers):
                frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
                frame.pts, frame.time_base = place, 1 / Fraction(stream.codec_context.rate)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path


COVER = 4094  # the number in a cover's picture
PLAIN = ((0, 63), (78, 141))
UNCOUNTED = ((0, 63), (77, 140))
_EVERY_24TH = [round(k * 1000 / 24) for k in range(150)]
_SLOWER = [k if k < 50 else 50 + (k - 50) * 3 for k in range(150)]  # 50 frames at 30 a second, then 100 at 10

VIDEOS = {
    # the header's index lists the first fragment, 12 frames; a window takes 64 * 5 s / 12: all there is
    "first fragment": Contradicted(
        lambda folder: write(folder / "v.mp4", container={"movflags": "frag_keyframe"}),
        {"frame count"}, PLAIN, ((0, 63), (0, 63)),
    ),
    "fragments alone": Contradicted(
        lambda folder: write(folder / "v.mp4", container={"movflags": "frag_keyframe+empty_moov"}),
        {"no frame count"}, UNCOUNTED, "states a duration and 0 frames",
    ),
    # every window is 0 … 0: frame 0, and the first one beyond
    "duration of 0": Contradicted(
        lambda folder: _patched(write(folder / "v.mp4"), b"mdhd", 20, bytes(4)),
        {"duration"}, PLAIN, ((0, 1), (0, 1)),
    ),
    # 256 ticks a frame for 512: windows begin at half the time and last half as long. Clip 0 ends at 31.5, clip 9
    # reaches from 38.7 to 70.2, and each takes one frame more
    "half the duration": Contradicted(
        lambda folder: _patched(write(folder / "v.mp4"), b"mdhd", 20, struct.pack(">I", 38400)),
        {"frame count", "duration"}, PLAIN, ((0, 32), (39, 71)),
    ),
    # all windows end before the first frame, which is the one beyond them
    "late": Contradicted(lambda folder: write(folder / "v.mp4", start=150), {"first time stamp"}, PLAIN,
                         ((0, 0), (0, 0))),
    # one second late: the windows hold 0 … 63 less 30, and 77.4 … 140.4 less 30
    "a second late": Contradicted(lambda folder: write(folder / "v.mov", start=30), {"first time stamp"}, PLAIN,
                                  ((0, 34), (48, 111))),
    "late in Matroska": Contradicted(lambda folder: write(folder / "v.mkv", start=50), {"first time stamp"}, UNCOUNTED,
                                     UNCOUNTED),
    # time begins again: (120 - 64) * 9 / 10 = 50.4
    "two streams": Contradicted(_two_streams, {"time goes back", "no frame count"}, ((0, 63), (50, 113)),
                                "states a duration and 0 frames"),
    # 24 a second: 51.2 frames, (150 - 51.2) * 9 / 10 = 88.92; at 1000 a second a clip covers 2133
    "clock rate": Contradicted(
        lambda folder: write(folder / "v.mkv", rate=1000, time_base=Fraction(1, 1000), stamps=_EVERY_24TH),
        {"frame rate"}, ((0, 50), (88, 139)), ((0, 149), (0, 149)),
    ),
    # of two frames with one time stamp the original keeps the later, at 1000 a second
    "doubled stamps": Contradicted(
        lambda folder: write(folder / "v.mkv", rate=1000, time_base=Fraction(1, 1000),
                             stamps=[k // 2 * 66 for k in range(150)]),
        {"repeated time stamps", "frame rate"}, ((0, 64), (76, 140)), ((1, 149), (1, 149)),
    ),
    "cover first": Contradicted(_kept("cover_first.mp4"), {"cover picture first"}, PLAIN,
                                "a cover picture, states no frame rate"),
    # Matroska does not mark the cover: a track of one image, which the original takes for the video
    "cover in Matroska": Contradicted(_kept("cover_first.mkv"), {"cover picture first"}, UNCOUNTED,
                                      "states no frame rate on average"),
    "cover of a frame": Contradicted(_after_a_cover, {"cover picture first"}, UNCOUNTED,
                                     ((COVER, COVER), (COVER, COVER))),
    "no average rate": Contradicted(_kept("no_average_rate.ogv"), {"no frame rate", "no frame count"}, UNCOUNTED,
                                    "states no frame rate on average"),
    "stale tag": Contradicted(
        lambda folder: _replaced(write(folder / "v.mkv"), b"00:00:05.000000000", b"00:00:12.500000000"),
        {"stale length tag"}, UNCOUNTED, UNCOUNTED,
    ),
    # 140 frames are left of 150, 4.666 s: (140 - 64) * 9 / 10 = 68.4, the first one being 10
    "edit list": Contradicted(lambda folder: write(folder / "v.mp4", start=-10), {"edit list"}, ((10, 73), (79, 142)),
                              ((10, 69), (83, 142))),
    # … and of these 140 the first 3 s, 90 frames: (90 - 64) * 9 / 10 = 23.4 frames after frame 10
    "edit list at both ends": Contradicted(
        lambda folder: _patched(write(folder / "v.mp4", start=-10), b"elst", 12, struct.pack(">I", 3000)),
        {"edit list"}, ((10, 73), (34, 97)), None,
    ),
    # 12.87 a second on average: a clip covers 2.1 s, 27.5 frames; 0 … 2.06 s, and 9 / 10 of the rest on, 8.5 … 10.5 s
    "uneven": Contradicted(lambda folder: write(folder / "v.mkv", stamps=_SLOWER), {"uneven time stamps", "frame rate"},
                           ((0, 53), (118, 139)), UNCOUNTED),
    "raw": Contradicted(lambda folder: write(folder / "v.h264"), {"no time stamps"}, UNCOUNTED, "no time stamp"),
}  # fmt: skip


def turned(folder: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a video of 30 frames whose track is to be shown through a matrix (a, b, c, d)."""
    a, b, c, d = (value << 16 for value in matrix)
    path = write(folder / "turned.mp4", 30)
    return _patched(path, b"tkhd", 44, struct.pack(">9i", a, b, 0, c, d, 0, WIDTH << 16, HEIGHT << 16, 1 << 30))
