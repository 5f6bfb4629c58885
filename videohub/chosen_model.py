"""What a user wants to be run: a record, a network that is here, or an exported file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from videohub import onnx_model, registry
from videohub.devices import usable
from videohub.errors import UsageError
from videohub.loading import load
from videohub.models.inference_form import optimize
from videohub.registry.labels import Given, resolve, with_classes, with_labels
from videohub.registry.schema import Record


@dataclass(frozen=True, eq=False)
class ChosenModel:
    """What a user wants to be run: a network that is here, or a record whose weights are still to be loaded."""

    record: Record  # of a network that is here, with its classes and names; else as the registry has it
    device: torch.device
    network: nn.Module | None = None
    checkpoint: str | Path | None = None
    labels: Given | None = None

    def loaded(self) -> nn.Module:
        """Return the network as it is written, loaded unless it is here. Raises: what `load` raises."""
        if self.network is not None:
            return self.network
        return load(self.record, checkpoint=self.checkpoint, labels=self.labels, device=self.device)

    def ready(self) -> tuple[nn.Module, Record]:
        """Return the network in its inference form, and its record with the classes and names that it has.

        Raises: what `load` raises.
        """
        model = self.loaded()
        return optimize(model), self.record if self.network is not None else cast(Record, model.record)


def chosen_model(
    name_or_model: str | Path | Record | nn.Module,
    *,
    verb: str,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
) -> ChosenModel:
    """Look at what a user wants to be run, before anything is fetched, read or copied.

    Args:
        name_or_model: A record, its id or upstream name, or a model from `load` or `build`, also in a wrapper that has
            it as `module`, as DataParallel and AveragedModel do; or an ONNX file that `export` wrote.
        verb: What it is wanted for, as messages begin.
        checkpoint: A file of one's own instead of the record's URL; see `load`. Not beside a model.
        labels: What the outputs are called; None: as the record says.
        device: Where to run a model that is loaded; one that is here stays where it is.
    Raises: UnknownNameError, DeviceError; UsageError if the model is not ours, in training mode, or given beside a
        checkpoint, or if the labels are not as many as its outputs; FormatError for an ONNX file of others.
    """
    if onnx_model.is_file(name_or_model):
        name_or_model = onnx_model.load(name_or_model, device=device)
    if not isinstance(name_or_model, nn.Module):
        name = str(name_or_model) if isinstance(name_or_model, Path) else name_or_model
        record, names = registry.record(name), None if labels is None else resolve(labels)
        return ChosenModel(record, usable(device), checkpoint=checkpoint, labels=names)
    if checkpoint is not None:
        raise UsageError(
            f"{verb}: found a model and the checkpoint {checkpoint}, expected one of them; "
            "pass a record's name with a checkpoint, or what videohub.load(name, checkpoint=…) returns"
        )
    model = _unwrapped(name_or_model)
    return ChosenModel(with_labels(_record_of(model, verb), labels), next(model.parameters()).device, model)


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return the model within a wrapper, or the model itself."""
    if isinstance(original := getattr(model, "_orig_mod", None), nn.Module):  # of torch.compile, which renames tensors
        return _unwrapped(original)
    inner = getattr(model, "module", None)
    return model if hasattr(model, "record") or not isinstance(inner, nn.Module) else _unwrapped(inner)


def _record_of(model: nn.Module, verb: str) -> Record:
    """Return the record of a model, with as many classes as it has. Raises: UsageError if nothing tells it."""
    record = getattr(model, "record", None)
    if not isinstance(record, Record):
        raise UsageError(
            f"{verb}: this model comes neither from videohub.load nor from videohub.build, so nothing tells how it "
            "wants its clips; pass a record's name, or let `model.record` be the record that does"
        )
    if training := [name for name, module in model.named_modules() if module.training]:
        which = f"its part {training[0]}" if training[0] else "a model"
        raise UsageError(f"{verb}: found {which} in training mode, expected evaluation mode; call model.eval()")
    # perhaps a new one, put in by hand
    classifier = dict(model.named_parameters()).get(record.model.classifier_keys[0])
    return record if classifier is None else with_classes(record, len(classifier))
