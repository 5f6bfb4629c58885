"""The metrics that numbers are published in: each an object that says what it comes to, and what may follow from it.

The registry asks them for their words alone; what computes one is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import msgspec

from videohub.errors import UsageError
from videohub.metrics.binomial import wilson_interval
from videohub.metrics.verdict import Comparison

if TYPE_CHECKING:
    import numpy.typing as npt

    from videohub.runs import Joined

Ranks: TypeAlias = Mapping[str, int]  # name of a scored sample -> where its right class stands (0: first)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a report: immutable, and read back strictly."""


class Number(msgspec.Struct, frozen=True):
    """A number on the samples that could be scored, and what chance allows at 95 %; in per cent."""

    metric: str
    value: float
    interval: tuple[float, float]


class PerClass(Part, frozen=True):
    """How one class did. `value`: accuracy, or average precision, in per cent; None where nothing could be measured.

    `count` is what the class was measured on: scored videos whose right class it is, boxes of the ground truth in AVA.
    """

    name: str
    count: int
    right: int | None  # where a sample is right or wrong
    value: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """What chance allows of an accuracy at 95 %, in per cent; None of an average precision, and of no videos."""
        return wilson_interval(self.right, self.count) if self.right is not None and self.count else None


class Confusion(Part, frozen=True):
    """How often videos of one class were taken for another: `count` of the `of` that were scored.

    A report has the most frequent ones; `videohub.video_scores` is what all of them can be counted by.
    """

    true: str
    predicted: str
    count: int
    of: int


class AtClips(Part, frozen=True):
    """What the numbers would be with the first `clips` clips of each video alone; in per cent."""

    clips: int
    values: dict[str, float]


class Findings(Part, frozen=True):
    """What the scores alone say; a report tells besides what was run, and what follows."""

    comparisons: list[Comparison]  # the first one decides
    classes: list[PerClass]
    confusions: list[Confusion] = []
    by_clips: list[AtClips] = []
    ranks: list[tuple[str, int]] = []


class Change(msgspec.Struct, frozen=True):
    """A video on which only one of two runs is right, and where each has its right class (0: first)."""

    name: str
    first: int
    second: int


class Discordance(msgspec.Struct, frozen=True):
    """Which of two runs is right on how many videos, and McNemar's exact test of whether that can be chance."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float
    changes: list[Change]  # of the videos on which one is right; those that moved most, and not more than a hundred


@dataclass(frozen=True)
class Pair:
    """Two runs on the samples that both have scored; numbers in per cent, their difference the first minus the second.

    `alone` are the samples that only the first has, and only the second; they are left out.
    """

    metric: str
    common: int
    alone: tuple[int, int]
    values: tuple[float, float]
    difference: float
    interval: tuple[float, float]  # 95 %
    discordance: Discordance | None = None  # None where no single sample is right or wrong


class Arithmetic(Protocol):
    """What a module, or an object in one, offers that computes a metric."""

    def measure(self, run: Joined) -> list[Number]:
        """Return what a run comes to, with nothing to compare it with; at least one sample has scores.

        Raises: DataError if the scores cannot be judged.
        """

    def compare(
        self, run: Joined, published: Mapping[str, float], names: Sequence[str], *, tolerance: float
    ) -> Findings:
        """Return what a run's scores say of published numbers, and of each class.

        Args:
            run: Scores of at least one sample.
            published: By what the metric's `numbers` calls them, in per cent; the first of these is among them.
            names: Of the classes, in the order of the outputs.
        Raises: DataError if the scores cannot be judged.
        """

    def pair(self, first: Joined | Ranks, second: Joined | Ranks) -> Pair | None:
        """Compare two runs, or what their reports keep, on the samples that both have scored; None if there is none.

        Raises: UsageError if reports do not suffice; DataError if the scores cannot be judged.
        """

    def is_right(self, scores: npt.ArrayLike, classes: Sequence[int]) -> bool:
        """Return whether a sample with these joined scores (classes,) is right; only of metrics that are counted."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How scores become published numbers. All that differs between metrics is asked of such an object."""

    name: str  # what protocols call it
    computed_by: str  # a module, or `module:object`: an `Arithmetic`
    numbers: tuple[str, ...]  # what it comes to, in per cent; the first one decides
    by_box: bool = False  # a sample is scored at each of its boxes, and not as a whole
    over_classes: bool = False  # a mean over classes, of which those that are never right are left out
    one_class: bool = False  # exactly one class is right for a sample; else any number, none too
    is_counted: bool = False  # a sample is right or wrong (`is_right`), so a run can stop once that decides
    sample_objection: str | None = None  # why a sample cannot stand for the whole list, if it cannot
    refused: Mapping[str, str] = field(default_factory=dict)  # numbers it has not, by how their names begin: why

    # in a report: what is measured of a class, that in a narrow column, and on what
    class_measure: str
    class_column: str
    class_count: str
    # on the Hugging Face hub: its name for the metric, what a model's name is tagged with, and what a number adds
    hub_name: str
    hub_tags: tuple[str, ...] = ("action-recognition",)
    hub_condition: str = ""

    @property
    def arithmetic(self) -> Arithmetic:
        """What computes it, imported only now."""
        module, _, name = self.computed_by.partition(":")
        home = importlib.import_module(module)
        return cast(Arithmetic, getattr(home, name) if name else home)


_mean = partial(
    Metric,
    numbers=("mAP",),
    over_classes=True,
    sample_objection="a mean average precision of fewer videos is another quantity, a higher one, so a sample cannot "
    "stand for the whole list",
    class_measure="average precision (AP)",
    class_column="AP",
    hub_name="mean_average_precision",
)
_mean_of_boxes = partial(
    _mean, by_box=True, class_count="boxes with it", hub_tags=("action-detection",), hub_condition=" at IoU 0.5"
)
METRICS = {
    metric.name: metric
    for metric in (
        _mean_of_boxes(name="ava_map", computed_by="videohub.metrics.ava:official"),
        _mean_of_boxes(name="ava_map_mmaction2", computed_by="videohub.metrics.ava:mmaction2"),
        _mean_of_boxes(  # MultiSports' of frames; that of whole videos, over tubes, is not computed
            name="frame_map",
            computed_by="videohub.metrics.ava:multisports",
            hub_condition=" of frames at IoU 0.5",
            refused={
                "v-mAP": "Video mAP links boxes of successive frames into tubes, and nothing here proves that ours "
                "would be the original's; tell it in `notes`."
            },
        ),
        # of videos with any number of classes, as Charades is measured
        _mean(name="multilabel_map", computed_by="videohub.metrics.multilabel", class_count="videos with it"),
        Metric(  # where one class is right
            name="topk",
            computed_by="videohub.metrics.accuracy",
            numbers=("top-1", "top-5"),
            one_class=True,
            is_counted=True,
            class_measure="accuracy",
            class_column="accuracy",
            class_count="videos",
            hub_name="accuracy",
        ),
    )
}


def of(name: str) -> Metric:
    """Return the metric that protocols call so. Raises: UsageError for a name that none has."""
    if name not in METRICS:
        raise UsageError(f"metric: found {name!r}, expected one of {', '.join(names())}")
    return METRICS[name]


def names() -> list[str]:
    """Return what protocols may call a metric, in alphabetical order."""
    return sorted(METRICS)
