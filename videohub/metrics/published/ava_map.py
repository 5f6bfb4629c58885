"""AVA's mean average precision of boxes with actions."""

from videohub.metrics.metric import MeanAveragePrecision

METRIC = MeanAveragePrecision(
    name="ava_map",
    module="videohub.metrics.ava",
    by_box=True,
    class_count="boxes with it",
    hub_tags=("action-detection",),
    hub_condition=" at IoU 0.5",
)
