"""A model over videos: decoded by worker processes, views in batches, probabilities in the videos' order.

Names are imported when they are first used: a worker process imports this room too, and shall not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videohub.evaluation.precision_choice import ChosenPrecision, choose_precision
    from videohub.evaluation.scoring import (
        EvalModel,
        Evaluation,
        Scored,
        evaluate,
        join_views,
        view_scores,
        views,
    )

__all__ = [
    "ChosenPrecision",
    "EvalModel",
    "Evaluation",
    "Scored",
    "choose_precision",
    "evaluate",
    "join_views",
    "view_scores",
    "views",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'videohub.evaluation' has no attribute {name!r}")
    from videohub.evaluation import scoring

    return getattr(scoring, name)
