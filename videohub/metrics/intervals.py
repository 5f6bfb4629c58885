"""How far chance can have moved a number: 95 % intervals over the choice of the videos."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from videohub.metrics.curves import MeanPrecision

_Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution
_AT_ONCE = 250  # resamples; part of what a seed means


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of an accuracy, in per cent; with every hit it ends at 100, with none at 0.

    Raises: ValueError unless 0 <= hits <= count and count > 0.
    """
    if not 0 <= hits <= count or count == 0:
        raise ValueError(f"found {hits} hits of {count}, expected 0 <= hits <= count and a count above 0")
    share, z2 = hits / count, _Z_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    low, high = centre - half, centre + half
    return (0.0 if hits == 0 else 100 * low), (100.0 if hits == count else 100 * high)  # whatever the rounding


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


def bootstrap_bounds(
    worst: MeanPrecision, best: MeanPrecision, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return what chance and missing videos together allow: the interval's low end if they were all wrong, and its
    high end if they were all right. Arguments are what `multilabel_extremes` and `ava_extremes` return.
    """
    low, _ = bootstrap_interval(worst, resamples=resamples, seed=seed)
    _, high = bootstrap_interval(best, resamples=resamples, seed=seed)
    return low, high


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
