"""From a record to its network: with random weights, or without memory for any."""

from __future__ import annotations

import msgspec
import torch

from videohub import models, registry
from videohub.errors import UsageError
from videohub.models import VideoModel
from videohub.registry.labels import Given, with_classes, with_labels
from videohub.registry.schema import Record


def build(name: str | Record, *, num_classes: int | None = None, labels: Given | None = None) -> VideoModel:
    """Return the network of a record with random float32 weights, in evaluation mode; its `record` has its classes.

    Args:
        name: A record, its id or its upstream name.
        num_classes: Size of the classifier; None: the record's.
        labels: What the outputs are called; None: as the record says, where it has as many.
    Raises: UnknownNameError; UsageError if `num_classes` is below 1, or there are not as many labels as outputs.
    """
    record = registry.record(name)
    if num_classes is not None and num_classes < 1:
        raise UsageError(f"num_classes: found {num_classes}, expected at least 1")
    if num_classes is not None:
        record = with_classes(record, num_classes)
    record = with_labels(record, labels)
    arguments = msgspec.to_builtins(record.model)
    model = models.build(**arguments, frames=record.clip.frames, activation=record.protocol.activation)
    model.record = record  # which predict reads
    return model.float()  # whatever torch's default type is: published weights are


def build_empty(record: Record) -> VideoModel:
    """Return the network of a record without memory for its weights: on the meta device."""
    with torch.device("meta"):
        return build(record)
