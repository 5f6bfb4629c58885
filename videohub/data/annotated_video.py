"""A copy of a video with something drawn over its frames: same size, same times, same sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from videohub.data.decoded_images import UPRIGHT, Frame, orientation
from videohub.data.frame_clock import FrameClock
from videohub.data.overlay import Canvas, drawn_on
from videohub.data.stored_file import ShardMember, StoredFile
from videohub.data.video import Video, open_video
from videohub.errors import DeviceError, UsageError, VideoError
from videohub.files import atomic_write, check_parent_exists
from videohub.log import log

Draw: TypeAlias = Callable[[Canvas, float], object]  # on a picture, at its time in seconds
Progress: TypeAlias = Callable[[int], object]  # is told how many frames have been written since it was told last

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}

_ENCODERS = ("libx264", "h264")  # the second name stands for whichever this FFmpeg has
_X264 = {"crf": "18", "preset": "veryfast"}  # hardly to be told from the original
_BITS_A_PIXEL = 0.2  # for encoders that know no such quality
_USUAL_RATE = Fraction(25)  # frames a second, where nothing tells it; only the encoder's planning depends on it
_BT_709, _LIMITED = 1, 1  # as H.264 numbers them


def annotate_video(
    source: str | StoredFile, out: str | Path, draw: Draw, *, progress: Progress = lambda frames: None
) -> None:
    """Write a copy of a video, in H.264, in which `draw` has drawn over every frame.

    The content of the source counts: pictures that are stored turned or mirrored are upright, and each frame is shown
    when it was, counted from the first one (see `FrameClock`). Sound is copied as it is, not encoded anew; what the
    container has no place for is left out, and one line says so. So are subtitles and cover pictures. A side of an odd
    number of pixels gets one more, a copy of its last, for 4:2:0 takes pixels by twos. One pass; one picture is in
    memory.

    Args:
        source: A video file.
        out: The file to write, whole or not at all: .mp4, .mov or .mkv.
        draw: Is called with what draws on the picture (`overlay.drawn_on`) and with the time of the frame in seconds
            from the first one.
        progress: Is called with the number of frames that were written since it was called last.
    Raises: UsageError if `out` is of another kind, in no folder, or the source itself; VideoError as `Video.pictures`,
        or if the picture changes its size; DeviceError if this FFmpeg cannot write H.264.
    """
    path, out = source if isinstance(source, ShardMember) else Path(source), checked_target(out)
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
            if frame.size != writer.size:
                raise VideoError(
                    f"{path}: the picture changes its shape in the middle of the video, from "
                    f"{writer.size[1]}x{writer.size[0]} to {frame.size[1]}x{frame.size[0]}"
                )
            last = max(round(seconds / video.info.time_base), last + 1)  # no container takes one time twice
            writer.write(_drawn(frame.rgb(), draw, seconds), last)
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
    with atomic_write(out) as part:
        try:
            # a file, not its name: FFmpeg would take some names for patterns or addresses
            with part.open("wb") as file, _opened(file, format=CONTAINERS[out.suffix.lower()]) as container:
                yield container
        except av.FFmpegError as error:  # what is wrong with the source is a VideoError already
            raise DeviceError(f"{out}: this FFmpeg could not write it: {error.strerror}") from error


def _opened(file: Any, **options: Any) -> OutputContainer:
    """Call PyAV, whose arguments differ with its version."""
    return av.open(file, mode="w", **options)


def _drawn(pixels: npt.NDArray[np.uint8], draw: Draw, seconds: float) -> npt.NDArray[np.uint8]:
    """Return a picture after it was drawn on."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    draw(drawn_on(picture), seconds)
    return np.asarray(picture)


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
        codec, said = self._stream.codec_context, source.codec_context
        codec.color_primaries, codec.color_trc = said.color_primaries, said.color_trc
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
