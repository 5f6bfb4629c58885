"""The scores of videos with one clip, with two, and so on, from one reading: a full run's scores fill a gigabyte."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from videohub.runs import Joined
from videohub.runs.scores import read_scores


def by_clips(joined: Joined) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield of each scored sample, in any order, its index and its scores by number of clips, (clips, classes).

    Row k - 1 is what `Joined.scores_by_clips(k)` gives, to the last bit: a running sum adds view to view, too.
    """
    scoring = joined.identity.scoring
    running = np.maximum if scoring.ensemble == "max" else np.add
    for entry, views in read_scores(joined.entries.values()):
        yield entry.index, running.accumulate(views, axis=0)[scoring.crops - 1 :: scoring.crops]


def scored(joined: Joined) -> list[int]:
    """Return the samples that have scores, ascending."""
    return [index for index, entry in joined.entries.items() if entry.shape is not None]
