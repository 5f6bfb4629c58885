"""How records are verified: the options of a call, each spelt once, which samples they choose, what is refused."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ParamSpec, SupportsIndex, TypeVar

import msgspec
import torch

from videohub import metrics
from videohub.data.frame_formats import DECODERS, Decoder
from videohub.data.samples import Sample
from videohub.data.spec import TestSpec, check_shared
from videohub.errors import UsageError
from videohub.evaluation import distributed
from videohub.evaluation.distributed import Shard
from videohub.registry.labels import Given, in_words
from videohub.registry.schema import Record

_P = ParamSpec("_P")
_Arguments = TypeVar("_Arguments")
_Returned = TypeVar("_Returned")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `verify`, which explains them, and of its kind."""

    root: str | Path | None = None
    list_file: str | Path | None = None
    checkpoint: str | Path | None = None
    labels: Given | None = None
    label_map: str | Path | None = None
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

    def __post_init__(self) -> None:
        for name in ("clips", "crops", "sample", "seed", "workers", "batch"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, SupportsIndex)):
                raise UsageError(f"{name}: found {value!r:.80}, expected a whole number")

    def shard_here(self) -> Shard:
        """Return the part of this process: its place in a torchrun, or what `shard` says. Raises: UsageError."""
        return distributed.shard_here(self.shard)

    def spec(self, record: Record) -> TestSpec:
        """Return how a record is tested, with the views that were asked for. Raises: UsageError."""
        if self.clips is not None and self.clips < 1:
            raise UsageError(f"clips: found {self.clips}, expected at least 1")
        if self.crops is not None and self.crops not in (1, 3):
            raise UsageError(f"crops: found {self.crops}, expected 1 (centre) or 3")
        return TestSpec(record.protocol.with_views(clips=self.clips, crops=self.crops), record.clip)

    def chosen(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return the samples to evaluate, in their order: all, those that were drawn, or all at random."""
        if self.until_decided is not None:
            return shuffled(samples, seed=self.seed)
        if self.sample is not None:
            return stratified(samples, self.sample, seed=self.seed)
        return list(samples)


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
    """Let a function of one struct be called with its fields, which `help` and type checkers see as its own."""

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


# --- what gives no verdict, or none together -------------------------------------------------------------------------


def refuse_unverifiable(record: Record) -> None:
    """Refuse a record whose file has no published number: there is nothing to verify. Raises: UsageError."""
    published = record.number
    if published is None or not published.numbers():
        instead = f"`videohub benchmark {record.name} --data …` gives its numbers without a verdict."
        if record.task == "features":
            instead = f"It has no classifier; `videohub features --model {record.name} …` gives its features."
        raise UsageError(
            f"{record.name}: its source states no number, so there is nothing to verify{_notes(record)}\n  {instead}"
        )
    expected = metrics.of(record.protocol.metric).numbers
    if expected[0] not in published.numbers():
        raise UsageError(
            f"{record.name}: its source states {published}, and protocol {record.protocol.name} measures "
            f"{' and '.join(expected)}; the record contradicts itself"
        )
    if record.status in ("available", "manual"):
        return
    why = {
        "unreleased": "the file that this number was measured with was never released",
        "program": "the file is a program, which is not run",
        "broken": "the file at its address is not the one that this number was measured with",
    }
    instead = f"\n  Verify instead: {', '.join(record.superseded_by)}." if record.superseded_by else ""
    raise UsageError(
        f"{record.name}: {published} was published, but {why[record.status]}, so there is nothing to "
        f"verify{_notes(record)}{instead}"
    )


def refuse_other_classes(record: Record, loaded: Record, checkpoint: str | Path | None) -> None:
    """Refuse a file with other classes than the published number was of: `loaded` has its own. Raises: UsageError."""
    if loaded.num_classes != record.num_classes:
        raise UsageError(
            f"{record.name}: {checkpoint} has {loaded.num_classes} classes, and {record.number} was "
            f"published of {record.num_classes}, so there is nothing to verify.\n"
            f"  `videohub benchmark {record.name} --data … --checkpoint …` gives its numbers without a verdict."
        )


def refuse_contradictions(record: Record, settings: Settings) -> None:
    """Refuse settings that cannot hold for a record, or not together. Raises: UsageError."""
    if settings.decoder not in DECODERS:
        raise UsageError(f"decoder: found {settings.decoder!r}, expected {' or '.join(DECODERS)}")
    if settings.until_decided is None:
        return
    if not 0.5 <= settings.until_decided < 1:
        raise UsageError(f"until_decided: found {settings.until_decided}, expected a level such as 0.95")
    if not metrics.of(record.protocol.metric).is_counted:
        raise UsageError(f"{record.name}: until_decided follows an accuracy, and this number is a mean over classes")
    if settings.sample is not None:
        raise UsageError("until_decided: already takes no more videos than it needs; leave out the sample")
    if settings.retry_failed:
        raise UsageError("until_decided: what failed has been counted as such; leave out retry_failed, or start anew")
    if settings.shard_here().count > 1:
        raise UsageError("until_decided: looks at all videos in one order, so it cannot be split over processes")


def refuse_unshared(records: Sequence[Record], specs: Sequence[TestSpec]) -> None:
    """Refuse records whose lists or frames are not the same. Raises: UsageError, which says which differ in what."""
    if not records:
        raise UsageError("found no record to verify, expected at least one")
    seen = set()
    for record in records:
        if record.name in seen:
            raise UsageError(f"{record.name}: named twice, expected each record once")
        seen.add(record.name)
    for record, spec in zip(records[1:], specs[1:], strict=True):
        try:
            check_shared([specs[0], spec])
        except UsageError as error:
            raise UsageError(f"{records[0].name}, {record.name}: {error}") from None
        _refuse_other_lists(records[0], record)


def _refuse_other_lists(first: Record, other: Record) -> None:
    """Refuse a record for which the lists would mean something else: other classes, other boxes."""
    for what, here, there in (
        ("classes", first.num_classes, other.num_classes),
        ("labels", in_words(first.labels), in_words(other.labels)),
        ("boxes and ground truth", first.protocol.detection, other.protocol.detection),
    ):
        if here != there:
            raise UsageError(
                f"{first.name}, {other.name}: one pass over the videos reads their lists once; {what}: {here} of "
                f"{first.name}, {there} of {other.name}. Verify them one after the other"
            )


def _notes(record: Record) -> str:
    return ":\n  " + "\n  ".join(record.notes) if record.notes else "."
