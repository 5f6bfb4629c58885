"""What a run is known by: what must agree before scores are joined, who made which, and from whose weights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from videohub import runs
from videohub.convert import kept_weights
from videohub.data.decoded import decoder_versions
from videohub.data.samples import DataSet, KeyFrame, Sample
from videohub.data.spec import TestSpec
from videohub.hub import cache, pins
from videohub.registry.schema import Record
from videohub.verification.settings import Settings
from videohub.version import __version__


def identity_of(
    record: Record, spec: TestSpec, data: DataSet, settings: Settings, *, weights_sha256: str, precision: str
) -> runs.Identity:
    """Return what the scores of a run must share.

    `weights_sha256` is the digest of the model's tensors; `precision` the one that was settled on.
    """
    protocol = spec.protocol
    return runs.Identity(
        record=record.name,
        upstream_name=record.upstream_name,
        dataset=protocol.dataset,
        split=protocol.split,
        num_classes=record.num_classes,
        labels=record.labels,
        weights_sha256=weights_sha256,
        protocol=plain(protocol),
        clip=plain(spec.clip),
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
        ava=None if data.ava is None else plain(data.ava),
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


def weights_file(weights: Path, record: Record, *, checkpoint: str | Path | None = None) -> runs.WeightsFile:
    """Return what is known of the file that a record's weights were read from.

    Args:
        weights: What `videohub.weights.fetch` returned.
        record: Whose weights they are.
        checkpoint: The file that was given by hand, if one was.
    Raises: CacheError if what is known of the record's address is damaged; FormatError if the weights are.
    """
    kept = cache.NAMES["converted"].fullmatch(weights.name)
    assert kept is not None, "fetch returns what lies in the cache"
    sha256 = kept["sha256"]  # of what our own conversion had read
    origin = kept_weights.origin(weights)
    converted_here = origin.get("source_sha256") == sha256
    vouched_by, first_seen = _voucher(sha256, record, by_hand=checkpoint is not None)
    name = Path(checkpoint).name if checkpoint is not None else (record.checkpoint.url or "").rpartition("/")[2]
    return runs.WeightsFile(
        name=name.encode(errors="replace").decode(),
        sha256=sha256,
        vouched_by=vouched_by,
        first_seen=first_seen,
        claimed_source=None if converted_here else origin.get("source"),
        claimed_sha256=None if converted_here else origin.get("source_sha256"),
    )


def plain(value: Any) -> dict[str, Any]:
    """Return a struct as JSON values, as a run keeps them."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return plain


def _voucher(sha256: str, record: Record, *, by_hand: bool) -> tuple[runs.Voucher | None, str]:
    """Return who knows a file with this digest as the record's published one, and since when."""
    published = record.checkpoint
    if published.sha256 is not None:
        return ("registry", "") if published.sha256 == sha256 else (None, "")
    url = published.url or ""
    if url.startswith("file:"):
        return (None, "") if by_hand else ("registry path", "")
    pin = pins.pin_of(url)
    return ("first use", _first_seen(pin)) if pin and pin.sha256 == sha256 else (None, "")


def _first_seen(pin: pins.Pin) -> str:
    """Return when an address was bound to a digest, and by what; a mirror's own address is nobody else's business."""
    source = pin.bundle or ("a mirror or an alternate" if pin.source else "")
    return f"{pin.first_seen}, in {source}" if source else pin.first_seen


def _device_name(device: str) -> str:
    """Return the name of a device and of what it is, as far as the machine tells."""
    import platform

    import torch

    if torch.device(device).type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def _boxes(sample: Sample) -> list[runs.Box]:
    return list(sample.source.boxes) if isinstance(sample.source, KeyFrame) else []
