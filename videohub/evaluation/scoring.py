"""Videos through one or more models: what every view of every sample is found to be, in the samples' order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor, nn

from videohub import registry
from videohub.data.decoded import Decoded
from videohub.data.frame_formats import DECODERS, Decoder
from videohub.data.inputs import VideoInput, input_name, video_source
from videohub.data.samples import Sample
from videohub.data.spec import TestSpec, check_shared
from videohub.data.video_info import Contradiction
from videohub.data.views import Views, read_views, views_of_shared
from videohub.devices import NumericPrecision
from videohub.errors import UsageError, VideoError
from videohub.evaluation.batches import Batches, Scores, check_finite, device_of, prepares_on
from videohub.evaluation.decoding import Failure, Outcomes, decode_all
from videohub.evaluation.kept_memory import kept_memory
from videohub.evaluation.prefetch import prepared
from videohub.log import log
from videohub.registry.schema import Record

Numbered: TypeAlias = tuple[int, Sample]


@dataclass(frozen=True, eq=False)
class EvalModel:
    """A model that is evaluated, and how.

    `model` is on the device where it is to run, in evaluation mode; all models of an evaluation are on the same.
    `precision` is one that the device can compute in; `choose_precision` tries others than fp32 beforehand.
    `pending` says of a sample's number whether the model is to score it; it is asked when the sample is taken, and
    again before it is scored.
    """

    model: nn.Module
    spec: TestSpec
    precision: NumericPrecision = "fp32"
    pending: Callable[[int], bool] = lambda number: True


@dataclass(frozen=True, eq=False)
class Scored:
    """What a model makes of one sample, or why there is nothing to be had of it."""

    model: int  # place in the list of models
    index: int
    sample: Sample
    scores: Scores | None  # (V, classes) float32 probabilities of every view, in order; AVA: (K, 80), one row a box
    views: str | None  # sha256 over the time stamps and decoding positions of all frames: the identity of the views
    failure: str | None
    contradictions: tuple[Contradiction, ...] = ()  # of the video's header and its content


class Evaluation(Iterator[Scored]):
    """A run that is under way. Its worker processes end with it: when it is exhausted, closed or forgotten."""

    def __init__(self, batches: list[Batches], results: Generator[Scored, None, None]) -> None:
        self.batches, self._results = batches, results  # of each model its batches

    def __iter__(self) -> Evaluation:
        return self

    def __next__(self) -> Scored:
        return next(self._results)

    def close(self) -> None:
        """End the run where it is."""
        self._results.close()


def evaluate(
    models: Sequence[EvalModel],
    samples: Iterable[Numbered],
    *,
    workers: int,
    batch: int | None = None,
    decoder: Decoder = DECODERS[0],
) -> Evaluation:
    """Score samples, each decoded once for all models, and yield them for each model in their order.

    A sample that cannot be decoded is reported as such, never replaced. On a CPU the scores of a sample are the same
    bits whichever samples and models are scored with it.

    Args:
        models: The models, which must share the frames of their tests.
        samples: Each with a number of the caller's; they are taken as they are needed.
        workers: Processes that decode; 0: this one decodes, and a decoder that hangs or crashes takes it along.
        batch: Views that go through a model together; None: as many as is good, see `Batches`.
        decoder: See `decode_shared`.
    Raises: UsageError if an argument is out of its range; DeviceError if the worker processes are not to be had here,
        or a view does not fit into the device's memory. What a model raises is not caught.
    """
    if workers < 0:
        raise UsageError(f"workers: found {workers}, expected 0 or more")
    specs = [each.spec for each in models]
    check_shared(specs)
    batches = [Batches(each.model, each.spec.protocol, each.precision, size=batch) for each in models]
    pending = ((each, each[1].source) for each in samples if any(model.pending(each[0]) for model in models))
    decoded = decode_all(pending, specs, workers=workers, decoder=decoder)
    return Evaluation(batches, _scored(models, batches, decoded))


def _scored(
    models: Sequence[EvalModel],
    batches: Sequence[Batches],
    decoded: Generator[tuple[Numbered, Outcomes], None, None],
) -> Generator[Scored, None, None]:
    device = device_of(models[0].model)
    views = closing(prepared(decoded, _into_views([each.spec for each in models], device), device))
    with closing(decoded), kept_memory(device), views as samples:
        for (index, sample), outcomes in samples:
            for place, (model, filled) in enumerate(zip(models, batches, strict=True)):
                if model.pending(index):
                    yield from _checked(filled, filled.take(*_entry(place, index, sample, outcomes[place])))
        for filled in batches:
            yield from _checked(filled, filled.rest())


_Viewed: TypeAlias = tuple[str, Views]  # the views' identity, and they themselves


def _into_views(specs: Sequence[TestSpec], device: torch.device) -> Callable[[Outcomes], list[_Viewed | Failure]]:
    """Return what makes the views of each model from decoded frames."""

    def into_views(outcomes: Outcomes) -> list[_Viewed | Failure]:
        used = [spec for each, spec in zip(outcomes, specs, strict=True) if isinstance(each, Decoded)]
        decoded = [each for each in outcomes if isinstance(each, Decoded)]
        try:
            made = iter(views_of_shared(decoded, used, prepares_on(device)))
        except VideoError as error:  # too large for the memory, or the device
            return [each if isinstance(each, Failure) else Failure(str(error)) for each in outcomes]
        return [each if isinstance(each, Failure) else (_identity(each), next(made)) for each in outcomes]

    return into_views


def _entry(place: int, index: int, sample: Sample, outcome: _Viewed | Failure) -> tuple[Scored, Views | None]:
    """Return what is known of a sample before it is scored, and its views if it has any."""
    if isinstance(outcome, Failure):
        return Scored(place, index, sample, scores=None, views=None, failure=outcome.reason), None
    identity, views = outcome
    entry = Scored(place, index, sample, None, views=identity, failure=None, contradictions=views.contradictions)
    return entry, views


def _checked(batches: Batches, done: Iterator[tuple[Scored, Scores | None]]) -> Iterator[Scored]:
    for entry, scores in done:
        if scores is not None:
            check_finite(scores, entry.sample.name, batches.precision)
        yield replace(entry, scores=scores)


def _identity(decoded: Decoded) -> str:
    """Say which frames the views are made of, in the same words on every machine."""
    sums = hashlib.sha256()
    for numbers in (decoded.pts, decoded.decode_positions):
        sums.update(numbers.astype("<i8").tobytes())
    return sums.hexdigest()


# --- one video -------------------------------------------------------------------------------------------------------


def views(video: VideoInput, record_or_name: str | Record, *, fps: float | None = None) -> Tensor:
    """Return every test view of a video, (V, 3, T, H, W) float32, exactly as the record's protocol says.

    View v is clip v // crops under crop v % crops. The video is decoded once. Where its header contradicts its content,
    these are the views that the original makes of it, as in `verify`, and one line says so; `predict` follows the
    content.

    Args:
        video: A path, a URL, bytes, an open file, or frames in memory; see `predict`.
        fps: Frames a second of frames in memory; None: the rate that the record's sampling refers to, or 30.
    Raises: UsageError if there is no such file; VideoError if it holds no usable pictures, or the original refuses it.
    """
    record = registry.record(record_or_name)
    with video_source(video, record.protocol, fps=fps) as source:
        made = read_views(source.file, record.protocol, record.clip)
    if made.contradictions:
        contradictions = "; ".join(map(str, made.contradictions))
        log.warning(
            "%s: the header contradicts the content; the original, which is followed, believes it: %s",
            input_name(video),
            contradictions,
        )
    return made.stack()
