"""How many classes weights tell apart and what these are called, where that is not as their record says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from videohub.convert import kept_weights
from videohub.convert.checkpoint import Listing
from videohub.convert.stored_tensor import StoredTensor
from videohub.log import log
from videohub.registry.labels import Given, count, from_text, told, with_classes, with_labels
from videohub.registry.schema import Record

CLASSIFIER = ("head.projection.weight", "head.projection.bias")  # of every network: (classes, D) and (classes,)
MOST_CLASSES = 30_000  # of all ImageNet, 21 841; a file that claims more is made to fill the memory


def with_classes_of(state: Mapping[str, StoredTensor | np.ndarray], checkpoint: Listing, record: Record) -> Record:
    """Return a record with the classes of a file that was read.

    They are called as the header of a file of ours says where these are its own names, else as the record says, if
    that has as many.

    Args:
        state: The tensors of the file under our names; only their shapes are looked at.
        checkpoint: The file.
        record: Whose network it is.
    """
    weight, bias = (tuple(state[key].shape) if key in state else () for key in CLASSIFIER)
    has_own = len(weight) == 2 and bias == weight[:1] and weight[0] <= MOST_CLASSES
    classes = weight[0] if has_own else record.model.num_classes
    stated = from_text(checkpoint.meta.get("labels", "null")) if checkpoint.is_converted else None
    order = (stated, record.labels) if isinstance(stated, tuple) else (record.labels, stated)
    return with_classes(record, classes, next((labels for labels in order if count(labels) == classes), None))


def classes_of(weights: Path) -> int:
    """Return how many classes the network has whose converted weights these are. Raises: FormatError."""
    return kept_weights.shape(weights, CLASSIFIER[0])[0]


def held(record: Record, weights: Path, *, labels: Given | None = None, source: str | Path | None = None) -> Record:
    """Return a record with the classes of its converted weights, and tell them in one line if they are others.

    Args:
        record: Whose network it is.
        weights: Its weights, from a file of somebody's own perhaps.
        labels: What the outputs are called; None: as the weights' header says.
        source: The file that was given; None: that of the same bytes which is named in the header.
    Raises: FormatError if the file is damaged; UsageError if there are not as many labels as outputs.
    """
    header = kept_weights.origin(weights)
    found = with_labels(with_classes(record, classes_of(weights), from_text(header.get("labels", "null"))), labels)
    if (found.model.num_classes, found.labels) != (record.model.num_classes, record.labels):
        called = told(found.labels) if found.labels else "without names, which --labels FILE or labels= gives"
        file = Path(source).name if source is not None else header.get("source", "its file")
        log.warning("%s: %d classes in %s (the record: %d), %s",
                    record.name, found.model.num_classes, file, record.model.num_classes, called)  # fmt: skip
    return found
