"""What people call a video, as the readers take it: a file, a URL, bytes, an open file, or frames in memory."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from videohub import storage
from videohub.data.images import rgb_of
from videohub.data.samples import ImageFile, StoredFile, VideoFile, source_of
from videohub.data.sets import shards
from videohub.data.sets.folders import VIDEOS, is_leftover, suffixes_of
from videohub.data.sets.lists import left_out, lines, parted, unquoted
from videohub.errors import DataError, DeviceError, UsageError, VideoError, VideohubError
from videohub.hub import download
from videohub.log import log
from videohub.protocols import Protocol

if TYPE_CHECKING:
    import torch

Pixels: TypeAlias = "npt.NDArray[np.uint8] | torch.Tensor"
VideoInput: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Pixels"
    " | Image.Image | Sequence[Image.Image] | Sequence[npt.NDArray[np.uint8]]"
)

USUAL_FPS = 30.0  # of frames that nobody says the rate of, where the protocol counts frames and no seconds
SLOWEST_FPS = 0.001  # a frame in a quarter of an hour
LISTS = (".txt", ".csv", ".tsv", ".list", ".lst")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # a drive of Windows has one letter
_LOST_SLASH = re.compile(r"(https?|hf|file):/[^/]")
_LABEL = re.compile("-?[0-9]+")
_EXPECTED = (
    "expected a path, a URL, bytes, a file opened for reading bytes, a list of PIL images, or uint8 frames as an array "
    "or a tensor (T, H, W, 3) or (T, 3, H, W)"
)


@contextmanager
def video_source(video: VideoInput, protocol: Protocol, *, fps: float | None = None) -> Iterator[VideoFile | ImageFile]:
    """Give what people call a video as a source that the readers take, for as long as the block lasts.

    A path stays where it is. All else becomes a temporary file, which is gone afterwards: what a URL leads to (http,
    https, file, `hf://org/repo/file@revision`), bytes, what an open file holds from its beginning (its position stays;
    from where it stands, if it cannot go back), and frames, kept as they are, 4 bytes a pixel. Errors of readers within
    the block name what was given (`input_name`) in place of that file, a VideoError also if it names none.

    A member of a tar, `TAR/MEMBER`, on disk or behind a URL, is read where it lies.

    Args:
        video: As above. Frames are uint8 levels of RGB: an array or a tensor (T, H, W, 3) or (T, 3, H, W), PIL images
            of one size, or a list of arrays (H, W, 3). A protocol for images takes an image file, or one frame.
        protocol: How the source is to be read; it tells whether an image or a video is wanted.
        fps: Frames a second of frames in memory. None: the protocol's own rate, so that its clips take every
            `sampling_rate`-th frame; 30 where it has none. Others state theirs, and it is refused beside them.
    Raises: UsageError for what is no video, of another type or shape, or a rate where none belongs; DownloadError,
        OfflineError; DeviceError if there is no room for a temporary file. Whether a path leads to a video is for the
        reader to say.
    """
    in_memory = _holds_frames(video)
    if fps is not None and not in_memory:
        raise UsageError(
            f"fps: found {fps} beside {input_name(video)}, expected none: a video states its own rate, and frames in "
            "memory alone need one"
        )
    if fps is not None and not SLOWEST_FPS <= fps <= 1000:
        raise UsageError(f"fps: found {fps}, expected frames a second, from {SLOWEST_FPS:g} to 1000")
    name, is_image = input_name(video), protocol.scored == "image"
    if is_image and _as_given(video).lower().endswith(VIDEOS):
        raise UsageError(f"{name}: found a video, expected an image: this network looks at single images")
    with _as_file(video, is_image, fps or protocol.fps or USUAL_FPS) as file:
        try:
            yield source_of(file, protocol)
        except VideohubError as error:
            message = str(error).replace(str(file), name)
            if isinstance(error, VideoError) and name not in message:  # of a rule for frames, which knows no files
                message = f"{name}: {message}"
            if message == str(error):
                raise
            raise type(error)(message) from error


def input_name(video: VideoInput) -> str:
    """Return what a video is called in messages and results: its path or URL, or what it is made of.

    A URL is shown without what may be a credential.
    """
    return storage.shown(_as_given(video))


def _as_given(video: VideoInput) -> str:
    if isinstance(video, str | os.PathLike):
        return os.fspath(video)
    if isinstance(video, bytes | bytearray | memoryview):
        return f"{len(video)} bytes"
    if isinstance(video, Image.Image):
        return "an image"
    if (shape := getattr(video, "shape", None)) is not None:
        return f"frames {tuple(shape)}"
    if isinstance(video, list | tuple):
        return f"{len(video)} frames"
    name = getattr(video, "name", None)
    return name if isinstance(name, str) else f"a {type(video).__name__}"


def is_single(video: object) -> bool:
    """Say whether something is surely one video, though Python could go through its parts."""
    if (shape := getattr(video, "shape", None)) is not None:
        return len(shape) < 5
    return isinstance(video, bytes | bytearray | memoryview | Image.Image) or hasattr(video, "read")


def is_url(video: object) -> bool:
    """Say whether something is the text of a URL."""
    return isinstance(video, str) and _URL.match(video) is not None


def named_videos(given: Iterable[str | os.PathLike[str]], protocol: Protocol) -> list[str]:
    """Return the paths and URLs of videos that a user named: each a video, or a folder, tars or a list of them.

    Of a folder, all videos (or images, where the protocol wants them) in it and in folders within, sorted by path;
    hidden ones and what systems leave there are passed over. A list (.txt, .csv, .tsv, .list, .lst) has a path or URL
    on each line; paths start from the list's folder, and where every line ends with a whole number, as those for
    `verify` do, that is a label and left aside. A tar, `val-{000..063}.tar` or a URL of one stands for its members.
    Raises: UsageError if a folder or list is missing or holds no video; DataError if a list is no text.
    """
    suffixes = suffixes_of(protocol)
    videos: list[str] = []
    for each in given:
        path = Path(each)
        if shards.is_tar(os.fspath(each)):
            names, notes = shards.names_of_videos(os.fspath(each), protocol)
            videos += names
            for line in notes:
                log.warning("%s: %s", storage.shown(os.fspath(each)), line)
        elif is_url(each):
            videos.append(os.fspath(each))
        elif path.is_dir():
            videos += _in_folder(path, suffixes)
        elif path.suffix.lower() in LISTS and path.is_file():
            videos += _in_list(path)
        else:
            videos.append(os.fspath(each))
    return videos


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    videos: list[str] = []
    others: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_leftover(name)]
        for name in files:
            if not is_leftover(name):
                taken = videos if name.lower().endswith(suffixes) else others
                taken.append(os.path.join(place, name))
    if not videos:
        raise UsageError(f"{folder}: this folder holds no files that end in {', '.join(suffixes)}")
    for line in left_out("files of other endings", [os.path.relpath(name, folder) for name in sorted(others)]):
        log.warning("%s: %s", folder, line)
    return sorted(videos)


def _in_list(file: Path) -> list[str]:
    try:
        written = [line.strip() for _, line in lines(file) if line.strip()]
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    if not written:
        raise DataError(f"{file}: the list holds no videos; each line should be a path or a URL")
    labelled = [parted(line) for line in written]
    if all(name and _LABEL.fullmatch(label) for name, label in labelled):
        written = [name for name, _ in labelled]
    names = map(unquoted, written)
    return [name if is_url(name) else str(file.parent / name) for name in names]


# --- as a file -------------------------------------------------------------------------------------------------------


@contextmanager
def _as_file(video: VideoInput, is_image: bool, fps: float) -> Iterator[StoredFile]:
    """Yield the file of a video, made for the time being unless it is one."""
    if isinstance(video, str) and (member := shards.member_called(video)):
        yield member.fetched()
    elif isinstance(video, str) and is_url(video):
        storage.check_host(video)
        with ExitStack() as stack:
            try:
                path = stack.enter_context(download.temporary(video, "image" if is_image else "video"))
            except VideohubError as error:  # it names where the file was looked for
                shown = storage.scrubbed(str(error).replace(video, storage.shown(video)))
                raise type(error)(shown) from None
            yield path
    elif isinstance(video, str | os.PathLike):
        path = Path(video)
        if not isinstance(video, str) and _LOST_SLASH.match(str(path)) and not path.exists():
            raise UsageError(f"{path}: found a path that was a URL, expected its text: a Path takes a slash away")
        yield path
    else:
        with ExitStack() as stack:
            yield _temporary_file(video, is_image, fps, stack)


def _temporary_file(video: Any, is_image: bool, fps: float, stack: ExitStack) -> Path:
    """Write what was given into a file of its own, which goes when the stack is left."""
    try:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="videohub-"))) / "video"
        if _holds_frames(video):
            frames = _checked_frames(video, is_image)
            _write_image(frames, path) if is_image else _write_video(frames, fps, path)
        elif isinstance(video, bytes | bytearray | memoryview):
            path.write_bytes(video)
        else:
            _copy(video, path)
    except (OSError, av.FFmpegError) as error:
        raise DeviceError(
            f"{input_name(video)}: no temporary file could be made of it in {tempfile.gettempdir()}: "
            f"{error.strerror or error}\n  Make room there, or let TMPDIR name another folder."
        ) from error
    return path


def _copy(file: Any, path: Path) -> None:
    """Write what an open file holds."""
    if not callable(getattr(file, "read", None)):
        raise UsageError(f"video: found a {type(file).__name__}, {_EXPECTED}")
    if getattr(file, "closed", False):
        raise UsageError(f"{input_name(file)}: found a file that is closed, expected an open one")
    if not isinstance(file.read(0), bytes | bytearray | memoryview):  # before a video is decoded as text
        raise UsageError(f'{input_name(file)}: found a file that gives text, expected one opened with "rb"')
    stands = file.tell() if callable(getattr(file, "seekable", None)) and file.seekable() else None
    if stands is not None:
        file.seek(0)
    with path.open("wb") as out:
        while block := file.read(1 << 20):
            out.write(block)
    if stands is not None:
        file.seek(stands)


# --- frames in memory ------------------------------------------------------------------------------------------------


def _holds_frames(video: object) -> bool:
    if isinstance(video, memoryview):  # of a file's bytes, though it has a shape as arrays have
        return False
    return isinstance(video, list | tuple | Image.Image) or hasattr(video, "shape")


def _checked_frames(video: Any, is_image: bool) -> Sequence[npt.NDArray[np.uint8]]:
    """Return frames in memory as pictures (H, W, 3) of one size. Raises: UsageError if they are none."""
    if isinstance(video, Image.Image):
        if (
            not is_image and (count := getattr(video, "n_frames", 1)) > 1
        ):  # Pillow would hand on the one that it stands at
            raise UsageError(
                f"an image: found a file of {count} pictures, expected a still one; give the file's name or bytes, or "
                "the list [each.convert('RGB') for each in PIL.ImageSequence.Iterator(image)]"
            )
        video = [video]
    if isinstance(video, list | tuple):
        return _of_list(video)
    if hasattr(video, "detach"):  # a tensor, on any device
        video = video.detach().cpu().numpy()
    frames: Any = np.asarray(video)
    name = f"frames {frames.shape}"
    if frames.dtype != np.uint8:
        raise UsageError(f"{name}: found {frames.dtype}, expected uint8: levels of RGB from 0 to 255")
    if frames.ndim != 4 or 3 not in (frames.shape[3], frames.shape[1]) or 0 in frames.shape:
        advice = ""
        if frames.ndim == 3:
            advice = "; a single frame is frames[None]"
        elif frames.ndim == 5:
            advice = "; of several videos each is one"
        raise UsageError(f"{name}: expected (T, H, W, 3) or (T, 3, H, W), with at least one frame{advice}")
    return frames if frames.shape[3] == 3 else frames.transpose(0, 2, 3, 1)


def _of_list(pictures: Sequence[Any]) -> list[npt.NDArray[np.uint8]]:
    frames: list[npt.NDArray[np.uint8]] = []
    for number, picture in enumerate(pictures):
        if isinstance(picture, Image.Image):
            frame = rgb_of(picture, f"frame {number} of {len(pictures)}")
        elif isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.shape[2:] == (3,):
            frame = picture
        else:
            kind = type(picture).__name__
            if (shape := getattr(picture, "shape", None)) is not None:
                kind = f"{kind} of {picture.dtype} {tuple(shape)}"
            raise UsageError(
                f"frame {number} of {len(pictures)}: found a {kind}, expected a PIL image or a uint8 array (H, W, 3); "
                "several videos are what predict_many takes"
            )
        if frames and frame.shape != frames[0].shape:
            (height, width, _), (high, wide, _) = frame.shape, frames[0].shape
            raise UsageError(
                f"frame {number} of {len(pictures)}: found {width}x{height} pixels, expected {wide}x{high} as frame 0"
            )
        frames.append(frame)
    if not frames or 0 in frames[0].shape:
        raise UsageError(f"{len(frames)} frames: found no pixels, expected at least one frame")
    return frames


def _write_image(frames: Sequence[npt.NDArray[np.uint8]], path: Path) -> None:
    """Keep the one frame that an image is, without loss."""
    if len(frames) != 1:
        raise UsageError(f"{len(frames)} frames: expected one, for a network that looks at images")
    Image.fromarray(np.ascontiguousarray(frames[0])).save(path, format="PNG")


def _write_video(frames: Sequence[npt.NDArray[np.uint8]], fps: float, path: Path) -> None:
    """Keep frames as they are, in a container whose header counts them and states their rate.

    With 24 bits a pixel, QuickTime's raw pictures of an odd width come back shifted.
    """
    rate = Fraction(float(fps)).limit_denominator(1001)
    if fps < 1:  # where so few denominators are far apart
        rate = 1 / Fraction(1 / float(fps)).limit_denominator(1001)
    with av.open(str(path), "w", format="mov") as container:
        stream: Any = container.add_stream("rawvideo", rate=rate)
        stream.height, stream.width, _ = frames[0].shape
        stream.pix_fmt = "argb"
        stream.time_base = 1 / rate
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = number, 1 / rate
            container.mux(stream.encode(picture.reformat(format="argb")))
        container.mux(stream.encode(None))
