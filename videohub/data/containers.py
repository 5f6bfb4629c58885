"""Which containers are read, and how FFmpeg is given one: an open file, and whatever that says, it opens no other.

By itself FFmpeg takes a list of other files, a script or a text for a video, and opens what it names.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer

from videohub.data.unsupported import lacking_format
from videohub.errors import VideoError
from videohub.log import silence_last_resort

# FFmpeg's demuxers that may be chosen, by content alone. None of them opens a second file or runs a script.
DEMUXERS = (
    # what data sets and cameras write
    *("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "rm", "mxf", "wtv", "dhav", "dv", "nut", "ivf"),
    *("gif", "apng", "webp_anim", "yuv4mpegpipe"),
    # a codec without a container; what follows says what is missing
    *("h264", "hevc", "vvc", "mpegvideo", "m4v", "h263", "h261", "mjpeg", "av1", "obu", "vc1", "dirac", "cavsvideo"),
    # a picture, which makes a video of one frame
    *("png_pipe", "jpeg_pipe", "bmp_pipe", "tiff_pipe", "webp_pipe"),
    # sound, so that a refusal can say that it is sound
    *("wav", "mp3", "flac", "aac"),
)
_READ = "MP4, MOV, Matroska, WebM, AVI, MPEG, ASF, FLV, Ogg, RealMedia, MXF, DV, GIF and others"
_NOTHING_ELSE = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": ""}
# Titles need not be UTF-8, and nobody reads them. PyAV 19 minds none, and has no such argument any more.
_ANY_TITLE = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
_HEAD = 4096  # bytes

# Some versions of torchvision make PyAV hand on what FFmpeg says of a file, which would stand beside our own error.
silence_last_resort("libav")


@contextmanager
def open_container(file: BinaryIO, path: Path) -> Iterator[InputContainer]:
    """Let FFmpeg read an open file as a container, for as long as the `with` block lasts.

    Args:
        file: Opened for reading, at its beginning.
        path: Its name, for messages.
    Raises: VideoError if it is none of those that are read, or damaged where it begins, or if its disk fails at any
        time, whatever FFmpeg made of that.
    """
    nameless = _Nameless(file)
    try:
        try:
            container = _opened(nameless, container_options=_NOTHING_ELSE, **_ANY_TITLE)
        except av.FFmpegError as error:
            raise VideoError(f"{path}: {_why(file, error)}") from error
        with container:
            yield container
    finally:
        if nameless.failure is not None:
            raise VideoError(f"{path}: cannot be read: {nameless.failure.strerror}") from nameless.failure


class _Nameless:
    """A file as FFmpeg reads it.

    It has no name, for one that looks like a pattern or an image's would count for more than the content. Where a
    damaged file sends FFmpeg to a place that cannot be, FFmpeg is told so and goes on; PyAV would raise an exception.
    Where the disk fails, the file ends for FFmpeg, which with PyAV 14 would ask again for ever.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell = file.tell
        self.failure: OSError | None = None  # of the disk

    def read(self, size: int) -> bytes:
        try:
            return b"" if self.failure else self._file.read(size)
        except OSError as error:
            self.failure = error
            return b""

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def _opened(file: Any, **options: Any) -> InputContainer:
    """Call PyAV, whose arguments differ with its version."""
    return av.open(file, mode="r", **options)


def _why(file: BinaryIO, error: av.FFmpegError) -> str:
    """Say why a file could not be opened as a container."""
    file.seek(0)
    head = file.read(_HEAD)
    if name := lacking_format(head):
        return f"this FFmpeg cannot read {name}; convert it"
    if _is_text(head):
        return "this is a text file, not a video"
    if error.errno == errno.EINVAL:  # what it says of a format that is not allowed
        return f"not a video, or cut short: it is in no format that is read here ({_READ}); convert it"
    return f"not a video, or cut short: {error.strerror}"


def _is_text(head: bytes) -> bool:
    """Tell whether a file begins as text does: a play list, a script, a page."""
    return all(byte >= 32 or byte in b"\t\n\f\r\x1b" for byte in head)
