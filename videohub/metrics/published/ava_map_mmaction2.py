"""AVA's mean average precision as mmaction2 computes it."""

from videohub.metrics.metric import MeanAveragePrecision

METRIC = MeanAveragePrecision(
    name="ava_map_mmaction2",
    module="videohub.metrics.ava_mmaction2",
    by_box=True,
    class_count="boxes with it",
    hub_tags=("action-detection",),
    hub_condition=" at IoU 0.5",
)
