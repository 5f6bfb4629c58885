"""Mean average precision from ranked rows, for any weights of the videos: its number, and what chance makes of it.

A bootstrap over videos asks for the same curves a thousand times, with some videos counted twice and others not at all.
Nothing is sorted or matched again for that: a video that was drawn k times is a video of weight k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from videohub.errors import UsageError
from videohub.metrics.metric import Number, Pair, PerClass, Ranks
from videohub.metrics.verdict import Comparison, compare_map
from videohub.runs import Joined

_CELLS = 1 << 21  # numbers held at once: 16 MB
_FEW = 32  # a table of rows by video pays while it has fewer cells than this times the rows
_AT_ONCE = 250  # resamples; part of what a seed means


@dataclass(frozen=True, eq=False)
class Ranking:
    """What one class predicts, from the highest score to the lowest."""

    videos: np.ndarray  # (rows,) number of the video that each row belongs to
    hits: np.ndarray  # (hits,) the rows that are right, ascending
    steps: np.ndarray  # (steps,) rows after which precision is read, ascending: the last row of each hit's score
    truths: np.ndarray  # (videos,) how much there is to find in each video


@dataclass(frozen=True, eq=False)
class MeanPrecision:
    """The mean over classes of average precision, ready to be computed for any weights of the videos."""

    rankings: tuple[Ranking, ...]  # one a class, all over the same videos
    read: Callable[[np.ndarray], np.ndarray]  # what counts of precision at the steps (steps, R): `plain`, `envelope`

    @property
    def videos(self) -> int:
        """How many videos there are to weigh."""
        return len(self.rankings[0].truths)

    def mean(self) -> float:
        """Return the mean over the classes that have something to find, as a fraction.

        Raises: ValueError if no class has.
        """
        mean = float(self.means(np.ones((self.videos, 1)))[0])
        if np.isnan(mean):
            raise ValueError(f"none of {len(self.rankings)} classes has anything to find; expected at least one")
        return mean

    def means(self, weights: np.ndarray) -> np.ndarray:
        """Return `mean` for each column of weights (videos, R), (R,); NaN where no class has anything to find."""
        total, count = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
        for ranking in self.rankings:
            precision = _average_precision(ranking, weights, self.read)
            counts = ~np.isnan(precision)
            total[counts] += precision[counts]
            count += counts
        return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)

    def classes(self) -> np.ndarray:
        """Return the average precision of each class, (classes,); NaN for those with nothing to find."""
        ones = np.ones((self.videos, 1))
        return np.array([_average_precision(ranking, ones, self.read)[0] for ranking in self.rankings])


def plain(precision: np.ndarray) -> np.ndarray:
    """Take precision as it is: scikit-learn's definition, and the reference's for Charades."""
    return precision


def envelope(precision: np.ndarray) -> np.ndarray:
    """Take the best precision at this recall or a higher one: the definition of PASCAL VOC 2010, and AVA's."""
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]


def bootstrap_interval(curves: MeanPrecision, *, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean average precision, as fractions.

    Whole videos are drawn with replacement, as many as there are; what is in one video stays together. A video that
    is drawn twice stands beside its copy in every ranking, where a new video would not, so resamples lie too high: by
    0.8 points with generated videos as many as Charades has, where their deviation is 0.5. So the percentiles are
    shifted by as much as the resamples' mean is off the measured value. (Textbooks' intervals are others: the plain
    percentiles, the basic one, which mirrors them, and Efron's BC and BCa.) That holds the expected value of so many
    videos in 93 to 96 % of generated sets of 300 videos, or of 64 as long as AVA's; with 80 short ones in 90 %.
    One video tells nothing of chance: 0 to 1.

    Args:
        curves: From `multilabel_curves` or `Matches.curves`.
        resamples: How often to draw.
        seed: The same seed draws the same videos.
    Raises: ValueError if no class has anything to find, or for fewer than one resample.
    """
    drawn = np.concatenate([curves.means(weights) for weights in drawn_weights(curves.videos, resamples, seed)])
    low, high = percentiles_around(curves.mean(), drawn)
    return (max(0.0, low), min(1.0, high)) if curves.videos > 1 else (0.0, 1.0)


def drawn_weights(videos: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw videos with replacement; yield how often each was drawn, (videos, some resamples) at a time."""
    if resamples < 1:
        raise ValueError(f"found {resamples} resamples, expected at least 1")
    random = np.random.default_rng(seed)
    for begin in range(0, resamples, _AT_ONCE):
        count = min(_AT_ONCE, resamples - begin)
        drawn = random.integers(videos, size=(count, videos)) + videos * np.arange(count)[:, None]
        counts = np.bincount(drawn.reshape(-1), minlength=count * videos).reshape(count, videos)
        yield np.ascontiguousarray(counts.T, np.float64)


def percentiles_around(measured: float, drawn: np.ndarray) -> tuple[float, float]:
    """Return where the middle 95 % of the resamples lie, shifted so that their mean is the measured value.

    Resamples without anything to find have no value (NaN) and are left out.
    """
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    off = float(np.nanmean(drawn)) - measured
    return float(low) - off, float(high) - off


def bootstrap_difference(first: MeanPrecision, second: MeanPrecision, *, resamples: int = 1000) -> tuple[float, float]:
    """Return the 95 % interval of the first's mean average precision minus the second's, as fractions.

    Args:
        first, second: Curves over the same videos in the same order, with the same truth, so that a bootstrap draws
            the same videos for both. For AVA give `match` the list of videos.
        resamples: As of `bootstrap_interval`, whose shift of the percentiles and seed are used here too.
    Raises: ValueError if the videos or their truth differ, or no class has anything to find.
    """
    same = first.videos == second.videos and len(first.rankings) == len(second.rankings)
    if not same or any(
        not np.array_equal(one.truths, other.truths) for one, other in zip(first.rankings, second.rankings, strict=True)
    ):
        raise ValueError("the two were not measured on the same videos, classes and ground truth, in the same order")
    if first.videos == 1:
        return -1.0, 1.0
    drawn = [first.means(weights) - second.means(weights) for weights in drawn_weights(first.videos, resamples, seed=0)]
    low, high = percentiles_around(first.mean() - second.mean(), np.concatenate(drawn))
    return max(-1.0, low), min(1.0, high)


def measured(curves: MeanPrecision) -> list[Number]:
    """Return the mean average precision and its bootstrap interval."""
    low, high = bootstrap_interval(curves)
    return [Number("mAP", 100 * curves.mean(), (100 * low, 100 * high))]


def paired(
    first: Joined | Ranks,
    second: Joined | Ranks,
    curves_of_both: Callable[[Joined, Joined, set[str]], tuple[MeanPrecision, MeanPrecision]],
) -> Pair | None:
    """Compare two runs by their kept scores, with a bootstrap that draws the same videos for both; see `Arithmetic`.

    `curves_of_both` gives the curves on the samples that both have scored, whose names it is given, in the same order.
    """
    if not isinstance(first, Joined) or not isinstance(second, Joined):
        raise UsageError(
            "a mean average precision of two models is compared by their scores, and a report does not keep them; "
            "give the folders of both runs"
        )
    names, others = ({side.truth.names[index] for index in side.scored} for side in (first, second))
    if not (both := names & others):
        return None
    common = len(both)
    one, other = curves_of_both(first, second, both)
    low, high = bootstrap_difference(one, other)
    return Pair(
        metric="mAP",
        common=common,
        alone=(len(names) - common, len(others) - common),
        values=(100 * one.mean(), 100 * other.mean()),
        difference=100 * (one.mean() - other.mean()),
        interval=(100 * low, 100 * high),
    )


def compared(
    run: Joined,
    published: Mapping[str, float],
    curves: MeanPrecision,
    extremes: tuple[MeanPrecision, MeanPrecision] | None,
    *,
    tolerance: float,
) -> Comparison:
    """Compare a run's mean average precision with the published one.

    `extremes` are the curves had the missing samples been all wrong, and all right; None where none is missing.
    """
    low, high = interval = bootstrap_interval(curves)
    if extremes is not None:
        low, high = bootstrap_interval(extremes[0])[0], bootstrap_interval(extremes[1])[1]
    return compare_map(
        "mAP",
        published["mAP"],
        recomputed=100 * curves.mean(),
        interval=(100 * interval[0], 100 * interval[1]),
        bounds=(100 * low, 100 * high),
        scored=len(run.scored),
        missing=len(run.missing),
        videos=curves.videos,
        tolerance=tolerance,
    )


def per_class(names: Iterable[str], counts: np.ndarray, curves: MeanPrecision) -> list[PerClass]:
    """Return each class with its average precision; what it was measured on counts `counts` (classes,)."""
    return [
        PerClass(name, count, None, None if np.isnan(value) else 100 * value)
        for name, count, value in zip(names, counts.tolist(), curves.classes().tolist(), strict=True)
    ]


def _average_precision(ranking: Ranking, weights: np.ndarray, read: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return one class's average precision for each column of weights, (R,): precision times the rise of recall."""
    truth = ranking.truths @ weights
    area = np.zeros(weights.shape[1])
    if len(ranking.hits):
        first = np.searchsorted(ranking.hits, ranking.steps[:-1], side="right")  # hit of each step but the first
        starts = np.concatenate(([0], first))
        width = max(1, _CELLS // max(len(ranking.videos), len(ranking.hits)))
        for begin in range(0, len(area), width):
            block = weights[:, begin : begin + width]
            gains = np.add.reduceat(block[ranking.videos[ranking.hits]], starts, axis=0)
            right, seen = np.cumsum(gains, axis=0), _seen(ranking, block)
            precision = np.divide(right, seen, out=np.zeros_like(right), where=seen > 0)
            # a running sum adds in one order whatever the number of columns, so equal weights give equal bits
            area[begin : begin + width] = np.cumsum(gains * read(precision), axis=0)[-1]
    return np.divide(area, truth, out=np.full(len(area), np.nan), where=truth > 0)


def _seen(ranking: Ranking, weights: np.ndarray) -> np.ndarray:
    """Return the weight of all rows down to each step, (steps, R)."""
    steps, videos = ranking.steps, ranking.videos[: ranking.steps[-1] + 1]
    starts = np.concatenate(([0], steps[:-1] + 1))
    if len(steps) * len(weights) > _FEW * len(videos):
        return np.cumsum(np.add.reduceat(weights[videos], starts, axis=0), axis=0)
    step = np.repeat(np.arange(len(steps)), np.diff(starts, append=len(videos)))
    rows = np.bincount(step * len(weights) + videos, minlength=len(steps) * len(weights)).reshape(len(steps), -1)
    return np.cumsum(rows, axis=0).astype(np.float64) @ weights
