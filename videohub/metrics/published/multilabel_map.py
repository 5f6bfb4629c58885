"""Mean average precision of videos with any number of classes, as Charades is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from videohub.metrics.metric import Findings, MeanAveragePrecision, Number, Pair, Ranks

if TYPE_CHECKING:
    from videohub.runs import Joined


class MultilabelMap(MeanAveragePrecision):
    """Mean average precision of videos with any number of classes, as Charades is measured."""

    name = "multilabel_map"
    class_count = "videos with it"

    def measure(self, run: Joined) -> list[Number]:
        from videohub.metrics import average_precision

        return average_precision.measure(run)

    def compare(
        self, run: Joined, published: Mapping[str, float], names: Sequence[str], *, tolerance: float
    ) -> Findings:
        from videohub.metrics import average_precision

        return average_precision.compare(run, published, names, tolerance=tolerance)

    def pair(self, first: Joined | Ranks, second: Joined | Ranks) -> Pair | None:
        from videohub.metrics import average_precision

        return average_precision.pair(first, second)


METRIC = MultilabelMap()
