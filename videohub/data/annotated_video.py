"""A copy of a video with something drawn over its frames: same size, same times, same sound.

What is drawn is boxes with names, and lines of words on a bar, as large as the picture asks for.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from videohub.data.decoded_images import UPRIGHT, Frame, check_size, orientation
from videohub.data.samples import ShardMember, StoredFile
from videohub.data.video import Video, open_video
from videohub.data.video_info import FrameClock
from videohub.errors import DeviceError, UsageError
from videohub.escaping import visible
from videohub.files import atomic_write, check_parent_exists, remove_abandoned, temps_beside
from videohub.log import log

Canvas: TypeAlias = ImageDraw.ImageDraw
Colour: TypeAlias = tuple[int, int, int]
Draw: TypeAlias = Callable[[Canvas, float], object]  # on a picture, at its time in seconds
Progress: TypeAlias = Callable[[int], object]  # is told how many frames have been written since it was told last

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}

_ENCODERS = ("libx264", "h264")  # the second name stands for whichever this FFmpeg has
_X264 = {"crf": "18", "preset": "veryfast"}  # hardly to be told from the original
_BITS_A_PIXEL = 0.2  # for encoders that know no such quality
_USUAL_RATE = Fraction(25)  # frames a second, where nothing tells it; only the encoder's planning depends on it
_BT_709, _LIMITED = 1, 1  # as H.264 numbers them

# Told apart by most people who see colours otherwise, too. Source: Okabe and Ito, Color Universal Design, 2008.
COLOURS: tuple[Colour, ...] = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167))

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_BAR = (0, 0, 0, 150)  # half transparent
_DENSE = 225  # nearly not: black letters on a colour, over whatever the picture shows
_SMALLEST = 11  # pixels of a letter that can be read
_SHARE = 26  # of the short side that a line is high
_DOTS = "..."


def annotate_video(path: StoredFile, out: str | Path, draw: Draw, *, progress: Progress = lambda frames: None) -> None:
    """Write a copy of a video, in H.264, in which `draw` has drawn over every frame.

    The content of the source counts: pictures that are stored turned or mirrored are upright, and each frame is shown
    when it was, counted from the first one (see `FrameClock`). Sound is copied as it is, not encoded anew; what the
    container has no place for is left out, and one line says so. So are subtitles and cover pictures. A side of an odd
    number of pixels gets one more, a copy of its last, for 4:2:0 takes pixels by twos. One pass; one picture is in
    memory.

    Args:
        out: The file to write, whole or not at all: .mp4, .mov or .mkv.
        draw: Is called with what draws on the picture (`drawn_on`) and with the time of the frame in seconds
            from the first one.
        progress: Is called with the number of frames that were written since it was called last.
    Raises: UsageError if `out` is of another kind, in no folder, or the source itself; VideoError as `Video.pictures`,
        or if the picture changes its size; DeviceError if this FFmpeg cannot write H.264.
    """
    out = checked_target(out)
    check_is_another(out, path)
    with open_video(path) as video:
        stamps = video.stamps()
    with open_video(path) as video, _written(out) as container:
        clock, sound = FrameClock(video.info, stamps), _Sound(video)
        writer: _Writer | None = None
        turned, to_rgb, last = UPRIGHT, VideoReformatter(), -1
        for picture in video.pictures(sound.streams, sound.take):
            seconds = clock.seconds(picture.pts)
            if writer is None:
                turned = orientation(picture)  # of all, as whoever looks at the video takes it
            frame = Frame(picture, to_rgb, path, turned)
            if writer is None:
                writer = _Writer(container, frame.size, clock.rate or _USUAL_RATE, video.info.time_base, out)
                writer.keep_tags(video.stream, turned=turned.transposed)
                sound.begin(container, out, clock.first * video.info.time_base)
                container.start_encoding()
            check_size(frame, writer.size, path)
            last = max(round(seconds / video.info.time_base), last + 1)  # no container takes one time twice
            canvas = Image.fromarray(np.ascontiguousarray(frame.rgb()))
            draw(drawn_on(canvas), seconds)
            writer.write(np.asarray(canvas), last)
            sound.write(container)
            progress(1)
        if writer is not None:  # else an error has told why
            writer.close()
            sound.write(container)
            sound.tell()


def checked_target(out: str | Path) -> Path:
    """Return the path to write to. Raises: UsageError before anything is done."""
    path = Path(out)
    if path.suffix.lower() not in CONTAINERS:
        raise UsageError(f"{path}: found the ending {path.suffix!r}, expected one of {', '.join(CONTAINERS)}")
    check_parent_exists(path)
    return path


def check_is_another(out: Path, source: StoredFile) -> None:
    """Refuse to write over the video that is read. Raises: UsageError."""
    if not isinstance(source, ShardMember) and out.exists() and source.exists() and out.samefile(source):
        raise UsageError(f"{out}: this is the video to read; give the copy another name")


@contextmanager
def _written(out: Path) -> Iterator[OutputContainer]:
    """Yield a container that becomes the file `out` when the block ends well."""
    remove_abandoned(temps_beside(out))
    with atomic_write(out) as part:
        try:
            # a file, not its name: FFmpeg would take some names for patterns or addresses
            with part.open("wb") as file, av.open(file, "w", format=CONTAINERS[out.suffix.lower()]) as container:
                yield container
        except av.FFmpegError as error:  # what is wrong with the source is a VideoError already
            raise DeviceError(f"{out}: this FFmpeg could not write it: {error.strerror}") from error


class _Writer:
    """Encodes pictures of one size."""

    def __init__(
        self, container: OutputContainer, size: tuple[int, int], rate: Fraction, time_base: Fraction, out: Path
    ) -> None:
        height, width = self.size = size
        self._container, self._time_base = container, time_base
        self._odd = (height % 2, width % 2)
        name = _encoder(out)
        self._stream: Any = container.add_stream(name, rate=rate, options=_X264 if name == "libx264" else {})
        codec: Any = self._stream.codec_context
        codec.height, codec.width = height + self._odd[0], width + self._odd[1]
        codec.pix_fmt = "yuv420p"
        codec.time_base = self._stream.time_base = time_base
        codec.colorspace, codec.color_range = _BT_709, _LIMITED
        if name != "libx264":
            codec.bit_rate = int(_BITS_A_PIXEL * height * width * rate)
        self._to_planes: Any = VideoReformatter()

    def keep_tags(self, source: VideoStream, *, turned: bool) -> None:
        """Say of the copy what the source says of its colours and of the shape of its pixels."""
        codec, original = self._stream.codec_context, source.codec_context
        codec.color_primaries, codec.color_trc = original.color_primaries, original.color_trc
        if aspect := source.sample_aspect_ratio:
            codec.sample_aspect_ratio = 1 / aspect if turned else aspect

    def write(self, pixels: npt.NDArray[np.uint8], ticks: int) -> None:
        """Encode one picture."""
        if any(self._odd):
            pixels = np.pad(pixels, ((0, self._odd[0]), (0, self._odd[1]), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        planes = self._to_planes.reformat(rgb, format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        planes.colorspace, planes.color_range = _BT_709, _LIMITED
        planes.pts, planes.time_base = ticks, self._time_base
        self._container.mux(self._stream.encode(planes))

    def close(self) -> None:
        """Encode what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


def _encoder(out: Path) -> str:
    """Return the name of an H.264 encoder. Raises: DeviceError if there is none."""
    for name in _ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return name
    raise DeviceError(
        f"{out}: this FFmpeg has no encoder for H.264, expected one; `pip install av` brings an FFmpeg that has"
    )


class _Sound:
    """The sound of a video on its way into a copy: packets as they are, on the copy's clock."""

    def __init__(self, video: Video) -> None:
        self.streams = [stream for stream in video.container.streams.audio if stream.codec_context is not None]
        self._path = video.path
        self._from = Fraction(0)  # time of the source at which the copy begins, in seconds
        self._waiting: list[av.Packet[Any]] = []
        self._copies: dict[int, Any] = {}  # stream of the copy by the number of the source's
        self._reached: dict[int, int] = {}  # decoding stamp of the last packet, likewise
        self._backward = 0
        if unknown := len(video.container.streams.audio) - len(self.streams):
            log.warning("%s: %d streams of its sound are of a kind that this FFmpeg does not know, and are left out",
                        video.path, unknown)  # fmt: skip

    def begin(self, container: OutputContainer, out: Path, seconds: Fraction) -> None:
        """Make a place for each stream of sound in a copy that begins at this time, or say that there is none."""
        self._from = seconds
        for stream in self.streams:
            try:
                self._copies[stream.index] = container.add_stream_from_template(stream)
            except ValueError:
                kind = out.suffix.lower()
                advice = "" if kind == ".mkv" else "; one whose name ends in .mkv takes most kinds"
                log.warning("%s: its sound (%s) has no place in a file %s and is left out%s", self._path,
                            stream.codec_context.name, kind, advice)  # fmt: skip

    def take(self, packet: av.Packet[Any]) -> None:
        """Keep a packet until `write`: whoever reads the source would take an error of the copy for one of its own."""
        self._waiting.append(packet)

    def write(self, container: OutputContainer) -> None:
        """Put into the copy what was taken."""
        for packet in self._waiting:
            number, decoded = packet.stream.index, packet.dts
            if number not in self._copies or decoded is None:  # no place for it; or it tells the end of the stream
                continue
            if decoded <= self._reached.get(number, decoded - 1):
                self._backward += 1
                continue
            self._reached[number] = decoded
            shift = round(self._from / packet.time_base)
            packet.pts = (decoded if packet.pts is None else packet.pts) - shift
            packet.dts = decoded - shift
            packet.stream = self._copies[number]
            container.mux(packet)
        self._waiting.clear()

    def tell(self) -> None:
        """Say how much could not be copied."""
        if self._backward:
            log.warning("%s: %d packets of its sound begin before the one in front, and are left out", self._path,
                        self._backward)  # fmt: skip


# --- what is drawn ---------------------------------------------------------------------------------------------------


def drawn_on(picture: Image.Image) -> Canvas:
    """Return what draws on an RGB picture, in place. A colour's fourth value, if any, says how dense it is, to 255."""
    return ImageDraw.Draw(picture, "RGBA")


def draw_box(canvas: Canvas, corners: Sequence[float], *, colour: Colour = COLOURS[0]) -> None:
    """Draw the outline of a box, x1, y1, x2, y2 in pixels; what lies outside of the picture is cut off."""
    left, top, right, bottom, stroke = _inside(canvas, corners)
    canvas.rectangle((left, top, right, bottom), outline=colour, width=stroke)


def draw_label(canvas: Canvas, corners: Sequence[float], lines: Sequence[str], *, colour: Colour = COLOURS[0]) -> None:
    """Draw lines of words above a box, or inside where there is no room above; after all boxes, so that none crosses.

    The first line is on top; what is too long for the picture is cut, and ends in dots. They are shown, never obeyed:
    see `escaping.visible`. The box is x1, y1, x2, y2 in pixels.
    """
    if not lines:
        return
    width, height = canvas.im.size
    left, top, _, _, stroke = _inside(canvas, corners)
    font, step, edge = _letters(width, height)
    shown = [_fitting(line, font, width - 2 * edge) for line in lines]
    across = round(max(font.getlength(line) for line in shown)) + 2 * edge
    down = step * len(shown) + edge
    left = max(0, min(left, width - across))
    top = top - down if top >= down else min(top + stroke, max(0, height - down))
    canvas.rectangle((left, top, left + across - 1, top + down - 1), fill=(*colour, _DENSE))
    for number, line in enumerate(shown):
        canvas.text((left + edge, top + edge // 2 + number * step), line, font=font, fill=_BLACK)


def draw_caption(canvas: Canvas, lines: Sequence[str]) -> None:
    """Draw lines of words on a half transparent bar along the bottom of the picture; see `draw_label`."""
    if not lines:
        return
    width, height = canvas.im.size
    font, step, edge = _letters(width, height)
    top = max(0, height - step * len(lines) - edge)
    canvas.rectangle((0, top, width - 1, height - 1), fill=_BAR)
    for number, line in enumerate(lines):
        shown = _fitting(line, font, width - 2 * edge)
        canvas.text((edge, top + edge // 2 + number * step), shown, font=font, fill=_WHITE)


def _inside(canvas: Canvas, corners: Sequence[float]) -> tuple[int, int, int, int, int]:
    """Return left, top, right and bottom of what the picture shows of a box, and how thick its outline is."""
    width, height = canvas.im.size
    left, right = (min(max(round(x), 0), width - 1) for x in (corners[0], corners[2]))
    top, bottom = (min(max(round(y), 0), height - 1) for y in (corners[1], corners[3]))
    return left, top, right, bottom, max(2, min(width, height) // 180)


@lru_cache(maxsize=16)
def _letters(width: int, height: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, int, int]:
    """Return the font for a picture of this size, how far its lines are apart, and the room around them, in pixels."""
    size = max(_SMALLEST, min(width, height) // _SHARE)
    return ImageFont.load_default(size), round(size * 1.3), max(4, size // 2)


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """Return as much of a line as fits into so many pixels."""
    most = max(room, 0) + 1  # letters, each of a pixel at least: a stranger's name may have millions
    shown = visible(line[:most])
    if len(line) <= most and font.getlength(shown) <= room:
        return shown
    ends = range(1, len(shown) + 1)
    kept = bisect.bisect_right(ends, room, key=lambda end: math.ceil(font.getlength(shown[:end] + _DOTS)))
    return shown[:kept].rstrip() + _DOTS
