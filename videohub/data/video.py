"""Open a video file with PyAV, say what its container states, and decode one of its video streams once."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from videohub.data.containers import ending, open_container, open_file, unsupported
from videohub.data.memory import Budget
from videohub.data.samples import StoredFile
from videohub.data.video_info import END_TOLERANCE, StampReader, Stamps, VideoInfo
from videohub.errors import VideoError

_SLOWEST = 10  # frames per second that count where no rate is stated
_ATTACHED_PICTURE = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
_NO_CLOCK = Fraction(1, 90_000)  # the unit of time of a stream that has none
_TICKS = 1000  # a second; a clock that ticks so often counts no frames
_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"  # FFmpeg's name of containers that list their key frames, and count their frames
_REORDERED = 32  # frames: twice what a codec may change their order by
_STILL_CODECS = ("mjpeg", "png", "bmp", "gif", "webp", "tiff")


@dataclass(frozen=True)
class DecodedFrame:
    """A frame as the decoder gave it: still in the video's own pixel format, at its own size."""

    position: int  # in decoding order, from 0
    pts: int  # time stamp, in ticks of the stream's time base
    picture: av.VideoFrame

    @property
    def nbytes(self) -> int:
        """Return what the picture takes in memory."""
        return bytes_of(self.picture)


@dataclass(frozen=True)
class Video:
    """An open video. Only `open_video` makes one, and closes it."""

    path: StoredFile
    info: VideoInfo
    container: InputContainer
    stream: VideoStream
    read: StampReader = field(default_factory=StampReader)
    budget: Budget = field(default_factory=Budget)  # of memory, for whoever keeps its pictures

    def frames(self) -> Iterator[DecodedFrame]:
        """Decode from the start and yield each frame, in decoding order; see `pictures`.

        Raises: VideoError as `pictures` does, or if a frame has no time stamp.
        """
        for position, picture in enumerate(self.pictures()):
            if picture.pts is None:
                raise VideoError(f"{self.path}: frame {position} has no time stamp; put it in another container")
            yield DecodedFrame(position, picture.pts, picture)

    def numbered_frames(self) -> Iterator[DecodedFrame]:
        """Decode from the start and yield each frame; where it has no time stamp, its number stands in for that."""
        for position, picture in enumerate(self.pictures()):
            yield DecodedFrame(position, position if picture.pts is None else picture.pts, picture)

    def frames_from(self, pts: int) -> Iterator[DecodedFrame]:
        """Decode from a key frame before a time stamp on, and yield each frame, numbered from there; see `frames`.

        In other containers than mp4 and QuickTime, or where that begins behind the time stamp, all is decoded.
        """
        ahead = round(_REORDERED / (self.info.rate * self.info.time_base)) if self.info.rate else 0
        if not ahead or self.container.format.name != _MP4 or pts - ahead <= (self.info.start or 0):
            yield from self.frames()
            return
        frames = self.frames()
        try:
            self.container.seek(pts - ahead, stream=self.stream)
            first = next(frames, None)
        except (av.FFmpegError, VideoError):
            first = None
        if first is not None and first.pts <= pts:
            yield first
            yield from frames
            return
        with open_video(self.path) as again:
            yield from again.frames()

    def pictures(
        self, others: Sequence[Any] = (), take: Callable[[av.Packet[Any]], object] = lambda packet: None
    ) -> Iterator[av.VideoFrame]:
        """Decode from the start and yield each picture, in decoding order, with its time stamp if it has one.

        Packets of other streams, such as sound, are handed to `take` as they come.

        A reader that has what it needs stops asking. Damage before that point is an error, never a shorter video:
        the file may be cut in the middle and the part in front still decode. Rotation tags are not applied.

        Raises: VideoError if a packet cannot be decoded, if no picture comes out, or if the reader asks for more and
            the packets end more than `END_TOLERANCE` frames before the end that the header states for this stream,
            and the file is not known to be whole. MPEG-TS, ASF and FLV state none, so there a missing end goes unseen.
        """
        decoded = 0
        try:
            packets: Iterator[av.Packet[Any]] = self.container.demux(self.stream, *others)
            for packet in packets:
                if packet.stream.index != self.stream.index:
                    take(packet)
                    continue
                self.read.take(packet)
                for picture in packet.decode():
                    self.read.show(picture.pts)
                    yield picture
                    decoded += 1
        except av.FFmpegError as error:
            if lack := unsupported(self.path, error, decoded):
                raise VideoError(f"{self.path}: {lack}") from error
            if error.errno == errno.ENOMEM:
                damage = f"damaged after {decoded} decoded frames, or its pictures do not fit into the memory"
                raise VideoError(f"{self.path}: {damage}") from error
            raise VideoError(f"{self.path}: damaged after {decoded} decoded frames: {error.strerror}") from error
        self.read.close()
        if not decoded:
            why = ": its edit list cuts all of them away" if self.read.stamps().cut_away else ""
            raise VideoError(f"{self.path}: the video stream holds no pictures{why}")
        self.check_end()

    def stamps(self, take: Callable[[av.Packet[Any]], object] = lambda packet: None) -> Stamps:
        """Return what the time stamps of all packets say; those that were not decoded are only handed to `take`.

        Damage is no error here. What the packets behind it would say is not known, so the stamps are not `complete`.
        """
        complete = True
        try:
            for packet in self.container.demux(self.stream):
                self.read.take(packet)
                take(packet)
        except av.FFmpegError:
            complete = False
        return replace(self.read.stamps(), complete=complete and ending(self.path) != "cut")

    def check_end(self) -> None:
        """Refuse a file that lacks its end; see `missing_end`. Raises: VideoError."""
        if missing := self.missing_end():
            raise VideoError(f"{self.path}: {missing}")

    def missing_end(self) -> str | None:
        """Say so if the packets, all of which were read, stop clearly before the end that the header states.

        Where the file is whole, or the length of all of it agrees, the header is wrong and nothing is missing.
        """
        reached = float(self.read.reached * self.info.time_base)
        stated, tolerance = _stated_end(self.stream), float(END_TOLERANCE / (self.info.rate or _SLOWEST))
        if stated is None or reached + tolerance >= stated:
            return None
        whole = self.info.file_seconds if not self.info.frames else None
        if ending(self.path) == "whole" or (whole is not None and reached + tolerance >= whole):
            return None
        return f"cut short: the header states {stated:.2f} s, the pictures end at {reached:.2f} s"


def bytes_of(picture: av.VideoFrame) -> int:
    """Return what a picture takes in memory, in its video's own pixel format."""
    return sum(plane.buffer_size for plane in picture.planes)


def changed(path: StoredFile) -> VideoError:
    """Return the error of a video that was decoded to count its frames, and now holds fewer."""
    return VideoError(f"{path}: fewer frames came out of it than when it was decoded before; did it change?")


Chooser = Callable[[list[VideoStream]], "VideoStream | None"]


def first_true(streams: list[VideoStream]) -> VideoStream | None:
    """Choose the first video stream that is no cover picture, nor, if there are others, a single still image.

    Containers other than mp4 do not mark covers: copied into Matroska, one is a track of one image.
    """
    unmarked = [stream for stream in streams if not is_cover(stream)]
    return next((stream for stream in unmarked if not _is_one_image(stream)), unmarked[0] if unmarked else None)


def very_first(streams: list[VideoStream]) -> VideoStream | None:
    """Choose the first video stream, whatever it is."""
    return streams[0] if streams else None


def is_cover(stream: VideoStream) -> bool:
    """Return whether a stream is a picture that belongs to the file and not to the video.

    Older versions of PyAV state nothing; such streams have neither a clock nor a rate, and a still image's codec.
    """
    disposition = getattr(stream, "disposition", None)
    if disposition is not None:
        return bool(int(disposition) & _ATTACHED_PICTURE)
    unclocked = stream.time_base == _NO_CLOCK and not stream.average_rate and not stream.frames
    return unclocked and stream.codec_context is not None and stream.codec_context.name in _STILL_CODECS


def _is_one_image(stream: VideoStream) -> bool:
    """Return whether a stream is a single still image, as far as its header tells."""
    if stream.codec_context is None or stream.codec_context.name not in _STILL_CODECS:
        return False
    length, rate = _tagged_length(stream), stream.average_rate
    if length is None:
        return stream.frames == 1
    return not rate or length * rate < END_TOLERANCE


@contextmanager
def open_video(path: StoredFile, choose: Chooser = first_true) -> Iterator[Video]:
    """Open a file for one pass of decoding and close it at the end of the `with` block, whatever happens.

    Raises: UsageError if it is no file: absent, a folder, a pipe, or may not be read; VideoError if it is empty, not a
        video, has no video stream, holds what this FFmpeg cannot decode, or is an AVI that was cut short.
    """
    with open_file(path, "video") as opened, open_container(opened, path) as container:
        stream = _chosen_stream(container, path, choose)
        stream.thread_count = 1  # more threads take a third more of the processor; others decode at the same time
        yield Video(path=path, info=_info(container, stream, path), container=container, stream=stream)


def _chosen_stream(container: InputContainer, file: StoredFile, choose: Chooser) -> VideoStream:
    """Return the stream to decode; audio and further video streams are ignored."""
    stream = choose(list(container.streams.video))
    if stream is None:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        covers = "; video is a cover picture alone" if container.streams.video else ""
        raise VideoError(f"{file}: no video stream (streams found: {kinds}{covers})")
    if stream.codec_context is None:
        raise VideoError(f"{file}: this FFmpeg has no decoder for its pictures; convert it")
    return stream


def _info(container: InputContainer, stream: VideoStream, file: StoredFile) -> VideoInfo:
    """Collect what the header states."""
    if not stream.time_base:
        raise VideoError(f"{file}: the video stream holds no pictures: its container states no unit of time")
    # FFmpeg measures a cut AVI by what is left of it but keeps the header's count: every window would be misplaced.
    if (
        container.format.name == "avi"
        and stream.duration
        and stream.frames > stream.duration + END_TOLERANCE
        and ending(file) != "whole"
    ):
        raise VideoError(f"{file}: cut short: its header counts {stream.frames} frames, {stream.duration} are left")
    return VideoInfo(
        frames=stream.frames,
        average_rate=_fraction(stream.average_rate),
        duration=stream.duration,
        time_base=Fraction(stream.time_base.numerator, stream.time_base.denominator),
        width=stream.width,
        height=stream.height,
        guessed_rate=_guessed_rate(stream),
        start=stream.start_time,
        tag_seconds=_tagged_length(stream),
        file_seconds=None if container.duration is None else container.duration / 1_000_000,
        cover=is_cover(stream),
        cover_first=very_first(streams := list(container.streams.video)) is not first_true(streams),
        reordered=container.format.name == "avi" and bool(stream.codec_context.has_b_frames),
    )


def _fraction(rate: Any) -> Fraction | None:
    """Return a rate of PyAV's, whose type is its own from 19 on; some versions say 0 where there is none."""
    return Fraction(rate.numerator, rate.denominator) if rate else None


def _guessed_rate(stream: VideoStream) -> Fraction | None:
    """Return the rate that FFmpeg makes of the codec's and the first stamps; where it can't, it gives the clock's."""
    rate = _fraction(stream.guessed_rate)
    return None if rate and rate >= _TICKS and stream.time_base == 1 / rate else rate


def _stated_end(stream: VideoStream) -> float | None:
    """Return where the header says that this stream ends, in seconds, or None if it does not say.

    A container that counts the stream's frames also knows its length; in others FFmpeg gives the whole file's, and
    sound may be longer than pictures. Matroska writers put the stream's length into a tag.
    """
    if stream.frames and stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return _tagged_length(stream)


def _tagged_length(stream: VideoStream) -> float | None:
    """Return the length that a tag states, in seconds."""
    tag = re.fullmatch(r"(\d{1,6}):(\d{1,6}):(\d{1,6}(?:\.\d{1,12})?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    hours, minutes, seconds = tag.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
