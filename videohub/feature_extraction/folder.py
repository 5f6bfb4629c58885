"""Features of many videos in a folder: a matrix for each, and beside it how it came about; an interrupted call goes on.

`NAME.npy` is (windows, D), `NAME.json` is written when that is whole. Both appear in one step or not at all. All files
of a folder were made in one way, which `.videohub-features.json` keeps.

`.NAME.begun` lies there from when a video is opened until its features are written. A call that finds one knows of a
video that may have crashed its decoder, and would end every call again: it is first decoded in a process of its own,
and left out if that crashes or never answers. Another call may as well be at it now, and is not disturbed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import numpy as np
import numpy.typing as npt

from videohub import storage
from videohub.data.inputs import is_url
from videohub.data.sets import shards
from videohub.data.video_info import tell_contradictions
from videohub.errors import DeviceError, UsageError, VideoError, VideohubError
from videohub.escaping import encodable
from videohub.feature_extraction import Ended, Network, WindowFeatures, versions
from videohub.files import (
    atomic_write,
    check_is_no_url,
    claim,
    fsync_and_replace,
    remove_abandoned,
    temp_path_beside,
)
from videohub.log import log
from videohub.preflight.probe import Job, probe_files

Number: TypeAlias = Literal["float32", "float16"]
Event: TypeAlias = WindowFeatures | Ended

_SETTING = ".videohub-features.json"
_END = 64 << 10  # bytes
_SHORTEST_S = 120.0  # that a video's decoder is given
_BYTES_A_SECOND = 1e6  # that any decoder gets through
_Kept = TypeVar("_Kept", bound="Setting")


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What all features of a folder share."""

    record: str
    weights_sha256: str
    stride: int
    frames: int
    sampling_rate: int
    fps: float | None  # None: each video's own rate
    crop: str
    tail: str
    precision: str
    dtype: Number


class Made(Setting, frozen=True, kw_only=True):
    """What stands beside the features of a video; times are in seconds from its first frame on."""

    video: str
    bytes: int | None  # of the file; None of a URL
    ends_sha256: str | None  # of its first and last 64 KiB: all of a data set's videos need not be read to go on
    rate: float  # frames a second that stride, frames and sampling rate count
    windows: int
    features: int  # D
    times: list[tuple[float, float, float]]  # of each window's first, middle and last frame
    contradictions: list[str]  # of the video's header and its content
    versions: dict[str, str]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a video; `kept`: its features were there already."""

    name: str  # of the video, as it was given
    status: Literal["done", "kept", "failed"]
    file: str | None = None
    windows: int | None = None
    error: str | None = None


def setting_of(network: Network, precision: str, dtype: Number) -> Setting:
    """Return what the features of a network share."""
    return Setting(
        record=network.record.name,
        weights_sha256=network.weights_sha256,
        precision=precision,
        dtype=dtype,
        **msgspec.structs.asdict(network.sampling),
    )


def ids_of(videos: Sequence[str]) -> dict[str, str]:
    """Return what the files of each video are called: its own name without the suffix. Raises: UsageError if not one.

    Returns: the videos by these names, in their order.
    """
    named: dict[str, str] = {}
    for video in videos:
        path, shown = Path(unquote(urlsplit(video).path)) if is_url(video) else Path(video), _stated(video)
        if "\0" in path.stem:
            raise UsageError(f"{shown}: its last part holds a zero byte, and no file of features can be called so")
        other = named.setdefault(path.stem, video)
        if other != video or not path.stem:
            raise UsageError(
                f"{shown}: its features would be called {path.stem}.npy, as those of {_stated(other)}; give it another "
                "name, or put its features into another folder"
            )
    return named


@dataclass(frozen=True)
class FeatureFolder:
    """A folder of features that were made in one way."""

    path: Path
    setting: Setting

    @classmethod
    def opened(cls, path: Path, setting: Setting) -> FeatureFolder:
        """Open a folder, or make it. Raises: UsageError if it holds features of another setting, or is no folder."""
        check_is_no_url(path)
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: found a file, expected a folder for features")
        path.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.glob(".*.part"))
        file = path / _SETTING
        if not file.exists():
            claim(file, _json(setting))
        known = _read(file, Setting)
        if known is None:
            raise UsageError(f"{file}: says no longer how the features here were made; take another folder")
        if known != setting:
            other = ", ".join(
                f"{name} {getattr(known, name)} (asked for: {getattr(setting, name)})"
                for name in Setting.__struct_fields__
                if getattr(known, name) != getattr(setting, name)
            )
            raise UsageError(f"{path}: holds features made in another way: {other}; take another folder")
        return cls(path, setting)

    def matrix(self, name: str) -> Path:
        """Return the file of a video's features, by the name of its files."""
        return self.path / f"{name}.npy"

    def kept(self, name: str, video: str) -> Made | None:
        """Return how the features of a video came about that are here and whole; None if they are to be made.

        A file that is another one now is looked at anew, by its size and its ends, and so is another URL whose last
        part is the same; one that is gone is not missed.
        """
        made = _read(self._beside(name), Made)
        size, ends = _identity(video)
        if made is None or (size is not None and (size, ends) != (made.bytes, made.ends_sha256)):
            return None
        if is_url(video) and (_stated(video), ends) != (made.video, made.ends_sha256):  # whose size is not known
            return None
        if any(getattr(made, field) != getattr(self.setting, field) for field in Setting.__struct_fields__):
            return None
        try:
            there = np.load(self.matrix(name), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return made if (there.shape, there.dtype) == ((made.windows, made.features), np.dtype(made.dtype)) else None

    def write(
        self, name: str, video: str, columns: int, events: Iterator[Event], tell: Callable[[], object]
    ) -> Made | VideohubError:
        """Write what comes of a video up to its end, and return how it came about, or why there is nothing of it."""
        matrix, beside = self.matrix(name), self._beside(name)
        size, ends = _identity(video)
        event = next(events)
        times: list[tuple[float, float, float]] = []
        with temp_path_beside(matrix) as part:
            with part.open("wb") as opened:
                rows = _Rows(opened, columns, self.setting.dtype)
                while not isinstance(event, Ended):
                    rows.append(event.values, _stated(video))
                    times.append(event.times)
                    tell()
                    event = next(events)
                rows.finish()
            if event.rate is None:
                for file in (beside, matrix):  # of another video that was called so
                    file.unlink(missing_ok=True)
                return event.error or VideohubError(f"{_stated(video)}: has no rate, for no reason that was given")
            fsync_and_replace(part, matrix)
        tell_contradictions(_stated(video), event.contradictions)
        made = Made(
            **msgspec.structs.asdict(self.setting),
            video=_stated(video),
            bytes=size,
            ends_sha256=ends,
            rate=event.rate,
            windows=len(times),
            features=columns,
            times=[(round(first, 6), round(middle, 6), round(last, 6)) for first, middle, last in times],
            contradictions=[str(one) for one in event.contradictions],
            versions=versions(),
        )
        with atomic_write(beside) as part:
            part.write_bytes(_json(made))
        return made

    def begun(self, named: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield videos, by what their files are called, and remember each that it is begun when it is asked for.

        Another process may be at the same one: both make the same files, each beside the other's, and the last counts.
        """
        for name, video in named.items():
            self._marker(name).touch()
            yield name, video

    def ended(self, name: str) -> None:
        """Remember that a video has been seen to its end, or that it can be told why not."""
        self._marker(name).unlink(missing_ok=True)

    def harmful(self, named: Mapping[str, str]) -> dict[str, VideoError]:
        """Return which of these videos, once begun and not ended, harm their decoder, and how.

        Raises: DeviceError if no process can be started to find out.
        """
        errors: dict[str, VideoError] = {}
        for name, video in named.items():
            if is_url(video) or not self._marker(name).exists() or not os.path.isfile(video):
                continue
            log.warning(
                "%s: an earlier call ended while this was read, or another one reads it now; a process of its own "
                "decodes it first",
                video,
            )
            timeout_s = _SHORTEST_S + os.path.getsize(video) / _BYTES_A_SECOND
            (probe,) = probe_files([Job("video", os.fsencode(video), deep=True)], workers=1, timeout_s=timeout_s)
            if probe.problem is not None and probe.passing:
                errors[name] = VideoError(f"{video}: {probe.problem}, in a process of its own, too")
        return errors

    def _marker(self, name: str) -> Path:
        return self.path / f".{name}.begun"

    def _beside(self, name: str) -> Path:
        return self.path / f"{name}.json"


def extract(
    named: dict[str, str], network: Network, folder: FeatureFolder, *, tell: Callable[[], object] = lambda: None
) -> Iterator[Outcome]:
    """Make the features of videos that a folder lacks, and yield what became of each; broken ones are told.

    The videos are named by what their files are called; `tell` is called for each window that is done.
    Raises: what `Network.run` and `FeatureFolder.harmful` raise.
    """
    kept = {name: folder.kept(name, video) for name, video in named.items()}
    todo = {name: video for name, video in named.items() if kept[name] is None}
    harmful = folder.harmful(todo)
    harmless = {name: video for name, video in todo.items() if name not in harmful}
    with closing(network.run(folder.begun(harmless))) as events:
        for name, video in named.items():
            there = kept[name] or harmful.get(name)
            made = folder.write(name, video, network.num_features, events, tell) if there is None else there
            if name not in harmful:  # of a call that was killed right behind the last file it wrote, too
                folder.ended(name)
            if isinstance(made, VideohubError):
                yield Outcome(name=_stated(video), status="failed", error=str(made))
                continue
            status: Literal["done", "kept"] = "kept" if made is there else "done"
            yield Outcome(name=_stated(video), status=status, file=str(folder.matrix(name)), windows=made.windows)


class _Rows:
    """A matrix in NumPy's format that is written row by row; how many there are is put into its header at the end.

    NumPy leaves room in a header for a longer first axis.
    """

    def __init__(self, file: IO[bytes], columns: int, dtype: Number) -> None:
        self._file, self._columns, self._dtype, self._count = file, columns, np.dtype(dtype), 0
        self._begin = self._header()

    def append(self, row: npt.NDArray[np.float32], video: str) -> None:
        """Write a row (D,). Raises: UsageError if float16 does not hold it."""
        with np.errstate(over="ignore"):
            kept = row.astype(self._dtype)
        if not np.isfinite(kept).all():
            raise UsageError(f"{video}: features of {np.abs(row).max():.3g} are too large for float16; keep float32")
        self._file.write(kept.tobytes())
        self._count += 1

    def finish(self) -> None:
        """State the number of rows."""
        self._file.seek(0)
        if self._header() != self._begin:
            raise DeviceError(f"this version of NumPy ({np.__version__}) leaves no room in the header of a matrix")

    def _header(self) -> int:
        fields = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._count, self._columns)}
        np.lib.format.write_array_header_1_0(self._file, fields)
        return self._file.tell()


def _json(value: Setting) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=0 if isinstance(value, Made) else 1) + b"\n"


def _read(file: Path, kind: type[_Kept]) -> _Kept | None:
    """Return what a file of ours says; None if there is none, or none that is whole."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _stated(video: str) -> str:
    """Return what a video is called in files, without what may be a credential."""
    return encodable(storage.shown(video))


def _identity(video: str) -> tuple[int | None, str | None]:
    """Return how large a video's file is, and a digest of both its ends; None if it is none, or not there.

    Of a member of a tar, a digest of its place and of what tells the tar from others; of another URL, of all of it if
    not all of it is stated.
    """
    try:
        if member := shards.member_called(video):
            return member.size, hashlib.sha256(f"{member.start} {member.version}".encode()).hexdigest()
    except VideohubError:  # whoever reads it says so
        return None, None
    if is_url(video):
        hidden = storage.shown(video) != video
        return None, hashlib.sha256(video.encode(errors="surrogateescape")).hexdigest() if hidden else None
    try:
        with open(video, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            sums = hashlib.sha256(file.read(_END))
            file.seek(max(_END, size - _END))
            sums.update(file.read(_END))
    except (OSError, ValueError):
        return None, None
    return size, sums.hexdigest()
