"""Which precision a run computes in: tried beside float32 on a few samples before any time is spent on the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import islice

import msgspec
import numpy as np
import torch
from torch import nn

from videohub import runs
from videohub.data.frame_formats import DECODERS, Decoder
from videohub.data.samples import Sample
from videohub.data.spec import TestSpec
from videohub.data.views import Views, views_of
from videohub.devices import AUTO, NumericPrecision, supported
from videohub.errors import DataError, DeviceError
from videohub.evaluation.batches import Batches, Cuts, Scores, device_of, prepares_on
from videohub.evaluation.decoding import Failure, decode_all
from videohub.protocols import Protocol

SAMPLES = 4  # that are compared
TRIED = 32  # samples at most, until so many have been decoded

# Largest difference of a probability that may be. Of 11 golden networks, at full size with three clips each and every
# operation rounded, ten came to at most 0.007 in bf16 and 0.001 in fp16, the non-local I3D to 0.048 and 0.003. No first
# class differed. (Rounding so gave what autocast on a CPU gives, tried on small networks; autocast itself takes hours.)
LIMITS = {"tf32": 0.02, "bf16": 0.1, "fp16": 0.02}


class Trial(msgspec.Struct, frozen=True):
    """A reduced precision beside float32, on the same views."""

    precision: NumericPrecision
    views: int
    largest_difference: float  # of a probability; infinite where one is not a number
    changed_top1: int  # views with another first class, though float32's margin is above the largest difference

    @property
    def agrees(self) -> bool:
        """Return whether the precision may be used instead of float32."""
        return self.largest_difference <= LIMITS[self.precision] and not self.changed_top1

    def __str__(self) -> str:
        return (
            f"{self.precision} against fp32 on {self.views} views: probabilities differ by at most "
            f"{self.largest_difference:.2g} (limit {LIMITS[self.precision]:g}), and {self.changed_top1} first classes "
            "(limit 0)"
        )


class ChosenPrecision(msgspec.Struct, frozen=True):
    """The precision of a run and, in words, why it is that one."""

    name: NumericPrecision
    reason: str
    trial: Trial | None = None


def choose_precision(
    requested: str,
    model: nn.Module,
    spec: TestSpec,
    samples: Iterable[Sample],
    *,
    workers: int,
    decoder: Decoder = DECODERS[0],
) -> ChosenPrecision:
    """Decide in which precision a run computes.

    Args:
        requested: `fp32`, `tf32`, `bf16`, `fp16`, or `auto`: fp32 on a CPU, fp16 on a GPU if it agrees with fp32.
        model: On the device of the run.
        samples: Those of the run; the first few that can be decoded are scored in both precisions.
        workers: Processes to decode them; 0: this one.
        decoder: See `decode_shared`.
    Raises: UsageError if nothing is called so; DeviceError if the device cannot compute so, or what it computes differs
        too much from fp32; DataError if no sample can be decoded to try it on.
    """

    def videos() -> list[Views]:
        return _a_few(spec, samples, workers, device_of(model), decoder)

    return agreed_precision(requested, model, spec.protocol, videos)


def agreed_precision(
    requested: str, model: nn.Module, protocol: Protocol, videos: Callable[[], Sequence[Cuts]]
) -> ChosenPrecision:
    """Decide as `choose_precision` does, by the views of a few videos, which are asked for where they are needed."""
    device = device_of(model)
    if requested == AUTO and device.type != "cuda":
        return ChosenPrecision("fp32", "auto: fp32 is what CPUs are fast in" if device.type == "cpu" else "auto: fp32")
    precision = supported("fp16" if requested == AUTO else requested, device)
    if precision == "fp32":
        return ChosenPrecision(precision, "asked for")
    trial = try_out(precision, model, protocol, videos())
    if requested == AUTO:
        return ChosenPrecision("fp16" if trial.agrees else "fp32", f"auto: {trial}", trial)
    if not trial.agrees:
        raise DeviceError(f"precision {precision}: this network cannot be run so; {trial}. Choose fp32.")
    return ChosenPrecision(precision, f"asked for; {trial}", trial)


def try_out(precision: NumericPrecision, model: nn.Module, protocol: Protocol, videos: Sequence[Cuts]) -> Trial:
    """Score videos in float32 and in another precision, and compare the probabilities of every view."""
    exact, reduced = (_scores(model, protocol, each, videos) for each in ("fp32", precision))
    return compare(precision, exact, reduced)


def compare(precision: NumericPrecision, exact: Scores, reduced: Scores) -> Trial:
    """Compare probabilities (rows, classes) of the same rows; `exact` are float32's."""
    if not (np.isfinite(exact).all() and np.isfinite(reduced).all()):
        return Trial(precision, len(exact), float("inf"), 0)
    largest = float(np.abs(exact - reduced).max(initial=0))
    second, first = np.sort(exact, axis=1)[:, -2:].T if exact.shape[1] > 1 else (0 * exact[:, 0], exact[:, 0])
    changed = (exact.argmax(axis=1) != reduced.argmax(axis=1)) & (first - second > largest)
    return Trial(precision, len(exact), largest, int(changed.sum()))


def _scores(model: nn.Module, protocol: Protocol, precision: NumericPrecision, videos: Sequence[Cuts]) -> Scores:
    scored = Batches(model, protocol, precision).scored(enumerate(videos))
    joined = np.concatenate([scores for _, scores in scored if scores is not None])
    return runs.activated(joined, protocol.scores) if protocol.scores.join == "mean_of_logits" else joined


def _a_few(
    spec: TestSpec, samples: Iterable[Sample], workers: int, device: torch.device, decoder: Decoder
) -> list[Views]:
    """Return the views of the first samples that can be decoded."""
    sources = ((sample.name, sample.source) for sample in islice(samples, TRIED))
    videos: list[Views] = []
    reasons: list[str] = []
    with closing(decode_all(sources, [spec], workers=min(workers, SAMPLES), decoder=decoder)) as decoded:
        for name, (outcome,) in decoded:
            if isinstance(outcome, Failure):
                reasons.append(f"{name}: {outcome.reason}")
            else:
                videos.append(views_of(outcome, spec.protocol, prepares_on(device)))
            if len(videos) == SAMPLES:
                break
    if not videos:
        raise DataError(
            "precision: none of the first samples could be decoded to try it on; "
            f"{reasons[0] if reasons else 'there are no samples'}"
        )
    return videos
