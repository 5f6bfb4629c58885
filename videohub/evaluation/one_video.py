"""One video, or what was already made of one, through a model: its views' probabilities, joined into one score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from videohub import metrics, registry, runs
from videohub.data.views import Views, read_views
from videohub.errors import UsageError
from videohub.evaluation.batches import at_once, device_of, halved, probabilities, ran_out
from videohub.evaluation.kept_memory import kept_memory
from videohub.log import log
from videohub.registry.schema import Protocol, Record


def views(video: str | Path, record_or_name: str | Record) -> Tensor:
    """Return every test view of a video, (V, 3, T, H, W) float32, exactly as the record's protocol says.

    View v is clip v // crops under crop v % crops. The video is decoded once. Where its header contradicts its content,
    these are the views that the original makes of it, as in `verify`, and one line says so; `predict` follows the
    content.
    Raises: UsageError if there is no such file; VideoError if it holds no usable pictures, or the original refuses it.
    """
    record = registry.record(record_or_name)
    made = read_views(Path(video), record.protocol, record.clip)
    if made.contradictions:
        told = "; ".join(map(str, made.contradictions))
        log.warning(
            "%s: the header contradicts the content; the original, which is followed, believes it: %s", video, told
        )
    return made.stack()


def view_scores(model: nn.Module, views: Views, protocol: Protocol) -> Iterator[Tensor]:
    """Yield the probabilities of all views in order, a few at a time: (some, classes) float32 on the CPU.

    Where a GPU's memory does not hold them, it is fewer at a time. Raises: DeviceError if it does not hold one.
    """
    if metrics.of(protocol.metric).by_box:
        raise UsageError(
            f"protocol {protocol.name}: boxes are needed to score people; expected a classifier's protocol"
        )
    device = device_of(model)
    some = at_once(views.shape[1:], device)
    with kept_memory(device):
        done = 0
        while done < len(views):
            numbers = range(done, min(done + some, len(views)))
            found = _attempt(model, views, numbers, protocol)
            if isinstance(found, str):
                some = halved(len(numbers), views.shape[1:], device, found)
            else:
                yield found
                done += len(found)


def _attempt(model: nn.Module, views: Views, numbers: Sequence[int], protocol: Protocol) -> Tensor | str:
    """Return the probabilities of some views; if they do not fit into a GPU's memory, what torch said."""
    try:
        batch = torch.empty(
            (len(numbers), *views.shape[1:]),
            dtype=torch.float32,
            device=views.frames.device,
            memory_format=torch.channels_last_3d,
        )
        for row, number in zip(batch, numbers, strict=True):
            views.write(number, row)
        return probabilities(model, batch, None, protocol, "fp32").cpu()
    except RuntimeError as error:
        if ran_out(error):
            return str(error)
        raise


def score_video(model: nn.Module, views: Views, protocol: Protocol) -> Tensor:
    """Return the score of one video, (classes,) float32 on the CPU: its views' probabilities, joined."""
    return join_views(torch.cat(list(view_scores(model, views, protocol))), protocol.ensemble)


def join_views(scores: Tensor, ensemble: Literal["sum", "max"]) -> Tensor:
    """Return one score a class, (classes,), for the probabilities of a video's views (V, classes), as runs do."""
    return torch.from_numpy(runs.join_views(scores.numpy(), ensemble))
