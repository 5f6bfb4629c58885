"""Top-1, which decides, and top-5 beside it, where one class is right."""

from videohub.metrics.metric import Metric

METRIC = Metric(
    name="topk",
    module="videohub.metrics.accuracy",
    numbers=("top-1", "top-5"),
    is_counted=True,
    class_measure="accuracy",
    class_column="accuracy",
    class_count="videos",
    hub_name="accuracy",
)
