"""Mean average precision of videos with any number of classes, as Charades is measured."""

from videohub.metrics.metric import MeanAveragePrecision

METRIC = MeanAveragePrecision(
    name="multilabel_map", module="videohub.metrics.average_precision", class_count="videos with it"
)
