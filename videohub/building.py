"""From a record to its network, with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from videohub import registry
from videohub.errors import UsageError
from videohub.registry.schema import Record

if TYPE_CHECKING:
    from torch import nn


def build(name: str | Record, *, num_classes: int | None = None) -> nn.Module:
    """Return the network of a record with random weights, in evaluation mode.

    Args:
        name: A record, its id or its upstream name.
        num_classes: Size of the classifier; None: the record's.
    Raises: UnknownNameError; UsageError if `num_classes` is below 1.
    """
    from videohub import models

    record = registry.record(name)
    if num_classes is not None and num_classes < 1:
        raise UsageError(f"num_classes: found {num_classes}, expected at least 1")
    arguments = msgspec.to_builtins(record.model)
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    return models.build(**arguments, frames=record.clip.frames, activation=record.protocol.activation)


def build_empty(record: Record) -> nn.Module:
    """Return the network of a record without memory for its weights: on the meta device."""
    import torch

    from videohub import models  # noqa: F401  # first: what libraries compute at import must not land on meta

    with torch.device("meta"):
        return build(record)
