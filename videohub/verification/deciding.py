"""Follow a run video by video, and say when its verdict can no longer change: the rule behind `until_decided`."""

from __future__ import annotations

from videohub.metrics.verdict import TOLERANCE, Verdict, settled


class Decision:
    """What is known so far of the videos of a list, taken in random order.

    Only what was seen in that order counts, without gaps: results that came early, because their videos are short,
    would bend the answer.
    """

    def __init__(self, published: float, *, total: int, level: float, tolerance: float = TOLERANCE) -> None:
        self.published, self.total, self.level, self.tolerance = published, total, level, tolerance
        self.seen = self.hits = self.failed = 0
        self._early: dict[int, bool | None] = {}  # beyond a gap: whether they are hits, None if they failed

    def take(self, number: int, hit: bool | None) -> None:
        """Take a video by its number in that order: whether it is right, or None if it could not be scored."""
        self._early[number] = hit
        while self.seen in self._early:
            hit = self._early.pop(self.seen)
            self.seen += 1
            self.hits += hit is True
            self.failed += hit is None

    @property
    def verdict(self) -> Verdict | None:
        """Return the verdict that the whole list will give, or None while it is open."""
        return settled(self.published, hits=self.hits, failed=self.failed, seen=self.seen, total=self.total,
                       level=self.level, tolerance=self.tolerance)  # fmt: skip
