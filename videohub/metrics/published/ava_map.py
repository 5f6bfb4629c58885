"""AVA's mean average precision of boxes with actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from videohub.metrics.metric import Findings, MeanAveragePrecision, Number, Pair, Ranks

if TYPE_CHECKING:
    from videohub.runs import Joined


class AvaMap(MeanAveragePrecision):
    """AVA's mean average precision of boxes with actions."""

    name = "ava_map"
    by_box = True
    class_count = "boxes with it"
    hub_tags = ("action-detection",)
    hub_condition = " at IoU 0.5"

    def measure(self, run: Joined) -> list[Number]:
        from videohub.metrics import ava

        return ava.measure(run)

    def compare(
        self, run: Joined, published: Mapping[str, float], names: Sequence[str], *, tolerance: float
    ) -> Findings:
        from videohub.metrics import ava

        return ava.compare(run, published, names, tolerance=tolerance)

    def pair(self, first: Joined | Ranks, second: Joined | Ranks) -> Pair | None:
        from videohub.metrics import ava

        return ava.pair(first, second)


METRIC = AvaMap()
