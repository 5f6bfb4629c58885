"""Scores in words: the classes that a model finds most probable, and which models and questions have such an answer."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Literal, SupportsIndex, TypeAlias

import torch
from torch import Tensor

from videohub import metrics
from videohub.data.labels import names_of
from videohub.errors import UsageError
from videohub.evaluation.batches import Scores
from videohub.evaluation.scoring import join_views
from videohub.log import warn_once
from videohub.numeric_precision import AUTO, supported
from videohub.protocols import ScoreRule
from videohub.registry.labels import with_classes
from videohub.registry.schema import Labels, Record

WhichViews: TypeAlias = Literal["one", "protocol"]

_WHICH_VIEWS: tuple[WhichViews, ...] = ("one", "protocol")


@dataclass(frozen=True)
class Prediction:
    """A class and how probable the model finds it, from 0 to 1."""

    label: str
    probability: float
    index: int


def check_question(topk: int, views: str) -> None:
    """Refuse what cannot be asked of any model. Raises: UsageError."""
    if not isinstance(topk, SupportsIndex) or operator.index(topk) < 1:
        raise UsageError(f"topk: found {topk!r}, expected a whole number, at least 1")
    if views not in _WHICH_VIEWS:
        raise UsageError(f"views: found {views!r}, expected {' or '.join(_WHICH_VIEWS)}")


def check_classifies(record: Record, precision: str, device: torch.device) -> None:
    """Refuse a network that does not name classes of a video, or cannot be run so, before any frame and any download.

    Raises: UsageError, DeviceError.
    """
    if metrics.of(record.protocol.metric).by_box:
        raise UsageError(
            f"{record.name}: this network names what people in given boxes do; predict needs a classifier.\n"
            "  `videohub detect` takes it, or call the loaded model with (clip, boxes)."
        )
    names_of(record)
    if precision != AUTO:
        supported(precision, device)


def tell_unnamed(record: Record, stated: Labels) -> None:
    """Say once that classes go by their numbers, if nothing names them; `stated` are the labels before it was loaded.

    Where loading took them away, for a file has other classes, it said so itself.
    """
    if record.labels is None and stated is None:
        warn_once("%s: its %d classes have no names here: output k is called class k; --labels FILE or labels= names "
                  "them", record.name, record.num_classes)  # fmt: skip


def joined(views: Scores, rule: ScoreRule) -> Tensor:
    """Return one probability a class, (classes,), for those of the views (V, classes)."""
    scores = join_views(torch.from_numpy(views), rule)
    return scores / len(views) if rule.join == "sum" else scores


def best_of(scores: Tensor, record: Record, topk: int) -> list[Prediction]:
    """Return the most probable classes of scores (classes,), best first, called as the record says."""
    names = names_of(with_classes(record, len(scores)))
    best = scores.topk(min(topk, len(scores)))
    return [
        Prediction(names[index], float(probability), index)
        for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
