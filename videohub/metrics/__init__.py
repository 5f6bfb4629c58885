"""From scores to numbers: accuracies, mean average precisions, and how far chance can have moved them.

metrics.topk_accuracy(scores, labels)[1]
metrics.ava_map("ava_val_v2.2.csv", "detections.csv", label_map="ava_action_list_v2.2.pbtxt").per_class["stand"]
metrics.bootstrap_interval(metrics.multilabel_curves(scores, labels))
"""

from __future__ import annotations

from videohub.metrics.accuracy import ranks, topk_accuracy, topk_hits
from videohub.metrics.ava import AvaResult, ava_map, ava_result, evaluate, scored_boxes
from videohub.metrics.ava_files import Boxes, read_boxes, read_exclusions, read_label_map
from videohub.metrics.average_precision import average_precisions, multilabel_curves, multilabel_map
from videohub.metrics.curves import MeanPrecision
from videohub.metrics.intervals import bootstrap_bounds, bootstrap_interval, wilson_interval
from videohub.metrics.matching import Matches, match
from videohub.metrics.missing import ava_extremes, multilabel_extremes
from videohub.metrics.paired import PairedAccuracies, PairedMaps, mcnemar, paired_accuracies, paired_maps
from videohub.metrics.sequences import hits_sequence

__all__ = [
    "AvaResult",
    "Boxes",
    "Matches",
    "MeanPrecision",
    "PairedAccuracies",
    "PairedMaps",
    "ava_extremes",
    "ava_map",
    "ava_result",
    "average_precisions",
    "bootstrap_bounds",
    "bootstrap_interval",
    "evaluate",
    "hits_sequence",
    "match",
    "mcnemar",
    "multilabel_curves",
    "multilabel_extremes",
    "multilabel_map",
    "paired_accuracies",
    "paired_maps",
    "ranks",
    "read_boxes",
    "read_exclusions",
    "read_label_map",
    "scored_boxes",
    "topk_accuracy",
    "topk_hits",
    "wilson_interval",
]
