"""Follow a run video by video, and say when its verdict can no longer change: the rule behind `until_decided`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from videohub.metrics import topk_hits
from videohub.verdict import Answer, settled


class Decision:
    """What is known so far of the videos of a list, taken in random order.

    Only what was seen in that order counts, without gaps: results that came early, because their videos are short,
    would bend the answer.
    """

    def __init__(self, published: float, *, total: int, level: float) -> None:
        self.published, self.total, self.level = published, total, level
        self.seen = self.hits = self.failed = 0

    def take(self, scores: npt.ArrayLike | None, right: int) -> None:
        """Count the next video: its joined scores (classes,), or None if it could not be scored."""
        self.seen += 1
        if scores is None:
            self.failed += 1
        else:
            self.hits += bool(topk_hits(np.asarray(scores)[None], [right], (1,))[1][0])

    @property
    def answer(self) -> Answer | None:
        """Return the verdict that the whole list will give, or None while it is open."""
        return settled(self.published, hits=self.hits, failed=self.failed, seen=self.seen, total=self.total,
                       level=self.level)  # fmt: skip
