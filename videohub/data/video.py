"""Open a video file with PyAV, say what its container states, and decode its first video stream once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from videohub.data.containers import open_container
from videohub.data.paths import open_file
from videohub.errors import VideoError

# Headers round: the stated end of a whole file may lie this many frames after the end of its last packet.
END_TOLERANCE = 2


@dataclass(frozen=True)
class VideoInfo:
    """What the container states about the first video stream; nothing here has been checked by decoding.

    `frames` is 0 and `duration` None where the container does not say (Matroska states neither, MPEG-TS no count).
    `duration` counts ticks of `time_base`; `average_rate` is in frames per second.
    """

    frames: int
    average_rate: Fraction
    duration: int | None
    time_base: Fraction
    width: int
    height: int


@dataclass(frozen=True)
class DecodedFrame:
    """A frame as the decoder gave it: still in the video's own pixel format, at its own size."""

    position: int  # in decoding order, from 0
    pts: int  # time stamp, in ticks of the stream's time base
    picture: av.VideoFrame

    @property
    def nbytes(self) -> int:
        """Return what the picture takes in memory."""
        return sum(plane.buffer_size for plane in self.picture.planes)


@dataclass(frozen=True)
class Video:
    """An open video. Only `open_video` makes one, and closes it."""

    path: Path
    info: VideoInfo
    container: InputContainer
    stream: VideoStream

    def frames(self) -> Iterator[DecodedFrame]:
        """Decode from the start and yield each frame, in decoding order.

        A reader that has what it needs stops asking. Damage before that point is an error, never a shorter video:
        the file may be cut in the middle and the part in front still decode. Rotation tags are not applied.

        Raises: VideoError if a packet cannot be decoded, if a frame has no time stamp, if no frame comes out, or if
            the reader asks for more and the packets end more than `END_TOLERANCE` frames before the end that the header
            states for this stream. MPEG-TS, ASF and FLV state none, so there a missing end goes unseen.
        """
        decoded, reached = 0, 0
        try:
            for packet in self.container.demux(self.stream):
                begins = packet.pts if packet.pts is not None else packet.dts
                if begins is not None:
                    reached = max(reached, begins + (packet.duration or 0))
                for picture in packet.decode():
                    if picture.pts is None:
                        raise VideoError(f"{self.path}: frame {decoded} has no time stamp; put it in another container")
                    yield DecodedFrame(decoded, picture.pts, picture)
                    decoded += 1
        except av.FFmpegError as error:
            raise VideoError(f"{self.path}: damaged after {decoded} decoded frames: {error.strerror}") from error
        except OSError as error:  # of the disk; FFmpeg hands it through
            raise VideoError(f"{self.path}: cannot be read after {decoded} frames: {error.strerror}") from error
        if not decoded:
            raise VideoError(f"{self.path}: the video stream holds no pictures")
        self._check_end(float(reached * self.info.time_base))

    def _check_end(self, reached: float) -> None:
        """Refuse a file whose packets stop clearly before the end that its header states, in seconds."""
        stated = _stated_end(self.stream)
        if stated is not None and reached + END_TOLERANCE / float(self.info.average_rate) < stated:
            raise VideoError(
                f"{self.path}: cut short: the header states {stated:.2f} s, the pictures end at {reached:.2f} s"
            )


@contextmanager
def open_video(path: str | Path) -> Iterator[Video]:
    """Open a file for one pass of decoding and close it at the end of the `with` block, whatever happens.

    Raises: UsageError if it is no file: absent, a folder, a pipe, or may not be read; VideoError if it is empty, not a
        video, has no video stream, states no frame rate, or is an AVI that was cut short.
    """
    file = Path(path)
    with open_file(file, "video") as opened, open_container(opened, file) as container:
        stream = _first_video_stream(container, file)
        stream.thread_count = 1  # more threads take a third more of the processor; others decode at the same time
        yield Video(path=file, info=_info(container, stream, file), container=container, stream=stream)


def _first_video_stream(container: InputContainer, file: Path) -> VideoStream:
    """Return the stream to decode; audio and further video streams are ignored."""
    if not container.streams.video:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        raise VideoError(f"{file}: no video stream (streams found: {kinds})")
    return container.streams.video[0]


def _info(container: InputContainer, stream: VideoStream, file: Path) -> VideoInfo:
    """Collect what the header states."""
    if not stream.average_rate or not stream.time_base:
        raise VideoError(f"{file}: the video stream holds no pictures, or its container states no frame rate")
    # FFmpeg measures a cut AVI by what is left of it but keeps the header's count: every window would be misplaced.
    if container.format.name == "avi" and stream.duration and stream.frames > stream.duration + END_TOLERANCE:
        raise VideoError(f"{file}: cut short: its header counts {stream.frames} frames, {stream.duration} are left")
    return VideoInfo(
        frames=stream.frames,
        average_rate=Fraction(stream.average_rate),
        duration=stream.duration,
        time_base=Fraction(stream.time_base),
        width=stream.width,
        height=stream.height,
    )


def _stated_end(stream: VideoStream) -> float | None:
    """Return where the header says that this stream ends, in seconds, or None if it does not say.

    A container that counts the stream's frames also knows its length; in others FFmpeg gives the whole file's, and
    sound may be longer than pictures. Matroska writers put the stream's length into a tag.
    """
    if stream.frames and stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    hours, minutes, seconds = tag.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
