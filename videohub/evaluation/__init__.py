"""A model over videos: decoded by processes of their own, views in batches, probabilities in the videos' order.

Names are imported when they are first used: a worker process lives in this room too, and shall not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videohub.evaluation.evaluation import Contender, Evaluation, Scored, evaluate
    from videohub.evaluation.one_video import join_views, score_video, view_scores, views
    from videohub.evaluation.precision import Settled, settle

__all__ = [
    "Contender",
    "Evaluation",
    "Scored",
    "Settled",
    "evaluate",
    "join_views",
    "score_video",
    "settle",
    "view_scores",
    "views",
]


def __getattr__(name: str) -> Any:
    if name in ("join_views", "score_video", "view_scores", "views"):
        from videohub.evaluation import one_video

        return getattr(one_video, name)
    if name in ("Contender", "Evaluation", "Scored", "evaluate"):
        from videohub.evaluation import evaluation

        return getattr(evaluation, name)
    if name in ("Settled", "settle"):
        from videohub.evaluation import precision

        return getattr(precision, name)
    raise AttributeError(f"module 'videohub.evaluation' has no attribute {name!r}")
