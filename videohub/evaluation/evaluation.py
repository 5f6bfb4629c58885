"""A data set through one or more models: what every view of every sample is found to be, in the samples' order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from videohub.data.contradictions import Contradiction
from videohub.data.decoded import Decoded
from videohub.data.forms import DECODERS, Decoder
from videohub.data.recipes import Recipe, check_shared
from videohub.data.samples import Sample
from videohub.data.views import Views, views_of_shared
from videohub.errors import UsageError, VideoError, VideohubError
from videohub.evaluation.batches import Batches, Scores, device_of, prepares_on
from videohub.evaluation.decoding import Failure, Outcomes, decode_all
from videohub.evaluation.kept_memory import kept_memory
from videohub.evaluation.precision import TRIED, Settled, settle
from videohub.evaluation.preparing import prepared

Numbered: TypeAlias = tuple[int, Sample]


def everything(_: int) -> bool:
    """Want every sample."""
    return True


@dataclass(frozen=True, eq=False)
class Contender:
    """A model that is evaluated, and how.

    `model` is on the device where it is to run, in evaluation mode; all contenders of an evaluation are on the same.
    `precision`: see `settle`, which tries another one than fp32 on the first samples; or what it returned.
    `wants` says of a sample's number whether the contender is to score it; it is asked when the sample is taken, and
    again before it is scored.
    """

    model: nn.Module
    recipe: Recipe
    precision: str | Settled = "fp32"
    wants: Callable[[int], bool] = everything


@dataclass(frozen=True, eq=False)
class Scored:
    """What a model makes of one sample, or why there is nothing to be had of it."""

    contender: int  # place in the list of contenders
    index: int
    sample: Sample
    scores: Scores | None  # (V, classes) float32 probabilities of every view, in order; AVA: (K, 80), one row a box
    views: str | None  # sha256 over the time stamps and decoding positions of all frames: the identity of the views
    failure: str | None
    contradictions: tuple[Contradiction, ...] = ()  # of the video's header and its content


class Evaluation(Iterator[Scored]):
    """A run that is under way. Its worker processes end with it: when it is exhausted, closed or forgotten."""

    def __init__(self, settled: list[Settled], batches: list[Batches], results: Generator[Scored, None, None]) -> None:
        self.settled = settled  # of each contender
        self._batches, self._results = batches, results

    @property
    def batch_sizes(self) -> list[dict[tuple[int, ...], int]]:
        """Return how many views go through each model together, by their shape (3, T, H, W), as of now."""
        return [dict(batches.sizes) for batches in self._batches]

    def __iter__(self) -> Evaluation:
        return self

    def __next__(self) -> Scored:
        return next(self._results)

    def close(self) -> None:
        """End the run where it is."""
        self._results.close()


def evaluate(
    contenders: Sequence[Contender],
    samples: Iterable[Numbered],
    *,
    workers: int,
    batch: int | None = None,
    timeout_s: float = 120,
    decoder: Decoder = DECODERS[0],
) -> Evaluation:
    """Score samples, each decoded once for all models, and yield them for each model in their order.

    A sample that cannot be decoded is reported as such, never replaced. On a CPU the scores of a sample are the same
    bits whichever samples and models are scored with it.

    Args:
        contenders: The models, which must share the frames of their tests.
        samples: Each with a number of the caller's; they are taken as they are needed.
        workers: Processes that decode; 0: this one decodes, and a decoder that hangs or crashes takes it along.
        batch: Views that go through a model together; None: as many as is good, see `Batches`.
        timeout_s: Seconds that decoding one sample may take before it is given up.
        decoder: See `decode_shared`.
    Raises: UsageError if an argument is out of its range; DeviceError if a precision or the worker processes are not
        to be had here, or a view does not fit into the device's memory. What a model raises is not caught.
    """
    if workers < 0:
        raise UsageError(f"workers: found {workers}, expected 0 or more")
    recipes = [contender.recipe for contender in contenders]
    check_shared(recipes)
    samples = iter(samples)
    settled: list[Settled] = []
    for contender in contenders:
        if isinstance(precision := contender.precision, str):
            first = list(islice(samples, TRIED)) if precision != "fp32" else []
            samples = chain(first, samples)
            few = [sample for _, sample in first]
            precision = settle(
                precision, contender.model, contender.recipe, few, workers=workers, timeout_s=timeout_s,
                decoder=decoder,
            )  # fmt: skip
        settled.append(precision)
    batches = [
        Batches(contender.model, contender.recipe.protocol, precision.name, size=batch)
        for contender, precision in zip(contenders, settled, strict=True)
    ]
    wanted = ((each, each[1].source) for each in samples if any(contender.wants(each[0]) for contender in contenders))
    decoded = decode_all(wanted, recipes, workers=workers, timeout_s=timeout_s, decoder=decoder)
    return Evaluation(settled, batches, _scored(contenders, batches, decoded))


def _scored(
    contenders: Sequence[Contender],
    batches: Sequence[Batches],
    decoded: Generator[tuple[Numbered, Outcomes], None, None],
) -> Generator[Scored, None, None]:
    recipes = [contender.recipe for contender in contenders]
    device = device_of(contenders[0].model)
    views = closing(prepared(decoded, _into_views(recipes, device), device))
    with closing(decoded), kept_memory(device), views as samples:
        for (index, sample), outcomes in samples:
            for place, (contender, own) in enumerate(zip(contenders, batches, strict=True)):
                if contender.wants(index):
                    yield from _checked(own, own.take(*_entry(place, index, sample, outcomes[place])))
        for own in batches:
            yield from _checked(own, own.rest())


_Viewed: TypeAlias = tuple[str, Views]  # the views' identity, and they themselves


def _into_views(recipes: Sequence[Recipe], device: torch.device) -> Callable[[Outcomes], list[_Viewed | Failure]]:
    """Return what makes the views of each contender from decoded frames."""

    def views(outcomes: Outcomes) -> list[_Viewed | Failure]:
        own = [recipe for each, recipe in zip(outcomes, recipes, strict=True) if isinstance(each, Decoded)]
        decoded = [each for each in outcomes if isinstance(each, Decoded)]
        try:
            made = iter(views_of_shared(decoded, own, prepares_on(device)))
        except VideoError as error:  # too large for the memory, or the device
            return [each if isinstance(each, Failure) else Failure(str(error)) for each in outcomes]
        return [each if isinstance(each, Failure) else (_identity(each), next(made)) for each in outcomes]

    return views


def _entry(place: int, index: int, sample: Sample, outcome: _Viewed | Failure) -> tuple[Scored, Views | None]:
    """Return what is known of a sample before it is scored, and its views if it has any."""
    if isinstance(outcome, Failure):
        return Scored(place, index, sample, scores=None, views=None, failure=outcome.reason), None
    identity, views = outcome
    known = Scored(place, index, sample, None, views=identity, failure=None, contradictions=views.contradictions)
    return known, views


def _checked(batches: Batches, done: Iterator[tuple[Scored, Scores | None]]) -> Iterator[Scored]:
    for known, scores in done:
        if scores is not None and not np.isfinite(scores).all():
            raise VideohubError(
                f"{known.sample.name}: the network gives probabilities that are not numbers, computing in "
                f"{batches.precision}; look at its weights, or choose precision fp32 if that is another one"
            )
        yield replace(known, scores=scores)


def _identity(decoded: Decoded) -> str:
    """Say which frames the views are made of, in the same words on every machine."""
    sums = hashlib.sha256()
    for numbers in (decoded.pts, decoded.decode_positions):
        sums.update(numbers.astype("<i8").tobytes())
    return sums.hexdigest()
