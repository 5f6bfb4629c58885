"""From scores to numbers: accuracies, mean average precisions, and how far chance can have moved them.

metrics.topk_accuracy(scores, labels)[1]
metrics.ava_map("ava_val_v2.2.csv", "detections.csv", label_map="ava_action_list_v2.2.pbtxt").per_class["stand"]
metrics.bootstrap_interval(metrics.multilabel_curves(scores, labels))

What a protocol calls a metric is an object, too, which knows what reports, comparisons and verdicts make of it:
`metrics.of("topk")`. Other names are imported when they are first used: the registry needs none of the arithmetic.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from videohub.metrics.published import names, of

if TYPE_CHECKING:
    from videohub.metrics.accuracy import PairedAccuracies, paired_accuracies, ranks, topk_accuracy, topk_hits
    from videohub.metrics.ava import AvaResult, ava_extremes, ava_map, ava_result, evaluate, scored_boxes
    from videohub.metrics.ava_files import Boxes, read_boxes, read_exclusions, read_label_map
    from videohub.metrics.average_precision import (
        average_precisions,
        multilabel_curves,
        multilabel_extremes,
        multilabel_map,
    )
    from videohub.metrics.binomial import hits_sequence, mcnemar, wilson_interval
    from videohub.metrics.matching import Matches, match
    from videohub.metrics.mean_average_precision import (
        MeanPrecision,
        PairedMaps,
        bootstrap_bounds,
        bootstrap_interval,
        paired_maps,
    )
    from videohub.metrics.metric import Metric

_HOMES = {
    "ava": ("AvaResult", "ava_extremes", "ava_map", "ava_result", "evaluate", "scored_boxes"),
    "ava_files": ("Boxes", "read_boxes", "read_exclusions", "read_label_map"),
    "binomial": ("hits_sequence", "mcnemar", "wilson_interval"),
    "matching": ("Matches", "match"),
    "mean_average_precision": ("MeanPrecision", "PairedMaps", "bootstrap_bounds", "bootstrap_interval", "paired_maps"),
    "metric": ("Metric",),
    "average_precision": ("average_precisions", "multilabel_curves", "multilabel_extremes", "multilabel_map"),
    "accuracy": ("PairedAccuracies", "paired_accuracies", "ranks", "topk_accuracy", "topk_hits"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AvaResult",
    "Boxes",
    "Matches",
    "MeanPrecision",
    "Metric",
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
    "names",
    "of",
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


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
