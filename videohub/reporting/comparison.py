"""Two models, or two runs of one model, on the same videos: how much better is one, and can that be chance?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from videohub.errors import DataError, UsageError
from videohub.metrics import MeanPrecision, multilabel_curves, paired_accuracies, paired_maps, ranks
from videohub.reporting.precisions import ava_matches, ava_moments, multilabel_truth
from videohub.reporting.report import Report
from videohub.reporting.weights_origin import files_of
from videohub.reporting.writing import read
from videohub.runs import Joined, WeightsFile, join
from videohub.runs.folder import RUN

Compared: TypeAlias = Report | Joined | str | Path  # a path: of a run's folder, or of a report.json
CHANGES_KEPT = 100


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


class Change(msgspec.Struct, frozen=True):
    """A video on which only one of the two is right, and where each has its right class (0: first)."""

    name: str
    first: int
    second: int


class Discordance(msgspec.Struct, frozen=True):
    """Which of the two is right on how many videos, and McNemar's exact test of whether that can be chance."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float
    changes: list[Change]  # of the videos on which one is right; those that moved most, at most `CHANGES_KEPT`


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
    one, other = _opened(first), _opened(second)
    _refuse_different(_about(one), _about(other))
    if _about(one).metric == "topk":
        return _accuracies(one, other)
    if isinstance(one, Report) or isinstance(other, Report):
        raise UsageError(
            "a mean average precision of two models is compared by their scores, and a report does not keep them; "
            "give the folders of both runs"
        )
    return _precisions(one, other)


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
    told = side if isinstance(side, Report) else side.identity
    return _About(
        record=told.record,
        upstream_name=told.upstream_name,
        weights_sha256=side.weights.sha256 if isinstance(side, Report) else side.identity.weights_sha256,
        dataset=f"{told.dataset}, {told.split}",
        data_sha256=told.data_sha256,
        listed=side.counts.listed if isinstance(side, Report) else side.identity.listed,
        labels=told.labels,
        metric=str(told.protocol["metric"]),
        views=f"{told.protocol['clips']} x {told.protocol['crops']}",
        precision=told.precision,
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


def _accuracies(one: Report | Joined, other: Report | Joined) -> Paired:
    places, others = _ranks(one), _ranks(other)
    common = [name for name in places if name in others]
    _refuse_nothing(common, one, other)
    first = np.array([places[name] for name in common])
    second = np.array([others[name] for name in common])
    found = paired_accuracies(first == 0, second == 0)
    moved = [Change(name, a, b) for name, a, b in zip(common, first.tolist(), second.tolist(), strict=True)
             if (a == 0) != (b == 0)]  # fmt: skip
    moved.sort(key=lambda change: -abs(change.first - change.second))  # stable: in the order of the list
    discordance = Discordance(found.both, found.first_only, found.second_only, found.neither, found.p_value,
                              moved[:CHANGES_KEPT])  # fmt: skip
    return _paired(
        "top-1",
        (one, other),
        (100 * float((first == 0).mean()), 100 * float((second == 0).mean())),
        (len(places), len(others), len(common)),
        (found.difference, found.interval),
        discordance,
    )


def _precisions(one: Joined, other: Joined) -> Paired:
    places, others = _scored(one), _scored(other)
    common = places & others
    _refuse_nothing(common, one, other)
    if one.identity.scoring.metric == "ava_map":
        moments = ava_moments(one) & ava_moments(other)
        first, second = (ava_matches(side, moments)[1].curves() for side in (one, other))
    else:
        first, second = (_multilabel_curves(side, common) for side in (one, other))
    found = paired_maps(first, second)
    return _paired(
        "mAP",
        (one, other),
        (100 * first.mean(), 100 * second.mean()),
        (len(places), len(others), len(common)),
        (100 * found.difference, (100 * found.interval[0], 100 * found.interval[1])),
        None,
    )


def _paired(
    metric: str,
    sides: tuple[Report | Joined, Report | Joined],
    values: tuple[float, float],
    counts: tuple[int, int, int],
    difference: tuple[float, tuple[float, float]],
    discordance: Discordance | None,
) -> Paired:
    one, other = (_about(side) for side in sides)
    common = counts[2]
    return Paired(
        metric=metric,
        dataset=one.dataset,
        common=common,
        first=one.side(values[0], counts[0] - common),
        second=other.side(values[1], counts[1] - common),
        difference=difference[0],
        interval=difference[1],
        discordance=discordance,
        answer=_answer(metric, *difference, common),
    )


def _answer(metric: str, difference: float, interval: tuple[float, float], common: int) -> str:
    """Put the difference into words."""
    chance = f"95 % interval {interval[0]:+.2f} to {interval[1]:+.2f}"
    if interval[0] <= 0 <= interval[1]:
        return f"on {common} common videos {metric} differs by {difference:+.2f} points, {chance}: that can be chance"
    better = "first" if difference > 0 else "second"
    return f"on {common} common videos the {better} is better by {abs(difference):.2f} points of {metric}, {chance}"


def _ranks(side: Report | Joined) -> dict[str, int]:
    """Return where the right class of each scored video stands."""
    if isinstance(side, Report):
        return dict(side.ranks)
    indexes, scores = side.video_scores()
    if not len(indexes):
        return {}
    found = ranks(scores, [side.truth.classes[index][0] for index in indexes])
    return {side.truth.names[index]: int(place) for index, place in zip(indexes, found, strict=True)}


def _scored(side: Joined) -> frozenset[str]:
    return frozenset(entry.name for entry in side.entries.values() if entry.shape is not None)


def _multilabel_curves(side: Joined, common: frozenset[str]) -> MeanPrecision:
    """Return the curves over the common videos, in the same order for both sides."""
    indexes, scores = side.video_scores()
    names = [side.truth.names[index] for index in indexes]
    rows = sorted((row for row, name in enumerate(names) if name in common), key=lambda row: names[row])
    return multilabel_curves(scores[rows], multilabel_truth(side, indexes[rows]))


def _refuse_nothing(common: frozenset[str] | list[str], one: Report | Joined, other: Report | Joined) -> None:
    if not common:
        raise DataError(f"{_about(one).record} and {_about(other).record}: no video was scored by both")
