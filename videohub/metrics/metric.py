"""What a metric is: one object that says what it reads of a run, what that comes to, and what may follow from it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import msgspec

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
        from videohub.metrics.binomial import wilson_interval  # the registry needs no arithmetic

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
    """What a module offers that computes a metric."""

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
            tolerance: Points that their source allows on top of chance.
        Raises: DataError if the scores cannot be judged.
        """

    def pair(self, first: Joined | Ranks, second: Joined | Ranks) -> Pair | None:
        """Compare two runs on the samples that both have scored; None if there is none.

        Args:
            first, second: What is kept of a run, or of its report alone.
        Raises: UsageError if reports do not suffice; DataError if the scores cannot be judged.
        """

    def is_right(self, scores: npt.ArrayLike, classes: Sequence[int]) -> bool:
        """Return whether a sample with these joined scores (classes,) is right; only of metrics that are counted."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How scores become published numbers. All that differs between metrics is asked of such an object."""

    name: str  # what protocols call it
    module: str  # that computes it
    numbers: tuple[str, ...]  # what it comes to, in per cent; the first one decides
    by_box: bool = False  # a sample is scored at each of its boxes, and not as a whole
    over_classes: bool = False  # a mean over classes, of which those that are never right are left out
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
        """What computes it, imported only now: the registry asks for the words alone."""
        return cast(Arithmetic, importlib.import_module(self.module))


@dataclass(frozen=True, kw_only=True)
class MeanAveragePrecision(Metric):
    """What the metrics that are a mean average precision say alike."""

    numbers: tuple[str, ...] = ("mAP",)
    over_classes: bool = True
    sample_objection: str | None = (
        "a mean average precision of fewer videos is another quantity, a higher one, so a sample cannot stand for the "
        "whole list"
    )
    class_measure: str = "average precision (AP)"
    class_column: str = "AP"
    hub_name: str = "mean_average_precision"
