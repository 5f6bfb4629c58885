"""The metrics that numbers are published in. A module here is called as protocols call its metric, and has a `METRIC`.

A new metric is one new file. The registry asks these for their words; the module that computes one is imported later.
"""

from __future__ import annotations

import importlib
import pkgutil

from videohub.errors import UsageError
from videohub.metrics.metric import Metric


def of(name: str) -> Metric:
    """Return the metric that protocols call so. Raises: UsageError for a name that none has."""
    if name not in names():
        raise UsageError(f"metric: found {name!r}, expected one of {', '.join(names())}")
    metric: Metric = importlib.import_module(f"{__name__}.{name}").METRIC
    return metric


def names() -> list[str]:
    """Return what protocols may call a metric."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
