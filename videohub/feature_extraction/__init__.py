"""Features along videos: what a network's classifier would be given, of a window every so many frames."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from videohub import building, metrics
from videohub.convert.kept_weights import weights_digest
from videohub.data.decoded import decoder_versions
from videohub.data.inputs import SLOWEST_FPS, VideoInput, input_name, video_source
from videohub.data.video_info import Contradiction, tell_contradictions, tell_single_picture
from videohub.data.windows import TimedFrames, Window, open_frames, windows
from videohub.devices import supported
from videohub.errors import DownloadError, UsageError, VideoError, VideohubError
from videohub.evaluation import distributed
from videohub.evaluation.batches import Batches, check_finite, device_of, pooled_features, prepares_on
from videohub.evaluation.kept_memory import kept_memory
from videohub.evaluation.prefetch import read_ahead
from videohub.loading import chosen_model
from videohub.models import VideoModel
from videohub.models.inference_form import optimize
from videohub.protocols import PLACES, Crop, Place, Protocol, Spread, SpreadAtRate
from videohub.registry.schema import Record
from videohub.version import __version__
from videohub.worker_pool import usable_cores

__all__ = ["Features", "features"]

CropChoice: TypeAlias = Literal["center", "whole", "three"]
Tail: TypeAlias = Literal["pad", "drop"]

_PLACES: dict[CropChoice, tuple[Place, ...]] = {
    "center": ("centre",),
    "whole": ("whole",),
    "three": ("start", "centre", "end"),
}
_MOST_FRAMES = 4096
_MOST_THREADS = 16  # each holds some windows, of 30 MB for SlowFast
_OF_ONE_VIDEO = (VideoError, UsageError, DownloadError)  # and no matter of the next one


@dataclass(frozen=True, eq=False)
class Features:
    """Features of one video, a row for each window, and how they came about; `values[k]` belongs to `times[k]`."""

    values: npt.NDArray[np.float32]  # (windows, D)
    times: npt.NDArray[np.float64]  # (windows, 3): of the first, the middle and the last frame of each, in seconds
    rate: float  # frames a second that stride, frames and sampling rate count
    stride: int  # from one window to the next, in frames at that rate
    frames: int  # of a window, that the network is given
    sampling_rate: int  # from one of them to the next, in frames at that rate
    crop: CropChoice
    tail: Tail
    record: str
    weights_sha256: str  # of the tensors, under our names
    precision: str
    versions: Mapping[str, str] = field(default_factory=dict)


def features(
    video: VideoInput,
    name_or_model: str | Record | nn.Module,
    *,
    stride: int,
    frames: int | None = None,
    sampling_rate: int | None = None,
    fps: float | None = None,
    crop: CropChoice = "center",
    tail: Tail = "pad",
    checkpoint: str | Path | None = None,
    device: str | torch.device = "cpu",
    precision: str = "fp32",
    batch: int | None = None,
) -> Features:
    """Return features along a video: `model.features` of a window every `stride` frames.

    Window k holds the frames that are shown at (k * stride + j * sampling_rate) / rate seconds, j = 0 … frames - 1. The
    rate is `fps`, whatever the video's own. The video is decoded once, whole; in memory are the frames of open windows,
    however long it is, the result, and some numbers a frame. What counts is its content, as in `predict`: time begins
    with the first frame, pictures are upright, and one line says in what the header contradicts that.

    Args:
        video: As `predict` takes it; frames in memory are taken to be at the rate.
        name_or_model: A record, its id or upstream name, or a model from `videohub.load` or `videohub.build`. It has
            to classify whole frames; a network for images looks at windows of one frame.
        stride: From one window to the next, in frames at the rate.
        frames: Of a window; None: as many as the record's clip has.
        sampling_rate: From one frame of a window to the next, in frames at the rate; None: the record's.
        fps: The rate, in frames a second; None: that of the record's protocol or, where it has none, the video's own.
        crop: "center": the square in the centre, as large as in the record's test; "three": squares at both ends and in
            the centre, whose features are averaged; "whole": the whole resized frame, if the network takes it.
        tail: Of windows that go beyond the end: "pad" repeats the last frame for each that begins before the end,
            "drop" leaves them out.
        checkpoint: A file of one's own instead of the record's URL; see `load`. Not beside a model.
        device: Where to run a model that is loaded here.
        precision: "fp32", "tf32", "bf16" or "fp16"; see `verify`. Nothing is compared with fp32 here.
        batch: Windows at once; None: as many as is good.
    Raises: UsageError, VideoError, DeviceError, DownloadError, and what `load` raises.
    """
    network = Network(name_or_model, stride=stride, frames=frames, sampling_rate=sampling_rate, fps=fps, crop=crop,
                      tail=tail, checkpoint=checkpoint, device=device, precision=precision, batch=batch)  # fmt: skip
    name, values, times = input_name(video), [], []
    for result in network.run([(name, video)]):
        if not isinstance(result, Ended):
            values.append(result.values)
            times.append(result.times)
            continue
        if result.error is not None:
            raise result.error
        tell_contradictions(name, result.contradictions)
        rate = result.rate
    assert rate is not None, "a video without an error has ended"
    return Features(
        values=np.stack(values),
        times=np.array(times, np.float64),
        rate=rate,
        stride=network.sampling.stride,
        frames=network.sampling.frames,
        sampling_rate=network.sampling.sampling_rate,
        crop=crop,
        tail=tail,
        record=network.record.name,
        weights_sha256=network.weights_sha256,
        precision=precision,
        versions=versions(),
    )


# --- windows through a network ---------------------------------------------------------------------------------------


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """Window k of a video holds the frames that are shown at (k * stride + j * sampling_rate) / rate, j from 0 on."""

    stride: int  # from one window to the next, in frames at the rate
    frames: int  # of a window: what the network is given
    sampling_rate: int  # from one of them to the next, in frames at the rate
    fps: float | None  # the rate, in frames a second; None: each video's own
    crop: CropChoice
    tail: Tail

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be asked."""
        for name in ("stride", "frames", "sampling_rate"):
            if not hasattr(value := getattr(self, name), "__index__") or value < 1:
                raise UsageError(f"{name}: found {value}, expected at least 1, in whole frames")
        if self.frames > _MOST_FRAMES:
            raise UsageError(
                f"frames: found {self.frames}, expected at most {_MOST_FRAMES}: a window is in memory as a whole"
            )
        if self.fps is not None and not SLOWEST_FPS <= self.fps <= 1000:
            raise UsageError(f"fps: found {self.fps}, expected frames a second, from {SLOWEST_FPS:g} to 1000")
        if self.crop not in _PLACES:
            raise UsageError(f"crop: found {self.crop!r}, expected {', '.join(_PLACES)}")
        if self.tail not in (tails := get_args(Tail)):
            raise UsageError(f"tail: found {self.tail!r}, expected {' or '.join(tails)}")

    @property
    def span(self) -> int:
        """Return how many frames at the rate a window covers."""
        return self.frames * self.sampling_rate

    def times(self, rate: float) -> Iterator[list[float]]:
        """Yield the times of the frames of each window, in seconds, without end."""
        for window in itertools.count():
            yield [(window * self.stride + frame * self.sampling_rate) / rate for frame in range(self.frames)]


@dataclass(frozen=True, eq=False)
class WindowFeatures:
    """The features of one window."""

    video: str
    number: int  # of the windows of its video, from 0
    times: tuple[float, float, float]  # of its first, middle and last frame, in seconds
    values: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))  # (D,), once it was seen


@dataclass(frozen=True, eq=False)
class Ended:
    """A video has been seen to its end, or cannot be."""

    video: str
    rate: float | None = None  # frames a second at which its windows were taken; None if it failed
    contradictions: tuple[Contradiction, ...] = ()
    error: VideohubError | None = None


class Network:
    """A network that is ready to look at windows of videos, in its inference form."""

    def __init__(
        self,
        name_or_model: str | Record | nn.Module,
        *,
        stride: int,
        frames: int | None,
        sampling_rate: int | None,
        fps: float | None,
        crop: CropChoice,
        tail: Tail,
        checkpoint: str | Path | None,
        device: str | torch.device,
        precision: str,
        batch: int | None,
        threads: int | None = None,
    ) -> None:
        """Load what was chosen; arguments and errors are those of `features`.

        What can be refused is, before anything is fetched.

        Args:
            threads: Videos that are decoded at once, ahead of the network; 0: one, as its windows are asked for; None:
                what the device can use.
        """
        chosen = chosen_model(name_or_model, verb="features", checkpoint=checkpoint, device=device)
        record = self.record = chosen.record
        self.sampling = Sampling(
            stride=stride,
            frames=record.clip.frames if frames is None else frames,
            sampling_rate=record.clip.sampling_rate if sampling_rate is None else sampling_rate,
            fps=record.protocol.fps if fps is None else fps,
            crop=crop,
            tail=tail,
        )
        if metrics.of(record.protocol.metric).by_box:
            raise UsageError(
                f"{record.name}: this network gives features of people in given boxes, and none of whole frames.\n"
                "  Take a classifier, such as the one that it was trained from, or call model.features(clip, boxes)."
            )
        self.protocol = _protocol(record, self.sampling)
        if size := self.protocol.crop_size:
            building.check_takes(record, self.sampling.frames, size, size)
        numeric = supported(precision, chosen.device)
        model = cast(VideoModel, chosen.loaded())
        self._device = device_of(model)
        self.weights_sha256 = weights_digest(model.state_dict())  # as they were read; the inference form joins some
        self.num_features = model.num_features  # D
        self._threads = _usual_threads(self._device) if threads is None else threads
        self._batches = Batches(optimize(model), self.protocol, numeric, size=batch, compute=pooled_features)
        self._checked: set[tuple[int, ...]] = set()  # shapes that the network takes

    def run(self, videos: Iterable[tuple[str, VideoInput]]) -> Generator[WindowFeatures | Ended, None, None]:
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
                check_finite(values, f"{entry.video}, window {entry.number + 1}", self._batches.precision)
                yield replace(entry, values=values.mean(axis=0))

    def _entries(
        self, video: tuple[str, VideoInput]
    ) -> Generator[tuple[WindowFeatures | Ended, Window | None], None, None]:
        """Yield the windows of a video, and behind them that it has ended."""
        name, given = video
        try:
            with (
                video_source(given, self.protocol) as source,
                open_frames(source.file, share=max(1, self._threads)) as frames,
            ):
                rate = self.sampling.fps or frames.rate
                if rate is None:
                    raise VideoError(f"{frames.path}: states no frame rate; say by fps at which it is to be taken")
                window = None
                for window in self._windows(frames, rate):
                    first, middle, last = (float(window.times[at]) for at in (0, len(window.times) // 2, -1))
                    yield WindowFeatures(name, window.number, (first, middle, last)), window
                if window is None:
                    raise VideoError(
                        f"{frames.path}: shorter than a window of {self.sampling.span / rate:.2f} s, and windows "
                        'that go beyond the end are dropped; tail "pad" repeats the last frame'
                    )
                if self.sampling.frames > 1 and window.times[-1] == 0:  # still the first picture
                    tell_single_picture(input_name(given), self.sampling.frames)
                ended = Ended(name, rate, frames.contradictions())
        except _OF_ONE_VIDEO as error:
            ended = Ended(name, error=type(error)(str(error)))  # anew: its traceback would keep frames
        yield ended, None

    def _windows(self, frames: TimedFrames, rate: float) -> Iterator[Window]:
        """Yield the windows of a video that the network takes. Raises: UsageError if it does not."""
        times = self.sampling.times(rate)
        needed = 0 if self.sampling.tail == "pad" else -1  # which frame of a window lies in the video for sure
        for window in windows(frames, times, self.protocol, needed=needed, device=prepares_on(self._device)):
            if window.shape not in self._checked:
                building.check_takes(self.record, *window.shape[2:])
                self._checked.add(window.shape)
            yield window


def versions() -> dict[str, str]:
    """Return which software makes features."""
    return {"videohub": __version__, "torch": str(torch.__version__), **decoder_versions()}


def _protocol(record: Record, sampling: Sampling) -> Protocol:
    """Return a record's protocol with the crops that are asked for; its rule of frames stands for the rate alone.

    Where it cuts no crop, as some cut none out of images of a fixed size, the whole frame is the crop in the centre.
    Raises: UsageError if the protocol does not place three crops.
    """
    protocol, places = record.protocol, _PLACES[sampling.crop]
    crop = next((step for step in protocol.pixels if isinstance(step, Crop)), None)
    if crop is None and sampling.crop == "center":
        places = ("whole",)
    known = PLACES[crop.arithmetic] if crop is not None else ()
    if places != ("whole",) and not set(places) <= set(known):
        raise UsageError(
            f"crop: found {sampling.crop!r}, and the test of {record.name} knows {', '.join(known) or 'whole frames'}; "
            "expected center or whole"
        )
    pixels = protocol.whole_frame_steps if places == ("whole",) else protocol.pixels
    views = msgspec.structs.replace(protocol.views, clips=1, crops=places)
    # any rule that takes videos, whose frames an image's network looks at, too
    rate = SpreadAtRate(fps=sampling.fps, past_end="loop") if sampling.fps else Spread(past_end="repeat")
    return msgspec.structs.replace(protocol, frames=rate, pixels=pixels, views=views)


def _usual_threads(device: torch.device) -> int:
    """Return how many videos are decoded at once: on a CPU the network wants the cores, a GPU wants them all busy."""
    if device.type != "cuda":
        return 0
    return max(1, min(_MOST_THREADS, usable_cores() // distributed.local_world_size()))
