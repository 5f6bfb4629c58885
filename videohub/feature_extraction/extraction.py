"""Videos through a network: the features of every window, video by video; several of them share a batch."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from videohub.data.inputs import VideoInput, video_source
from videohub.data.video_info import Contradiction
from videohub.data.windows import TimedFrames, Window, open_frames, windows
from videohub.errors import DownloadError, UsageError, VideoError, VideohubError
from videohub.evaluation import distributed
from videohub.evaluation.batches import Batches, check_finite, device_of, pooled_features, prepares_on
from videohub.evaluation.kept_memory import kept_memory
from videohub.evaluation.read_ahead import read_ahead
from videohub.feature_extraction.sampling import Sampling, check_shape, protocol_of
from videohub.numeric_precision import NumericPrecision
from videohub.registry.schema import Record
from videohub.worker_pool import usable_cores

_Key = TypeVar("_Key")
_MOST_THREADS = 16  # each holds some windows, of 30 MB for SlowFast
_OF_ONE_VIDEO = (VideoError, UsageError, DownloadError)  # and no matter of the next one


@dataclass(frozen=True, eq=False)
class WindowFeatures(Generic[_Key]):
    """The features of one window."""

    key: _Key
    values: npt.NDArray[np.float32]  # (D,)
    times: tuple[float, float, float]  # of its first, middle and last frame, in seconds


@dataclass(frozen=True, eq=False)
class Ended(Generic[_Key]):
    """A video has been seen to its end, or cannot be."""

    key: _Key
    rate: float | None = None  # frames a second at which its windows were taken; None if it failed
    contradictions: tuple[Contradiction, ...] = ()
    error: VideohubError | None = None


@dataclass(frozen=True, eq=False)
class _Place(Generic[_Key]):
    """Which window of which video something is."""

    key: _Key
    number: int
    times: npt.NDArray[np.float64]  # (T,)


_Entry: TypeAlias = "tuple[_Place[_Key] | Ended[_Key], Window | None]"


class Extraction:
    """A network that looks at windows of videos."""

    def __init__(
        self,
        model: nn.Module,
        record: Record,
        sampling: Sampling,
        precision: NumericPrecision,
        *,
        batch: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Set up for a model in its inference form, on its device.

        Args:
            batch: Windows' crops that go through it together; None: as many as is good.
            threads: Videos that are decoded at once, ahead of the network; 0: one, as its windows are asked for; None:
                what the device can use.
        Raises: UsageError if one of them is out of its range.
        """
        if threads is not None and threads < 0:
            raise UsageError(f"threads: found {threads}, expected 0 or more")
        self._record, self._sampling = record, sampling
        self._protocol = protocol_of(record, sampling)
        self._device = device_of(model)
        self._threads = _usual_threads(self._device) if threads is None else threads
        self._batches = Batches(model, self._protocol, precision, size=batch, compute=pooled_features)
        self._checked: set[tuple[int, ...]] = set()  # shapes that the network takes

    def run(
        self, videos: Iterable[tuple[_Key, VideoInput]]
    ) -> Generator[WindowFeatures[_Key] | Ended[_Key], None, None]:
        """Yield the features of each window of a video in their order, then that it has ended; then of the next video.

        Of several crops the features are averaged. What a damaged video gave before the damage is followed by its
        error. Each video is decoded once, while it is asked for; on a CPU the features of a window have the same bits
        whichever videos share its batches.
        Raises: DeviceError if a window does not fit into the memory; VideohubError for features that are no numbers.
        """
        entries = read_ahead(videos, self._entries, threads=self._threads)
        with closing(entries), kept_memory(self._device):
            for entry, values in self._batches.scored(entries):
                if isinstance(entry, Ended):
                    yield entry
                    continue
                assert values is not None, "a window has a crop"
                check_finite(values, f"{entry.key}, window {entry.number + 1}", self._batches.precision)
                first, middle, last = (float(entry.times[place]) for place in (0, len(entry.times) // 2, -1))
                yield WindowFeatures(entry.key, values.mean(axis=0), (first, middle, last))

    def _entries(self, video: tuple[_Key, VideoInput]) -> Generator[_Entry[_Key], None, None]:
        """Yield the windows of a video, and behind them that it has ended."""
        key, given = video
        try:
            with (
                video_source(given, self._protocol) as source,
                open_frames(source.file, share=max(1, self._threads)) as frames,
            ):
                rate = self._sampling.fps or frames.rate
                if rate is None:
                    raise VideoError(f"{frames.path}: states no frame rate; say by fps at which it is to be taken")
                count = 0
                for window in self._windows(frames, rate):
                    yield _Place(key, window.number, window.times), window
                    count += 1
                if not count:
                    raise VideoError(
                        f"{frames.path}: shorter than a window of {self._sampling.span / rate:.2f} s, and windows "
                        'that go beyond the end are dropped; tail "pad" repeats the last frame'
                    )
                ended = Ended(key, rate, frames.contradictions())
        except _OF_ONE_VIDEO as error:
            ended = Ended(key, error=type(error)(str(error)))  # anew: its traceback would keep frames
        yield ended, None

    def _windows(self, frames: TimedFrames, rate: float) -> Iterator[Window]:
        """Yield the windows of a video that the network takes. Raises: UsageError if it does not."""
        times, needed = self._sampling.times(rate), self._sampling.needed
        for window in windows(frames, times, self._protocol, needed=needed, device=prepares_on(self._device)):
            if window.shape not in self._checked:
                check_shape(self._record, window.shape[1:])
                self._checked.add(window.shape)
            yield window


def _usual_threads(device: torch.device) -> int:
    """Return how many videos are decoded at once: on a CPU the network wants the cores, a GPU wants them all busy."""
    if device.type != "cuda":
        return 0
    return max(1, min(_MOST_THREADS, usable_cores() // distributed.local_world_size()))
