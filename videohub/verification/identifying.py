"""What a run is called by: everything that must agree before scores are joined, and who made which."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec

from videohub import runs
from videohub.data.decoded import decoder_versions
from videohub.data.recipes import Recipe
from videohub.data.samples import DataSet, KeyFrame, Sample
from videohub.registry.schema import Record
from videohub.verification.settings import Settings
from videohub.version import __version__


def identity_of(
    record: Record, recipe: Recipe, data: DataSet, settings: Settings, *, weights_sha256: str, precision: str
) -> runs.Identity:
    """Return what the scores of a run must share.

    `weights_sha256` is the digest of the model's tensors; `precision` the one that was settled on.
    """
    protocol = recipe.protocol
    return runs.Identity(
        record=record.name,
        upstream_name=record.upstream_name,
        dataset=protocol.dataset,
        split=protocol.split,
        num_classes=record.model.num_classes,
        labels=record.labels,
        weights_sha256=weights_sha256,
        protocol=_plain(protocol),
        clip=_plain(recipe.clip),
        data_sha256=data.digest(),
        listed=len(data.samples),
        sample=settings.sample,
        seed=settings.seed,
        until_decided=settings.until_decided,
        precision=precision,
        decoder=settings.decoder,
        weights_identity="tensors",
    )


def truth_of(samples: Sequence[Sample], data: DataSet) -> runs.Truth:
    """Return the names of what is evaluated, and what is right for each."""
    return runs.Truth(
        names=[sample.name for sample in samples],
        classes=[list(sample.truth) for sample in samples],
        boxes=None if data.ava is None else [_boxes(sample) for sample in samples],
        ava=None if data.ava is None else _plain(data.ava),
    )


def made_by(
    *, device: str, precision: dict[str, str], shard: str, batch: int | None, weights: runs.WeightsFile
) -> runs.MadeBy:
    """Return what this process runs on and with."""
    import numpy as np
    import torch

    software = {"videohub": __version__, "torch": str(torch.__version__), "numpy": np.__version__}
    return runs.MadeBy(
        software=software,
        decoder=decoder_versions(),
        device=_device_name(device),
        precision=precision,
        shard=shard,
        batch=batch,
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        weights=weights,
    )


def _device_name(device: str) -> str:
    """Return the name of a device and of what it is, as far as the machine tells."""
    import platform

    import torch

    if torch.device(device).type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def _boxes(sample: Sample) -> list[runs.Box]:
    return list(sample.source.boxes) if isinstance(sample.source, KeyFrame) else []


def _plain(value: Any) -> dict[str, Any]:
    """Return a struct as JSON values."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return plain
