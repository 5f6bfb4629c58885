"""How records are verified: the options of a call, each spelt once, and which samples they choose."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec
import torch

from videohub.data.frame_formats import Decoder
from videohub.data.samples import DataSet, Sample
from videohub.data.spec import TestSpec
from videohub.errors import UsageError
from videohub.registry.labels import Given
from videohub.registry.schema import Record
from videohub.verification import distributed
from videohub.verification.distributed import Shard

_P = ParamSpec("_P")
_Arguments = TypeVar("_Arguments")
_Returned = TypeVar("_Returned")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `verify`, which explains them, and of its kind."""

    root: str | Path | None = None
    checkpoint: str | Path | None = None
    labels: Given | None = None
    device: str | torch.device = "cpu"
    clips: int | None = None
    crops: int | None = None
    out: str | Path | None = None
    shard: str | None = None
    sample: int | None = None
    until_decided: float | None = None
    seed: int = 0
    precision: str = "auto"
    decoder: Decoder = "fast"
    workers: int | None = None
    batch: int | None = None
    retry_failed: bool = False

    def own_shard(self) -> Shard:
        """Return the part of this process: its place in a torchrun, or what `shard` says. Raises: UsageError."""
        if not distributed.under_torchrun():
            return distributed.parse_shard(self.shard) if self.shard is not None else Shard()
        if self.shard is not None:
            raise UsageError(
                f"shard: found {self.shard!r} under torchrun, which says itself what each process evaluates"
            )
        return distributed.shard_of_torchrun()

    def spec(self, record: Record) -> TestSpec:
        """Return how a record is tested, with the views that were asked for. Raises: UsageError."""
        if self.clips is not None and self.clips < 1:
            raise UsageError(f"clips: found {self.clips}, expected at least 1")
        if self.crops is not None and self.crops not in (1, 3):
            raise UsageError(f"crops: found {self.crops}, expected 1 (centre) or 3")
        return TestSpec(record.protocol.with_views(clips=self.clips, crops=self.crops), record.clip)

    def chosen(self, found: DataSet) -> list[Sample]:
        """Return the samples to evaluate, in their order: all, those that were drawn, or all at random."""
        if self.until_decided is not None:
            return shuffled(found.samples, seed=self.seed)
        if self.sample is not None:
            return stratified(found.samples, self.sample, seed=self.seed)
        return list(found.samples)


class OfOne(Settings, frozen=True):
    """The arguments of a call for one record."""

    name: str | Record
    data: str | Path


class OfSeveral(Settings, frozen=True):
    """The arguments of a call for several records."""

    names: Sequence[str | Record]
    data: str | Path


def called_with(
    arguments: Callable[_P, _Arguments],
) -> Callable[[Callable[[_Arguments], _Returned]], Callable[_P, _Returned]]:
    """Let a function of one struct be called with the struct's fields, which `help` and type checkers see as its own.

    Args:
        arguments: The struct.
    """

    def decorated(function: Callable[[_Arguments], _Returned]) -> Callable[_P, _Returned]:
        @functools.wraps(function)
        def call(*args: _P.args, **keywords: _P.kwargs) -> _Returned:
            return function(arguments(*args, **keywords))

        signature = inspect.signature(arguments).replace(return_annotation=function.__annotations__["return"])
        call.__signature__ = signature  # type: ignore[attr-defined]
        return call

    return decorated


def shuffled(samples: Sequence[Sample], *, seed: int) -> list[Sample]:
    """Return the samples in a random order that depends on the seed and their names alone.

    The order is that of a hash, so no library's random numbers, and not the order of a list, can change it.
    """
    return sorted(samples, key=lambda sample: hashlib.sha256(f"{seed}:{sample.name}".encode()).digest())


def stratified(samples: Sequence[Sample], count: int, *, seed: int) -> list[Sample]:
    """Return `count` samples, each class represented by its share, in the order of the data set.

    A class is whatever set of classes is right for a sample. Each gets the whole part of its share; the seats that are
    left go to the largest remainders, the earlier hash first where they are equal.

    Raises: UsageError unless 1 <= count <= len(samples).
    """
    if not 1 <= count <= len(samples):
        raise UsageError(f"sample: found {count}, expected 1 to {len(samples)}, the number of listed videos")
    strata: dict[tuple[int, ...], list[Sample]] = defaultdict(list)
    for sample in shuffled(samples, seed=seed):
        strata[sample.truth].append(sample)
    shares = {truth: Fraction(count * len(members), len(samples)) for truth, members in strata.items()}
    seats = {truth: int(share) for truth, share in shares.items()}
    by_remainder = sorted(shares, key=lambda truth: shares[truth] - seats[truth], reverse=True)  # stable: hash order
    for truth in by_remainder[: count - sum(seats.values())]:
        seats[truth] += 1
    chosen = {sample.name for truth, members in strata.items() for sample in members[: seats[truth]]}
    return [sample for sample in samples if sample.name in chosen]
