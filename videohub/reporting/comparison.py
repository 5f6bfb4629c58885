"""Two models, or two runs of one model, on the same videos: how much better is one, and can that be chance?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from videohub import metrics
from videohub.errors import DataError, UsageError
from videohub.metrics.metric import Discordance, Ranks
from videohub.protocols import Protocol
from videohub.reporting.report import Report, read
from videohub.reporting.words import files_of
from videohub.runs import Identity, Joined, MadeBy, WeightsFile, join
from videohub.runs.folder import RUN

Compared: TypeAlias = Report | Joined | str | Path  # a path: of a run's folder, or of a report.json


class Side(msgspec.Struct, frozen=True):
    """One of the two: what it was, and its number on the videos that both have, in per cent."""

    record: str
    upstream_name: str
    weights_sha256: str
    views: str
    precision: str
    value: float
    alone: int  # videos that it has and the other has not; they are left out
    weights_identity: Literal["tensors"] | None  # as in a report's `Weights`
    weights_files: list[WeightsFile]  # that its processes read the weights from


class Paired(msgspec.Struct, frozen=True):
    """How much better the first is: its number minus the second's on the same videos, in points."""

    metric: str
    dataset: str
    common: int
    first: Side
    second: Side
    difference: float
    interval: tuple[float, float]  # 95 %
    discordance: Discordance | None  # null for a mean average precision: no single video is right or wrong there
    answer: str


def compare(first: Compared, second: Compared) -> Paired:
    """Compare two reports or runs on the videos that both have scored.

    An accuracy is compared by what either was right on: reports are enough. A mean average precision needs the kept
    scores, so runs, or their folders.

    Raises: UsageError if the two are of different data, classes or metrics, or if reports do not suffice; DataError if
        they have no video in common; and what reading them raises.
    """
    one, other = _measured(first), _measured(second)
    _refuse_different(one, other)
    pair = metrics.of(one.protocol.metric).arithmetic.pair(one.scores, other.scores)
    if pair is None:
        raise DataError(f"{one.stated.record} and {other.stated.record}: no video was scored by both")
    return Paired(
        metric=pair.metric,
        dataset=one.dataset,
        common=pair.common,
        first=_side(one, pair.values[0], pair.alone[0]),
        second=_side(other, pair.values[1], pair.alone[1]),
        difference=pair.difference,
        interval=pair.interval,
        discordance=pair.discordance,
        answer=_answer(pair.metric, pair.difference, pair.interval, pair.common),
    )


@dataclass(frozen=True)
class _Measured:
    """A report or a run, which say the same in other places."""

    stated: Report | Identity
    protocol: Protocol
    listed: int
    weights_sha256: str
    weights_identity: Literal["tensors"] | None
    made_by: list[MadeBy]
    scores: Joined | Ranks

    @property
    def dataset(self) -> str:
        """What was scored, for people."""
        return f"{self.stated.dataset}, {self.stated.split}"


def _measured(given: Compared) -> _Measured:
    """Read what a path names; the scores of a run go before the report that was once made of them."""
    if not isinstance(given, Report | Joined):
        given = join([given]) if (Path(given) / RUN).is_file() else read(given)
    if isinstance(given, Report):
        weights = given.weights
        return _Measured(given, given.protocol, given.counts.listed, weights.sha256, weights.identity, given.made_by,
                         dict(given.ranks))  # fmt: skip
    identity = given.identity
    return _Measured(identity, identity.tested, identity.listed, identity.weights_sha256, identity.weights_identity,
                     given.made_by, given)  # fmt: skip


def _side(of: _Measured, value: float, alone: int) -> Side:
    return Side(
        record=of.stated.record,
        upstream_name=of.stated.upstream_name,
        weights_sha256=of.weights_sha256,
        views=of.protocol.views_in_words.removesuffix(" views"),
        precision=of.stated.precision,
        value=value,
        alone=alone,
        weights_identity=of.weights_identity,
        weights_files=files_of(of.made_by),
    )


def _refuse_different(one: _Measured, other: _Measured) -> None:
    if one.stated.data_sha256 != other.stated.data_sha256:
        first, second = (f"{side.stated.record} on {side.dataset} with {side.listed} listed, sha256 "
                         f"{side.stated.data_sha256[:12]}…" for side in (one, other))  # fmt: skip
        raise UsageError(
            f"the two were not measured on the same data: {first}; {second}.\n  Run both on the same list."
        )
    for what, a, b in (
        ("labels", one.stated.labels, other.stated.labels),
        ("metrics", one.protocol.metric, other.protocol.metric),
    ):
        if a != b:
            raise UsageError(f"the two have different {what}: {one.stated.record} {a}, {other.stated.record} {b}")


def _answer(metric: str, difference: float, interval: tuple[float, float], common: int) -> str:
    """Put the difference into words."""
    chance = f"95 % interval {interval[0]:+.2f} to {interval[1]:+.2f}"
    if interval[0] <= 0 <= interval[1]:
        return f"on {common} common videos {metric} differs by {difference:+.2f} points, {chance}: that can be chance"
    better = "first" if difference > 0 else "second"
    return f"on {common} common videos the {better} is better by {abs(difference):.2f} points of {metric}, {chance}"
