"""A data set through a model: what every view of every sample is found to be, in the order of the samples."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
import torch
from torch import nn

from videohub.benchmark.batches import Batches, Scores, device_of
from videohub.benchmark.decoders import Failure, decode_all
from videohub.benchmark.precision import TRIED, Settled, settle
from videohub.data.decoded import Decoded
from videohub.data.samples import Sample
from videohub.data.views import Views, views_of
from videohub.errors import UsageError, VideohubError
from videohub.registry.schema import Clip, Protocol


@dataclass(frozen=True, eq=False)
class Scored:
    """What a model makes of one sample, or why there is nothing to be had of it."""

    index: int
    sample: Sample
    scores: Scores | None  # (V, classes) float32 probabilities of every view, in order; AVA: (K, 80), one row a box
    views: str | None  # sha256 over the time stamps and decoding positions of all frames: the identity of the views
    failure: str | None


class Evaluation(Iterator[Scored]):
    """A run that is under way. Its decoder processes end with it: when it is exhausted, closed or forgotten."""

    def __init__(self, settled: Settled, batches: Batches, results: Generator[Scored, None, None]) -> None:
        self.settled = settled
        self._batches, self._results = batches, results

    @property
    def batch_sizes(self) -> dict[tuple[int, ...], int]:
        """Return how many views go through the model together, by their shape (3, T, H, W), as of now."""
        return dict(self._batches.sizes)

    def __iter__(self) -> Evaluation:
        return self

    def __next__(self) -> Scored:
        return next(self._results)

    def close(self) -> None:
        """End the run where it is."""
        self._results.close()


def evaluate(
    model: nn.Module,
    protocol: Protocol,
    clip: Clip,
    samples: Iterable[tuple[int, Sample]],
    *,
    workers: int,
    precision: str | Settled = "fp32",
    batch: int | None = None,
    patience_s: float = 120,
) -> Evaluation:
    """Score samples and yield them in their order; one that cannot be decoded is reported as such, never replaced.

    On a CPU the scores of a sample are the same bits whichever samples are scored with it.

    Args:
        model: On the device where it is to run, in evaluation mode.
        protocol: Clips, crops, sizes, sampling rule, activation.
        clip: Frames that the network is given, and the distance between them.
        samples: Each with a number of the caller's; they are taken as they are needed.
        workers: Processes that decode; 0: this one decodes, and a decoder that hangs or crashes takes it along.
        precision: See `settle`, which tries another one than fp32 on the first samples; or what it returned.
        batch: Views that go through the model together; None: as many as is good, see `Batches`.
        patience_s: Seconds that decoding one sample may take before it is given up.
    Raises: UsageError if an argument is out of its range; DeviceError if the precision or the decoder processes are not
        to be had here, or a view does not fit into the device's memory. What the model raises is not caught.
    """
    if workers < 0:
        raise UsageError(f"workers: found {workers}, expected 0 or more")
    if isinstance(precision, str):
        samples = iter(samples)
        first = list(islice(samples, TRIED)) if precision != "fp32" else []
        samples = chain(first, samples)
        few = [sample for _, sample in first]
        precision = settle(precision, model, protocol, clip, few, workers=workers, patience_s=patience_s)
    batches = Batches(model, protocol, precision.name, size=batch)
    named = ((each, each[1].source) for each in samples)
    decoded = decode_all(named, protocol, clip, workers=workers, patience_s=patience_s)
    return Evaluation(precision, batches, _scored(batches, decoded, protocol, device_of(model)))


_Decoded = Generator[tuple[tuple[int, Sample], Decoded | Failure], None, None]
_Videos = Iterator[tuple[Scored, Views | None]]


def _scored(
    batches: Batches, decoded: _Decoded, protocol: Protocol, device: torch.device
) -> Generator[Scored, None, None]:
    with closing(decoded):
        for known, scores in batches.scored(_videos(decoded, protocol, device)):
            if scores is not None and not np.isfinite(scores).all():
                raise VideohubError(
                    f"{known.sample.name}: the network gives probabilities that are not numbers, computing in "
                    f"{batches.precision}; look at its weights, or choose precision fp32 if that is another one"
                )
            yield replace(known, scores=scores)


def _videos(decoded: _Decoded, protocol: Protocol, device: torch.device) -> _Videos:
    """Yield what is known of each sample before it is scored, and its views if it has any."""
    for (index, sample), outcome in decoded:
        if isinstance(outcome, Failure):
            yield Scored(index, sample, scores=None, views=None, failure=outcome.reason), None
        else:
            views = views_of(outcome, protocol, device)
            yield Scored(index, sample, scores=None, views=_identity(outcome), failure=None), views


def _identity(decoded: Decoded) -> str:
    """Say which frames the views are made of, in the same words on every machine."""
    sums = hashlib.sha256()
    for numbers in (decoded.pts, decoded.decode_positions):
        sums.update(numbers.astype("<i8").tobytes())
    return sums.hexdigest()
