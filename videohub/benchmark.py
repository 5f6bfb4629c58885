"""A model over videos: every view decoded once, scored, and joined into one score a video, as the protocol says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from videohub import registry
from videohub.data.lists import Item
from videohub.data.views import Views, read_views
from videohub.errors import UsageError, VideoError
from videohub.registry.schema import Protocol, Record

# Input values that go through the model together: 2 views of SlowFast 8x8 on a CPU (more are slower), 30 on a GPU.
_VALUES_AT_ONCE = {"cpu": 2**24}
_VALUES_AT_ONCE_ELSEWHERE = 2**28


@dataclass(frozen=True)
class VideoScores:
    """What a model makes of one video: scores (classes,), or why there are none."""

    item: Item
    scores: Tensor | None
    failure: str | None


def views(video: str | Path, record_or_name: str | Record) -> Tensor:
    """Return every test view of a video, (V, 3, T, H, W) float32, exactly as the record's protocol says.

    View v is clip v // crops under crop v % crops. The video is decoded once.
    Raises: UsageError if there is no such file; VideoError if it holds no usable pictures.
    """
    record = registry.record(record_or_name)
    return read_views(Path(video), record.protocol, record.clip).stack()


def fast_layout(model: nn.Module) -> nn.Module:
    """Return the model with its kernels channels-last: the same results, 1.4 times as fast for SlowFast on a CPU."""
    return model.to(memory_format=torch.channels_last_3d)


def view_scores(model: nn.Module, views: Views, protocol: Protocol) -> Iterator[Tensor]:
    """Yield the probabilities of all views in order, a few at a time: (some, classes) float32 on the CPU."""
    if protocol.metric == "ava_map":
        raise UsageError(
            f"protocol {protocol.name}: boxes are needed to score people; expected a classifier's protocol"
        )
    device = next(model.parameters()).device
    at_once = max(1, _VALUES_AT_ONCE.get(device.type, _VALUES_AT_ONCE_ELSEWHERE) // math.prod(views.shape[1:]))
    for first in range(0, len(views), at_once):
        batch = torch.stack([views[v] for v in range(first, min(first + at_once, len(views)))])
        batch = batch.to(device, memory_format=torch.channels_last_3d)
        # TF32 would move the third decimal of an accuracy
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            logits = model(batch)
            scores = logits.softmax(dim=1) if protocol.activation == "softmax" else logits.sigmoid()
        yield scores.cpu()


def score_video(model: nn.Module, views: Views, protocol: Protocol) -> Tensor:
    """Return the score of one video, (classes,) float32 on the CPU: its views' probabilities, joined."""
    return join_views(torch.cat(list(view_scores(model, views, protocol))), protocol.ensemble)


def join_views(scores: Tensor, ensemble: Literal["sum", "max"]) -> Tensor:
    """Return one score a class, (classes,), for the probabilities of a video's views (V, classes).

    Source: the original sums over views and never divides; for Charades it takes the maximum.
    """
    return scores.sum(dim=0) if ensemble == "sum" else scores.amax(dim=0)


def evaluate(model: nn.Module, record: Record, protocol: Protocol, items: Iterable[Item]) -> Iterator[VideoScores]:
    """Yield the scores of each video in turn; one that cannot be decoded is reported as such, never replaced."""
    for item in items:
        try:
            scores = score_video(model, read_views(item.path, protocol, record.clip), protocol)
        except (UsageError, VideoError) as error:
            yield VideoScores(item, None, str(error))
        else:
            yield VideoScores(item, scores, None)
