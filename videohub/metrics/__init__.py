"""From scores to numbers: accuracies, mean average precisions, and how far chance can have moved them.

metrics.topk_accuracy(scores, labels)[1]
metrics.ava_map("ava_val_v2.2.csv", "detections.csv", label_map="ava_action_list_v2.2.pbtxt").per_class["stand"]
metrics.bootstrap_interval(metrics.multilabel_curves(scores, labels))

What a protocol calls a metric is an object, too, which knows what reports, comparisons and verdicts make of it:
`metrics.of("topk")`. The functions above are imported when they are first used: the registry needs no arithmetic.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from videohub.metrics.metric import names, of

if TYPE_CHECKING:
    from videohub.metrics.accuracy import topk_accuracy
    from videohub.metrics.ava import ava_map
    from videohub.metrics.mean_average_precision import bootstrap_interval
    from videohub.metrics.multilabel import multilabel_curves, multilabel_map

__all__ = ["ava_map", "bootstrap_interval", "multilabel_curves", "multilabel_map", "names", "of", "topk_accuracy"]

_HOMES = {
    "ava_map": "ava",
    "bootstrap_interval": "mean_average_precision",
    "multilabel_curves": "multilabel",
    "multilabel_map": "multilabel",
    "topk_accuracy": "accuracy",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
