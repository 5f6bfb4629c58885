"""Top-1, which decides, and top-5 beside it, where one class is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from videohub.metrics.metric import Findings, Metric, Number, Pair, Ranks

if TYPE_CHECKING:
    import numpy.typing as npt

    from videohub.runs import Joined


class TopK(Metric):
    """Top-1, which decides, and top-5 beside it, where one class is right."""

    name = "topk"
    numbers = ("top-1", "top-5")
    is_counted = True
    class_measure = class_column = "accuracy"
    class_count = "videos"
    hub_name = "accuracy"

    def measure(self, run: Joined) -> list[Number]:
        from videohub.metrics import accuracy

        return accuracy.measure(run)

    def compare(
        self, run: Joined, published: Mapping[str, float], names: Sequence[str], *, tolerance: float
    ) -> Findings:
        from videohub.metrics import accuracy

        return accuracy.compare(run, published, names, tolerance=tolerance)

    def pair(self, first: Joined | Ranks, second: Joined | Ranks) -> Pair | None:
        from videohub.metrics import accuracy

        return accuracy.pair(first, second)

    def is_right(self, scores: npt.ArrayLike, classes: Sequence[int]) -> bool:
        from videohub.metrics import accuracy

        return accuracy.is_right(scores, classes)


METRIC = TopK()
