"""What a mean average precision could have been had the missing videos been scored: the two ends of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from videohub.metrics.ava_files import Boxes
from videohub.metrics.average_precision import multilabel_curves
from videohub.metrics.curves import MeanPrecision
from videohub.metrics.matching import Matches, known_rows, video_of


def multilabel_extremes(
    scores: ArrayLike, labels: ArrayLike, missing: ArrayLike
) -> tuple[MeanPrecision, MeanPrecision]:
    """Return the curves of the whole list if all missing videos were wrong, and if all were right.

    Right: in each class that a missing video has it comes before every scored one, in the others after. Wrong: the
    other way round, one by one, since equal scores would share the precision of the last. No scores of the missing
    videos give a lower or a higher mean.

    Args:
        scores: Scores of the videos that were scored (N, classes).
        labels: Which classes they have (N, classes), 0 or 1.
        missing: Which classes the missing videos have (M, classes); M may be 0.
    Returns: (worst, best); their videos are the scored ones, then the missing ones.
    Raises: ValueError for what `multilabel_map` does not take.
    """
    score, label, absent = np.asarray(scores), np.asarray(labels), np.asarray(missing)
    multilabel_curves(score, label)  # its checks
    if absent.ndim != 2 or absent.shape[1] != score.shape[1] or not np.isin(absent, (0, 1)).all():
        raise ValueError(f"found missing labels {absent.shape}, expected (M, {score.shape[1]}) of 0 and 1")
    # ranks instead of scores, so that there is always room above and below
    ranks = np.stack([np.unique(one, return_inverse=True)[1] for one in score.T], axis=1)
    has = absent.astype(bool)
    best = np.where(has, len(score), -1)
    worst = np.where(has, -np.cumsum(has, axis=0), len(score))
    every = np.concatenate([label, absent])
    return (
        multilabel_curves(np.concatenate([ranks, worst]), every),
        multilabel_curves(np.concatenate([ranks, best]), every),
    )


def ava_extremes(matches: Matches, truth: Boxes, persons: Sequence[str]) -> tuple[MeanPrecision, MeanPrecision]:
    """Return the curves of all moments if the missing ones were all wrong, and if they were all right.

    Right: each ground truth box of a missing moment is found before everything else. Wrong: none is, and every person
    that the detector found at a missing moment is a false detection of each class before everything else; a network
    cannot do worse, since it gives a box one score a class. How many persons there are decides how low that is, and
    the detector's file tells it without the frames. Where it is not known, no bound above 0 holds.

    Args:
        matches: Those of the moments that were scored, with the ground truth of these moments alone.
        truth: Ground truth of the missing moments.
        persons: The key, `video,%04d`, of each of the detector's boxes at missing moments.
    Returns: (worst, best), over the videos of `matches` and those that are missing whole.
    Raises: ValueError for ground truth that `match` does not take.
    """
    found = known_rows(truth, matches.names)
    of_truth, of_persons = [video_of(key) for key in found.keys], [video_of(key) for key in persons]
    known = set(matches.videos)
    videos = (*matches.videos, *sorted({*of_truth, *of_persons} - known))
    positions = {video: position for position, video in enumerate(videos)}
    truth_videos = np.array([positions[video] for video in of_truth], np.int64)
    truths = np.pad(matches.truths, ((0, 0), (0, len(videos) - len(known))))
    np.add.at(truths, (found.classes, truth_videos), 1)
    whole = replace(matches, videos=videos, truths=truths)
    classes = len(matches.names)
    best = _with_first(whole, found.classes, truth_videos, right=True)
    worst = _with_first(
        whole,
        np.tile(np.arange(classes), len(of_persons)),
        np.repeat(np.array([positions[video] for video in of_persons], np.int64), classes),
        right=False,
    )
    return worst.curves(), best.curves()


def _with_first(matches: Matches, classes: np.ndarray, videos: np.ndarray, *, right: bool) -> Matches:
    """Add detections that come before all others."""
    return replace(
        matches,
        classes=np.concatenate([matches.classes, classes]),
        video_of=np.concatenate([matches.video_of, videos]),
        scores=np.concatenate([matches.scores, np.full(len(classes), np.inf)]),
        hits=np.concatenate([matches.hits, np.full(len(classes), right)]),
    )
