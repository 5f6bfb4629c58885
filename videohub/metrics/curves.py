"""Mean average precision from ranked rows, for any weights of the videos.

A bootstrap over videos asks for the same curves a thousand times, with some videos counted twice and others not at all.
Nothing is sorted or matched again for that: a video that was drawn k times is a video of weight k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_CELLS = 1 << 21  # numbers held at once: 16 MB
_FEW = 32  # a table of rows by video pays while it has fewer cells than this times the rows


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
    read: Callable[
        [np.ndarray], np.ndarray
    ]  # precision at the steps (steps, R) -> what counts there: `plain`, `envelope`

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
            found = _average_precision(ranking, weights, self.read)
            counts = ~np.isnan(found)
            total[counts] += found[counts]
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
            found, seen = np.cumsum(gains, axis=0), _seen(ranking, block)
            precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
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
