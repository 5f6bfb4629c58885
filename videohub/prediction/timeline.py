"""What a model sees along a video: a window of so many seconds after another, in one pass over it."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsFloat

import torch
from tqdm import tqdm

from videohub.data.annotated_video import annotate_video, checked_target, draw_caption
from videohub.data.inputs import VideoInput, input_name, video_source
from videohub.data.samples import StoredFile
from videohub.data.video_info import tell_contradictions
from videohub.data.windows import SHORTEST_S, TimedFrames, Window, open_frames, windows
from videohub.devices import NumericPrecision
from videohub.errors import UsageError, VideohubError
from videohub.evaluation.batches import Batches, at_once, check_finite, prepares_on
from videohub.evaluation.kept_memory import kept_memory
from videohub.evaluation.precision_choice import agreed_precision
from videohub.loading import ChosenModel, NameOrModel
from videohub.prediction import Prediction, WhichViews, best_of, chosen_classifier, ready_classifier
from videohub.protocols import Protocol
from videohub.registry.labels import Given
from videohub.registry.schema import Clip, Record

CAPTION_LINES = 3  # classes at a time that are written over a video
_USUAL_RATE = 30.0  # frames a second, where nothing tells it
_ROUNDING = 1e-6  # of a frame


@dataclass(frozen=True)
class PredictedWindow:
    """What a model sees in a part of a video, best first."""

    start: float  # seconds from the first frame
    end: float
    predictions: list[Prediction]


@dataclass(frozen=True)
class Timeline:
    """What a model sees along one of several videos, window after window; or why it sees nothing."""

    name: str
    windows: list[PredictedWindow]
    error: VideohubError | None = None


def predict_windows(
    video: VideoInput,
    name_or_model: NameOrModel,
    *,
    window: float = 2.0,
    topk: int = 5,
    views: WhichViews = "one",
    annotate: str | Path | None = None,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    fps: float | None = None,
) -> list[PredictedWindow]:
    """Return the most probable classes of each part of a video, one after another, best first.

    The clip that the network is given lies in the middle of its window, its frames as far apart as in the record's
    test; where it lasts longer than the window it reaches beyond both ends. Of networks whose test spreads a clip over
    the whole video, it is spread over the window. At both ends of the video its first and last frames are repeated.
    The last window ends with the video, and may be shorter. One pass is made over the video, whose content counts, as
    in `predict`; in memory are the frames of a few windows.

    Args:
        window: Seconds of each, at least a hundredth.
        views: "one": the centre crop. "protocol": all crops of the record's test.
        annotate: Also write a copy of the video with the best three classes over each window; .mp4, .mov or .mkv.
        video, name_or_model, topk, checkpoint, labels, device, precision, fps: As for `predict`.
    Raises: as `predict`, and what `annotate_video` raises.
    """
    (only,) = timelines([video], name_or_model, window=window, topk=topk, views=views, annotate=annotate,
                        checkpoint=checkpoint, labels=labels, device=device, precision=precision, fps=fps)  # fmt: skip
    if only.error is not None:
        raise only.error
    return only.windows


def timelines(
    videos: Iterable[VideoInput],
    name_or_model: NameOrModel,
    *,
    window: float,
    topk: int = 5,
    views: WhichViews = "one",
    annotate: str | Path | None = None,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    fps: float | None = None,
) -> Iterator[Timeline]:
    """Yield what is seen along each of several videos; see `predict_windows`. A broken one costs no other.

    Raises: when it is called, UsageError for what cannot be for any video; while it goes on, what `load` raises.
    """
    if not isinstance(window, SupportsFloat) or not SHORTEST_S <= window < math.inf:
        raise UsageError(f"window: found {window!r}, expected seconds, at least {SHORTEST_S}")
    chosen = chosen_classifier(
        name_or_model, topk, views, precision, checkpoint=checkpoint, labels=labels, device=device
    )
    if chosen.record.protocol.frames.reach == "image":
        raise UsageError(
            f"{chosen.record.name}: this network looks at images, which have no time; leave out the window"
        )
    target = None if annotate is None else checked_target(annotate)
    if target is not None and not (isinstance(videos, Sized) and len(videos) == 1):
        raise UsageError(f"{target}: found several videos to annotate, expected one")
    return _timelines(videos, chosen, window, topk, views, target, precision, fps)


def clip_times(protocol: Protocol, clip: Clip, begin: float, seconds: float, rate: float) -> list[float]:
    """Return from when on the frames of the clip of a window are shown, in seconds, ascending: (T,).

    The window begins at `begin` and lasts `seconds`, both in seconds; the video has `rate` frames in one. The clip
    covers what it covers in the record's test, and its middle is the window's; times between two frames are rounded
    down, as there.
    """
    rule, frames = protocol.frames, clip.frames
    if rule.spacing == "parts":
        times = [begin + seconds * (part + 0.5) / frames for part in range(frames)]
    else:
        fps = protocol.fps or rate
        covered = max(frames * clip.sampling_rate / fps - 1 / rate, 0.0)  # from the first frame's time to the last's
        if rule.spacing == "stride":
            covered = (frames - 1) * clip.sampling_rate / fps
        first = begin + (seconds - covered - 1 / rate) / 2
        times = [first + covered * number / max(frames - 1, 1) for number in range(frames)]
    return [math.floor(time * rate + _ROUNDING) / rate for time in times]


def _timelines(
    videos: Iterable[VideoInput],
    chosen: ChosenModel,
    window: float,
    topk: int,
    which: WhichViews,
    target: Path | None,
    precision: str,
    fps: float | None,
) -> Iterator[Timeline]:
    """Yield what is seen along each video; the model is loaded once."""
    ready: _Ready | None = None
    protocol = chosen.record.protocol
    crops = protocol if which == "protocol" else protocol.middle_view()[0]
    for video in videos:
        name = input_name(video)
        first: Window | None = None
        try:
            with video_source(video, protocol, fps=fps) as source:
                with open_frames(source.file) as frames:
                    seen = _windows(frames, chosen.record, crops, window, chosen.device)
                    first = next(seen)
                    ready = ready or _Ready(chosen, precision)
                    predictions = ready.predicted(first, seen, frames, window, topk)
                    tell_contradictions(name, frames.contradictions())
                if target is not None:
                    _annotate(source.file, target, predictions)
        except VideohubError as error:
            if first is not None and ready is None:  # no video's fault: there is no model to see any of them
                raise
            yield Timeline(name, [], error)
        else:
            yield Timeline(name, predictions)


def _windows(
    frames: TimedFrames, record: Record, crops: Protocol, seconds: float, device: torch.device
) -> Iterator[Window]:
    """Yield the windows along a video."""
    rate = frames.rate or _USUAL_RATE
    times = (
        clip_times(record.protocol, record.clip, begin, end - begin, rate) for begin, end in _parts(frames, seconds)
    )
    # where nothing tells how many parts there are, those count whose middle lies in the video
    needed = record.clip.frames // 2 if frames.seconds is None else 0
    return windows(frames, times, crops, needed=needed, device=prepares_on(device))


def _parts(frames: TimedFrames, seconds: float) -> Iterator[tuple[float, float]]:
    """Yield where each window of a video begins and ends; what is left of less than half a frame is none."""
    for number in itertools.count():
        begin, end = number * seconds, (number + 1) * seconds
        if frames.seconds is not None:
            if number and frames.seconds - begin <= frames.step / 2:
                return
            end = min(end, frames.seconds)
        yield begin, end


class _Ready:
    """A model that was loaded for the first window that there is."""

    def __init__(self, chosen: ChosenModel, precision: str) -> None:
        self._model, self._record = ready_classifier(chosen)
        self._device, self._precision = chosen.device, precision
        self._numeric: NumericPrecision | None = None

    def predicted(
        self, first: Window, others: Iterator[Window], frames: TimedFrames, seconds: float, topk: int
    ) -> list[PredictedWindow]:
        """Return what is seen in each window of a video."""
        protocol, name = self._record.protocol, str(frames.path)
        if self._numeric is None:
            self._numeric = agreed_precision(self._precision, self._model, protocol, lambda: [first]).name
        probably = sum(1 for _ in _parts(frames, seconds)) if frames.seconds else None
        at_most = at_once(first.shape[1:], self._device)
        size = at_most if probably is None else min(at_most, probably * len(first))
        predictions, parts = [], _parts(frames, seconds)
        with (
            kept_memory(self._device),
            tqdm(total=probably, desc=self._record.name, unit="window", leave=False, disable=None) as bar,
        ):
            batches = Batches(self._model, protocol, self._numeric, size=size)
            keyed = ((each.number, each) for each in itertools.chain([first], others))
            for (begin, end), (_, scores) in zip(parts, batches.scored(keyed), strict=False):
                assert scores is not None  # each window has its frames
                check_finite(scores, name, self._numeric)
                bar.update()
                predictions.append(PredictedWindow(begin, end, best_of(scores, self._record, topk)))
        return predictions


def _annotate(path: StoredFile, target: Path, predictions: Sequence[PredictedWindow]) -> None:
    """Write a copy of a video with the best classes of each window over its frames."""
    starts = [each.start for each in predictions]
    lines = [[f"{100 * one.probability:.0f} %  {one.label}" for one in each.predictions[:CAPTION_LINES]]
             for each in predictions]  # fmt: skip

    with tqdm(desc=target.name, unit="frame", leave=False, disable=None) as bar:
        annotate_video(
            path,
            target,
            lambda canvas, seconds: draw_caption(canvas, lines[max(bisect.bisect_right(starts, seconds) - 1, 0)]),
            progress=bar.update,
        )
