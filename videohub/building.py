"""From a record to its network, which may have other classes than the record says: those of its weights."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, get_args

import msgspec

from videohub import registry
from videohub.convert import kept_weights
from videohub.convert.checkpoint import Listing
from videohub.convert.conversion import tell_taken
from videohub.data.labels import class_names, squeezed
from videohub.errors import UsageError
from videohub.formatting import counted
from videohub.hub import pins
from videohub.log import warn_once
from videohub.pickles.stored_values import Array
from videohub.registry import model_folder
from videohub.registry.labels import MOST_CLASSES, Given, count, from_text, in_words, with_classes, with_labels
from videohub.registry.schema import Labels, Record
from videohub.value_types import Activation

if TYPE_CHECKING:
    from videohub.models import VideoModel


def build(
    name: str | Record,
    *,
    num_classes: int | None = None,
    labels: Given | None = None,
    activation: Activation | None = None,
) -> VideoModel:
    """Return the network of a record with random float32 weights, in evaluation mode; its `record` has its classes.

    Args:
        name: A record, its id or its upstream name.
        num_classes: Size of the classifier; None: the record's.
        labels: What the outputs are called; None: as the record says, where it has as many.
        activation: What makes scores of the logits: "softmax", where one class is right, or "sigmoid", where several
            may be, or where there is one; None: as the record's test does. Networks that average scores over the
            positions of a large clip do it behind this.
    Raises: UnknownNameError; UsageError if `num_classes` is below 1 or above 30,000, or 1 under a softmax, which is 1
        whatever the network says, or there are not as many labels as outputs.
    """
    from videohub import models

    record = with_activation(registry.record(name), activation)
    if num_classes is not None:
        is_whole = isinstance(num_classes, SupportsIndex) and not isinstance(num_classes, bool)
        if not is_whole or not 1 <= operator.index(num_classes) <= MOST_CLASSES:
            raise UsageError(f"num_classes: found {num_classes!r}, expected a whole number from 1 to {MOST_CLASSES}")
        record = with_classes(record, int(num_classes))
        if num_classes == 1 and record.protocol.scores.activation == "softmax":
            raise UsageError(f"num_classes: found 1 for {record.name}, whose scores are a softmax: of one class it is "
                             "1, always; expected 2 classes, or activation='sigmoid'")  # fmt: skip
    record = with_labels(record, labels)
    model = models.build(record.model, frames=record.clip.frames, activation=record.protocol.scores.activation)
    model.record = record  # which predict reads
    return model.float()  # whatever torch's default type is: published weights are


def with_activation(record: Record, activation: str | None) -> Record:
    """Return a record whose scores are made so of logits, as those of a training of one's own; None: as they were.

    What is known of the published file's outputs does not hold of others. Raises: UsageError for another activation.
    """
    scores = record.protocol.scores
    if activation in (None, scores.activation):
        return record
    if activation not in get_args(Activation):
        raise UsageError(f"activation: found {activation!r:.100}, expected one of {', '.join(get_args(Activation))}")
    protocol = msgspec.structs.replace(record.protocol, scores=msgspec.structs.replace(scores, activation=activation))
    return msgspec.structs.replace(record, protocol=protocol, known_answers=())


def build_empty(record: Record) -> VideoModel:
    """Return the network of a record without memory for its weights: on the meta device."""
    import torch

    from videohub import models  # noqa: F401  # torch 2.6 cannot be imported whole while meta is the device

    with torch.device("meta"):
        return build(record)


def check_takes(record: Record, frames: int, height: int, width: int) -> None:
    """Refuse clips of a size that a record's network does not take; nothing is computed. Raises: UsageError."""
    import torch

    clip = torch.empty(1, 3, frames, height, width, dtype=torch.float32, device="meta")
    given = (clip, torch.empty(1, 5, device="meta")) if record.task == "detection" else (clip,)
    try:
        with torch.device("meta"), torch.inference_mode():
            build_empty(record).features(*given)
    except UsageError:  # nothing builds it
        raise
    except (ValueError, RuntimeError) as error:
        raise refused_clips(f"{record.name}: its network", (frames, height, width), error) from error


def refused_clips(network: str, size: Sequence[int], error: Exception) -> UsageError:
    """Return the error for clips of `size` (frames, height, width) that a network refused by another one."""
    frames, height, width = size
    why = (str(error).splitlines() or [type(error).__name__])[0][:300]
    pixels = f"{height} x {width} pixels (height x width)"
    return UsageError(f"{network} does not take clips of {frames} frames of {pixels}: {why}")


def with_weights(record: Record, weights: Path, *, outputs: Sequence[int] | None = None) -> VideoModel:
    """Return the network of a record with converted weights.

    Args:
        outputs: Those of the file's that are the record's classes, by a label map; None: all.
    Raises: FormatError.
    """
    model, state = build_empty(record), kept_weights.tensors(weights)
    if outputs is not None:
        state = {**state, **{key: state[key][list(outputs)] for key in record.model.classifier_keys}}
    model.load_state_dict(state, strict=True, assign=True)
    return model


def with_classes_of(state: Mapping[str, Array], checkpoint: Listing, record: Record) -> Record:
    """Return a record with the classes of a file that was read.

    They are called as the header of a file of ours says where these are its own names, else as the record says, if
    that has as many, which `held` tells.

    Args:
        state: The tensors of the file under our names; only their shapes are looked at.
    """
    weight, bias = (tuple(state[key].shape) if key in state else () for key in record.model.classifier_keys)
    has_own = len(weight) == 2 and bias == weight[:1] and 1 <= weight[0] <= MOST_CLASSES
    classes = weight[0] if has_own else record.model.num_classes
    stated = from_text(checkpoint.meta.get("labels", "null")) if checkpoint.is_converted else None
    order = (stated, record.labels) if isinstance(stated, tuple) else (record.labels, stated)
    return with_classes(record, classes, next((labels for labels in order if count(labels) == classes), None))


def classes_of(weights: Path, record: Record) -> int | None:
    """Return how many classes a record's converted weights tell apart, None if they are without a classifier.

    Raises: FormatError.
    """
    shape = kept_weights.shape(weights, record.model.classifier_keys[0])
    return None if shape is None else shape[0]


def renames(weights: Path, record: Record, labels: Labels, source: str | Path | None = None) -> bool:
    """Return whether labels name other classes than those that converted weights tell apart.

    Spelling aside: `riding a bike` may be a folder `riding_a_bike`. Weights without names may be called anything, and
    so may those of a `source` of somebody's own, which says nothing of its classes.

    Raises: FormatError.
    """
    header = kept_weights.origin(weights)
    stated = from_text(header.get("labels", "null"))
    if stated is None and source is not None and not is_published(header.get("source_sha256"), record, source):
        return False
    known = with_classes(record, classes_of(weights, record), stated).labels
    if None in (count(known), count(labels)):
        return False
    return [squeezed(name) for name in class_names(known)] != [squeezed(name) for name in class_names(labels)]


def held(
    record: Record,
    weights: Path,
    *,
    labels: Given | None = None,
    activation: Activation | None = None,
    source: str | Path | None = None,
) -> Record:
    """Return a record with the classes of its converted weights, and tell them in one line if they are others.

    Args:
        weights: Of the record, from a file of somebody's own perhaps.
        labels: What the outputs are called; None: as the weights' header says.
        activation: What makes scores of them; None: as the header says, if it does.
        source: The file that was given; None: that of the same bytes which is named in the header.
    Raises: FormatError if the file is damaged; UsageError if there are not as many labels as outputs.
    """
    header = kept_weights.origin(weights)
    stated = from_text(header.get("labels", "null"))
    file = Path(source).name if source is not None else header.get("source", "its file")
    if source is not None and "taken" in header:
        tell_taken(record, header["taken"], header.get("not_taken", "others"), str(source))
    named = with_labels(with_classes(record, classes_of(weights, record), stated), labels)
    named = with_activation(named, activation or header.get("activation"))
    scores, usual = named.protocol.scores.activation, record.protocol.scores.activation
    if activation is None and scores != usual:
        warn_once("%s: scores are a %s, as %s says (the record: %s)", record.name, scores, file, usual)
    elif named.model.num_classes == 1 and scores == "softmax":
        warn_once("%s: there is one class, whose softmax is always 1: load(…, activation='sigmoid') makes a score of "
                  "its logit, and save keeps that", record.name)  # fmt: skip
    if (named.model.num_classes, named.labels) != (record.model.num_classes, record.labels):
        called = in_words(named.labels) if named.labels else "without names, which --labels FILE or labels= gives"
        classes = counted(named.model.num_classes, "class") if named.model.num_classes else "no classes"
        warn_once("%s: %s in %s (the record: %s), %s", record.name, classes, file, record.model.num_classes or "none",
                  called)  # fmt: skip
        if named.model.background_outputs < record.model.background_outputs:
            warn_once("%s: output 0 of %s counts as a class here; who trained it as the record's network was trained "
                      "has background there, which is nobody's action", record.name, file)  # fmt: skip
    elif source is not None and labels is None and stated is None:
        tell_unnamed(named, header.get("source_sha256"), source)
    return named


def tell_unnamed(record: Record, sha256: str | None, source: str | Path) -> None:
    """Say where a file of one's own is taken to have the classes of its record, for it does not say what it has."""
    if record.labels is not None and not is_published(sha256, record, source):
        warn_once("%s: %s does not say what its %d classes are; they are called as the record's, %s. Where it was "
                  "trained on others, --labels FILE or labels= names them", record.name, Path(source).name,
                  record.model.num_classes, in_words(record.labels))  # fmt: skip


def known_sha256(record: Record) -> str | None:
    """Return the digest of a record's published file: the registry's, else the one first seen here, else None."""
    published = record.checkpoint
    if published.url is None or model_folder.is_index(published.url):
        return None
    return pins.digest_of(published.url, published.sha256)


def is_published(sha256: str | None, record: Record, source: str | Path) -> bool:
    """Return whether a file that was given is a copy of the published one, by what is known of that, or by its name."""
    if Path(source).is_dir() or (sha256 is not None and sha256 == known_sha256(record)):
        return True
    return Path(source).name in {(file.url or "").rpartition("/")[2] for file in record.checkpoint.files}
