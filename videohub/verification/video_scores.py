"""What a run gave each video, as arrays: for confusions, curves and statistics of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from videohub import runs
from videohub.verification.results import classes_of


@dataclass(frozen=True, eq=False)
class VideoScores:
    """The scores of a run's N videos, of C classes, in the order of the list.

    Attributes:
        names: What the list calls the videos, (N,) text.
        targets: The number of each one's right class, (N,) int64; where several may be right (Charades), (N, C) int64
            of ones and zeros.
        scores: (N, C) float32, joined over the views as the record's protocol does: where that adds, sums of them.
        classes: What the classes are called, by their numbers.
        missing: The videos without scores, which failed or were not looked at.
    """

    names: npt.NDArray[np.str_]
    targets: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    classes: list[str]
    missing: list[str]


def video_scores(*folders: str | Path) -> VideoScores:
    """Return the scores of every video that a run has kept, from its folder, or from those of its shards.

    They are what the report's numbers are made of: `videohub.metrics.topk_accuracy(kept.scores, kept.targets)`, or
    `multilabel_map`. The first of equally high scores counts, as in `kept.scores.argmax(axis=1)`.

    Args:
        folders: What `verify` or `evaluate` was given as `out`.
    Raises: UsageError if the folders do not keep one run, or its scores are of boxes; DataError if they are damaged.
    """
    joined = runs.join(folders)
    indexes, scores = joined.video_scores()
    names, right = joined.truth.names, [joined.truth.classes[index] for index in indexes]
    if joined.identity.scoring.scores.activation == "softmax":  # one class is right
        targets = np.array([classes[0] for classes in right], dtype=np.int64)
    else:
        targets = np.zeros(scores.shape, dtype=np.int64)
        for row, classes in zip(targets, right, strict=True):
            row[classes] = 1
    return VideoScores(
        names=np.array([names[index] for index in indexes], dtype=np.str_),
        targets=targets,
        scores=scores,
        classes=list(classes_of(joined.identity)),
        missing=[names[index] for index in joined.missing],
    )
