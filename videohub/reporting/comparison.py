"""Two models, or two runs of one model, on the same videos: how much better is one, and can that be chance?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from videohub import metrics
from videohub.errors import DataError, UsageError
from videohub.metrics.metric import Discordance, Ranks
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
    one, other = map(_about, sides)
    _refuse_different(one, other)
    pair = metrics.of(one.metric).arithmetic.pair(*map(_scores_of, sides))
    if pair is None:
        raise DataError(f"{one.record} and {other.record}: no video was scored by both")
    return Paired(
        metric=pair.metric,
        dataset=one.dataset,
        common=pair.common,
        first=one.side(pair.values[0], pair.alone[0]),
        second=other.side(pair.values[1], pair.alone[1]),
        difference=pair.difference,
        interval=pair.interval,
        discordance=pair.discordance,
        answer=_answer(pair.metric, pair.difference, pair.interval, pair.common),
    )


@dataclass(frozen=True)
class _About:
    """What two sides must share, and what they are called."""

    record: str
    upstream_name: str
    weights_sha256: str
    dataset: str
    data_sha256: str
    listed: int
    labels: str | tuple[str, ...] | None
    metric: str
    views: str
    precision: str
    weights_identity: Literal["tensors"] | None
    weights_files: list[WeightsFile]

    def side(self, value: float, alone: int) -> Side:
        return Side(self.record, self.upstream_name, self.weights_sha256, self.views, self.precision, value, alone,
                    self.weights_identity, self.weights_files)  # fmt: skip


def _opened(given: Compared) -> Report | Joined:
    """Read what a path names; the scores of a run go before the report that was once made of them."""
    if isinstance(given, (Report, Joined)):
        return given
    path = Path(given)
    return join([path]) if (path / RUN).is_file() else read(path)


def _about(side: Report | Joined) -> _About:
    stated = side if isinstance(side, Report) else side.identity
    protocol = side.protocol if isinstance(side, Report) else side.identity.tested
    return _About(
        record=stated.record,
        upstream_name=stated.upstream_name,
        weights_sha256=side.weights.sha256 if isinstance(side, Report) else side.identity.weights_sha256,
        dataset=f"{stated.dataset}, {stated.split}",
        data_sha256=stated.data_sha256,
        listed=side.counts.listed if isinstance(side, Report) else side.identity.listed,
        labels=stated.labels,
        metric=protocol.metric,
        views=protocol.views_in_words.removesuffix(" views"),
        precision=stated.precision,
        weights_identity=side.weights.identity if isinstance(side, Report) else side.identity.weights_identity,
        weights_files=files_of(side.made_by),
    )


def _refuse_different(one: _About, other: _About) -> None:
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
