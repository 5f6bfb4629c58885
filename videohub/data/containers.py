"""Files as a decoder is given them: which containers are read, whether one is whole, what this FFmpeg cannot read.

By itself FFmpeg takes a list of other files, a script or a text for a video, and opens what it names; here it gets an
open file, and whatever that says, it opens no other.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, BinaryIO, Literal, TypeAlias

import av
from av.container import InputContainer

from videohub.data.samples import ShardMember, StoredFile
from videohub.errors import UsageError, VideoError, VideohubError
from videohub.files import existing_file
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
_ANY_TITLE: dict[str, Any] = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
_HEAD = 4096  # bytes

# Some versions of torchvision make PyAV hand on what FFmpeg says of a file, which would stand beside our own error.
silence_last_resort("libav")


def open_file(path: StoredFile, kind: str) -> BinaryIO:
    """Open a file that a decoder is to read. Close it.

    Raises: UsageError as `existing_file`, or if it may not be read; VideoError if it is empty, or a member of a tar
        that cannot be had; FileChangedError if that tar is not the one that it was.
    """
    if isinstance(path, ShardMember):
        if path.size == 0 and path.failure is None:
            raise VideoError(f"{path}: the file is empty (0 bytes)")
        return path.open()
    file = existing_file(path, kind)
    if file.stat().st_size == 0:
        raise VideoError(f"{file}: the file is empty (0 bytes)")
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"{file}: this {kind} file cannot be opened: {error.strerror}") from error


@contextmanager
def open_container(file: BinaryIO, path: StoredFile) -> Iterator[InputContainer]:
    """Let FFmpeg read an open file as a container, for as long as the `with` block lasts.

    Raises: VideoError if it is none of those that are read, or damaged where it begins, or if its disk fails at any
        time, whatever FFmpeg made of that.
    """
    nameless = _Nameless(file)
    try:
        with _signals_kept():
            try:
                container = av.open(nameless, mode="r", container_options=_NOTHING_ELSE, **_ANY_TITLE)
            except av.FFmpegError as error:
                raise VideoError(f"{path}: {_why(file, error)}") from error
            with container:
                yield container
    finally:
        if isinstance(nameless.failure, OSError):
            raise VideoError(f"{path}: cannot be read: {nameless.failure.strerror}") from nameless.failure
        if nameless.failure is not None:
            raise nameless.failure


class _Nameless:
    """A file as FFmpeg reads it.

    It has no name, for one that looks like a pattern or an image's would count for more than the content. Where a
    damaged file sends FFmpeg to a place that cannot be, FFmpeg is told so and goes on; PyAV would raise an exception.
    Where the disk fails, the file ends for FFmpeg, which with PyAV 14 would ask again for ever.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell = file.tell
        self.failure: BaseException | None = None  # of the disk, of what stands for it, or of a signal

    def read(self, size: int) -> bytes:
        try:
            return b"" if self.failure is not None else self._file.read(size)
        except (OSError, VideohubError) as error:
            self.failure = error
            return b""

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


# --- signals that come while FFmpeg asks for bytes -------------------------------------------------------------------

_CALLED_BACK = (_Nameless.read.__code__, _Nameless.seek.__code__)
_handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}  # of signals, while a container is open
_open = 0  # containers, in the main thread


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Let what a signal raises be raised again once FFmpeg has returned, where it comes while that asks for bytes.

    PyAV drops whatever is raised there: a Ctrl-C would be lost, or the video count as damaged.
    """
    global _open
    if threading.current_thread() is not threading.main_thread():  # no handler runs in others
        yield
        return
    _open += 1
    if _open == 1:
        for number in map(int, (signal.SIGINT, signal.SIGTERM)):
            if callable(handler := signal.getsignal(number)):
                _handlers[number] = handler
                signal.signal(number, _handled)
    try:
        yield
    finally:
        _open -= 1
        if not _open:
            for number in list(_handlers):
                if signal.getsignal(number) is _handled:  # and nobody's who set another one meanwhile
                    signal.signal(number, _handlers[number])
                del _handlers[number]


def _handled(number: int, frame: FrameType | None) -> None:
    """Do what the signal's handler does; end the file where that raises while FFmpeg asks for bytes of it."""
    try:
        _handlers[number](number, frame)
    except BaseException as error:
        while frame is not None and frame.f_code not in _CALLED_BACK:
            frame = frame.f_back
        if frame is None:
            raise
        frame.f_locals["self"].failure = error


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


_LACKS = (
    av.error.PatchWelcomeError,
    av.error.NotImplementedError,
    av.error.DecoderNotFoundError,
    av.error.DemuxerNotFoundError,
    av.error.ExperimentalError,
)


def unsupported(path: StoredFile, error: av.FFmpegError, decoded: int) -> str | None:
    """Return in words that a file holds what this FFmpeg lacks; None if that is not why it failed after some frames."""
    if not decoded:
        with path.open("rb") as file:
            if name := lacking_format(file.read(64)):
                return f"this FFmpeg cannot read {name}; convert it"
    if isinstance(error, _LACKS):
        return f"this FFmpeg cannot read its pictures ({error.strerror}); convert it"
    return None


def lacking_format(head: bytes) -> str | None:
    """Return the name of a format that not every FFmpeg reads, and reports as damage, by a file's first 32 bytes."""
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[20] & 0b10:
        return "animated WebP"
    if head[:2] == b"\xff\x0a" or head[:12] == b"\0\0\0\x0cJXL \r\n\x87\n":
        return "JPEG XL"
    if head[4:8] == b"ftyp" and any(brand in head[8:32] for brand in (b"avif", b"avis")):
        return "AVIF"
    if head[4:8] == b"ftyp" and any(brand in head[8:32] for brand in (b"heic", b"heix", b"hevc", b"msf1", b"mif1")):
        return "HEIF"
    if head[:3] in (b"FWS", b"CWS", b"ZWS"):
        return "Flash (SWF)"
    return None


Ending: TypeAlias = Literal["whole", "cut", "unknown"]

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx", b"uuid")
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def ending(path: StoredFile) -> Ending:
    """Return whether the outermost parts of an mp4, Matroska or AVI file end within it.

    A file that was cut while it was copied lacks the end of its last part. One whose parts are all there is whole,
    whatever durations its headers state. Other containers, and parts of unknown length, say nothing.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(12)
        file.seek(0)
        if head[4:8] in _MP4_BOXES:
            end = _end_of_boxes(file, size)
        elif head[:4] == b"RIFF":
            end = _end_of_riff(file, size)
        elif int.from_bytes(head[:4], "big") == _EBML:
            end = _end_of_matroska(file)
        else:
            end = None
    if end is None:
        return "unknown"
    return "whole" if end <= size else "cut"


def _end_of_boxes(file: BinaryIO, size: int) -> int | None:
    """Return where the last box of an mp4 ends; a length of 0 reaches to the end of the file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return size if length == 0 else None
        at += length
    return at


def _end_of_riff(file: BinaryIO, size: int) -> int | None:
    """Return where the last RIFF of an AVI ends; a length of 0 was never filled in."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return at  # what stands behind is none of it
        if not (length := int.from_bytes(head[4:], "little")):
            return None
        at += 8 + length + length % 2
    return at - 1 if at == size + 1 else at  # the last byte, which only fills up, may be left out


def _end_of_matroska(file: BinaryIO) -> int | None:
    """Return where the segment ends; one that was written without going back has no length."""
    while (name := _number(file, keep_mark=True)) is not None:
        length = _number(file, keep_mark=False)
        if length is None:
            return None
        if name == _SEGMENT:
            return file.tell() + length
        if name != _EBML and name != 0xEC:  # a void, which holds nothing
            return None
        file.seek(length, os.SEEK_CUR)
    return None


def _number(file: BinaryIO, *, keep_mark: bool) -> int | None:
    """Read one number of EBML, whose first bits tell how long it is; None where it says "unknown", or is none."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    raw = int.from_bytes(first + file.read(extra), "big")
    if keep_mark:
        return raw
    value = raw & ((1 << 7 * (extra + 1)) - 1)
    return None if value == (1 << 7 * (extra + 1)) - 1 else value
