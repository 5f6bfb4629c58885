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
from videohub.runs import Joined, WeightsFile, join
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
    sides = _opened(first), _opened(second)
    one, other = map(_task, sides)
    _refuse_different(one, other)
    pair = metrics.of(one.metric).arithmetic.pair(*map(_scores_of, sides))
    if pair is None:
        raise DataError(f"{one.record} and {other.record}: no video was scored by both")
    return Paired(
        metric=pair.metric,
        dataset=one.dataset,
        common=pair.common,
        first=_side(sides[0], pair.values[0], pair.alone[0]),
        second=_side(sides[1], pair.values[1], pair.alone[1]),
        difference=pair.difference,
        interval=pair.interval,
        discordance=pair.discordance,
        answer=_answer(pair.metric, pair.difference, pair.interval, pair.common),
    )


@dataclass(frozen=True)
class _Task:
    """What a record was measured on, which both sides must share."""

    record: str
    dataset: str
    data_sha256: str
    listed: int
    labels: str | tuple[str, ...] | None
    metric: str


def _opened(given: Compared) -> Report | Joined:
    """Read what a path names; the scores of a run go before the report that was once made of them."""
    if isinstance(given, (Report, Joined)):
        return given
    path = Path(given)
    return join([path]) if (path / RUN).is_file() else read(path)


def _task(given: Report | Joined) -> _Task:
    stated = given if isinstance(given, Report) else given.identity
    return _Task(
        record=stated.record,
        dataset=f"{stated.dataset}, {stated.split}",
        data_sha256=stated.data_sha256,
        listed=given.counts.listed if isinstance(given, Report) else given.identity.listed,
        labels=stated.labels,
        metric=_protocol(given).metric,
    )


def _side(given: Report | Joined, value: float, alone: int) -> Side:
    stated = given if isinstance(given, Report) else given.identity
    return Side(
        record=stated.record,
        upstream_name=stated.upstream_name,
        weights_sha256=given.weights.sha256 if isinstance(given, Report) else given.identity.weights_sha256,
        views=_protocol(given).views_in_words.removesuffix(" views"),
        precision=stated.precision,
        value=value,
        alone=alone,
        weights_identity=given.weights.identity if isinstance(given, Report) else given.identity.weights_identity,
        weights_files=files_of(given.made_by),
    )


def _protocol(given: Report | Joined) -> Protocol:
    return given.protocol if isinstance(given, Report) else given.identity.tested


def _refuse_different(one: _Task, other: _Task) -> None:
    if one.data_sha256 != other.data_sha256:
        raise UsageError(
            f"the two were not measured on the same data: {one.record} on {one.dataset} with {one.listed} listed, "
            f"sha256 {one.data_sha256[:12]}…; {other.record} on {other.dataset} with {other.listed} listed, "
            f"sha256 {other.data_sha256[:12]}….\n  Run both on the same list."
        )
    for what, a, b in (("labels", one.labels, other.labels), ("metrics", one.metric, other.metric)):
        if a != b:
            raise UsageError(f"the two have different {what}: {one.record} {a}, {other.record} {b}")


def _scores_of(side: Report | Joined) -> Joined | Ranks:
    return dict(side.ranks) if isinstance(side, Report) else side


def _answer(metric: str, difference: float, interval: tuple[float, float], common: int) -> str:
    """Put the difference into words."""
    chance = f"95 % interval {interval[0]:+.2f} to {interval[1]:+.2f}"
    if interval[0] <= 0 <= interval[1]:
        return f"on {common} common videos {metric} differs by {difference:+.2f} points, {chance}: that can be chance"
    better = "first" if difference > 0 else "second"
    return f"on {common} common videos the {better} is better by {abs(difference):.2f} points of {metric}, {chance}"
