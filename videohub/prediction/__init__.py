"""What a model sees in one video, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from videohub import loading, metrics, registry
from videohub.data.labels import names_of
from videohub.data.views import read_content_views
from videohub.errors import UsageError
from videohub.evaluation.scoring import join_views, view_scores
from videohub.log import log
from videohub.models.inference_form import optimize
from videohub.registry.labels import Given, resolve, with_classes, with_labels
from videohub.registry.schema import Record


@dataclass(frozen=True)
class Prediction:
    """A class and how probable the model finds it, from 0 to 1."""

    label: str
    probability: float
    index: int


def predict(
    video: str | Path,
    name_or_model: str | Record | nn.Module,
    *,
    topk: int = 5,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
) -> list[Prediction]:
    """Return the most probable classes of a video, best first, tested with all the views of the record's protocol.

    What counts is the content of the video: where its header contradicts that, one line says in what, and pictures that
    are stored turned or mirrored are seen upright. (`verify` reads such videos as the original does.)

    Args:
        video: A video file (or an image, for an image record).
        name_or_model: A record, its id or upstream name, or a model from `videohub.load` or `videohub.build`, also in
            a wrapper that has it as `module`, as DataParallel and AveragedModel do.
        topk: How many classes to return.
        checkpoint: A file of one's own instead of the record's URL; see `load`. Not beside a model.
        labels: What the outputs are called; None: as the model's record says, or `class 0` and so on.
        device: Where to run a model that is loaded here.
    Raises: UsageError, VideoError, and what `load` raises.
    """
    if topk < 1:
        raise UsageError(f"topk: found {topk}, expected at least 1")
    if isinstance(name_or_model, nn.Module):
        if checkpoint is not None:
            raise UsageError(
                f"predict: found a model and the checkpoint {checkpoint}, expected one of them; "
                "pass a record's name with a checkpoint, or what videohub.load(name, checkpoint=…) returns"
            )
        model = _unwrapped(name_or_model)
        record = with_labels(_record_of(model), labels)
    else:
        model, record = None, registry.record(name_or_model)
        labels = None if labels is None else resolve(labels)
    _refuse_detection(record)
    names_of(record)  # before any frame, and before any download: most mistakes show here
    views = read_content_views(Path(video), record.protocol, record.clip)
    if views.contradictions:
        contradictions = "; ".join(map(str, views.contradictions))
        log.warning("%s: the header contradicts the content, which is followed: %s", video, contradictions)
    if model is None:
        model = loading.load(record, checkpoint=checkpoint, labels=labels, device=device)
        record = _record_of(model)
    model = optimize(model)
    with tqdm(total=len(views), desc=record.name, unit="view", leave=False, disable=None) as bar:
        of_views = view_scores(model, views, record.protocol, progress=bar.update)
    scores = join_views(of_views, record.protocol.scores)
    if record.protocol.scores.join == "sum":
        scores = scores / len(views)
    names = names_of(with_classes(record, len(scores)))
    best = scores.topk(min(topk, len(scores)))
    return [
        Prediction(names[index], float(probability), index)
        for probability, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return the model within a wrapper, or the model itself."""
    inner = getattr(model, "module", None)
    return model if hasattr(model, "record") or not isinstance(inner, nn.Module) else _unwrapped(inner)


def _record_of(model: nn.Module) -> Record:
    """Return the record of a model, with as many classes as it has. Raises: UsageError if nothing tells it."""
    record = getattr(model, "record", None)
    if not isinstance(record, Record):
        raise UsageError(
            "predict: this model comes neither from videohub.load nor from videohub.build, so nothing tells how it "
            "wants its clips; pass a record's name, or let `model.record` be the record that does"
        )
    if model.training:
        raise UsageError("predict: found a model in training mode, expected evaluation mode; call model.eval()")
    # perhaps a new one, put in by hand
    classifier = dict(model.named_parameters()).get(record.model.classifier_keys[0])
    return record if classifier is None else with_classes(record, len(classifier))


def _refuse_detection(record: Record) -> None:
    if metrics.of(record.protocol.metric).by_box:
        raise UsageError(
            f"{record.name}: this network names what people in given boxes do; predict needs a classifier. "
            "Call the loaded model with (clip, boxes) instead."
        )
