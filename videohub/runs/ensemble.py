"""From the scores of a sample's views to one score a class: the one place where they are joined."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray


def join_views(scores: NDArray[np.float32], ensemble: Literal["sum", "max"]) -> NDArray[np.float32]:
    """Return one score a class, (classes,) float32, for the probabilities of a sample's views (V, classes).

    A sum is taken in float32, one view after another in their order. Libraries add in blocks, each in its own way, and
    differ in the last digit; this way kept scores give the same answer on any machine, to the last bit.
    Source: the original adds view to view as they come and never divides; for Charades it takes the maximum.
    """
    if ensemble == "max":
        return scores.max(axis=0)
    total = scores[0].copy()
    for view in scores[1:]:
        total += view
    return total
