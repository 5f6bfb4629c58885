"""Which network looks at windows: a record that is loaded, or a model that is given, made ready once for all videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from videohub.chosen_model import chosen_model
from videohub.convert.kept_weights import weights_digest
from videohub.data.decoded import decoder_versions
from videohub.feature_extraction.extraction import Extraction
from videohub.feature_extraction.sampling import CropChoice, Sampling, Tail, protocol_of, sampling_of
from videohub.models import VideoModel
from videohub.models.inference_form import optimize
from videohub.numeric_precision import supported
from videohub.protocols import Protocol
from videohub.registry.schema import Record
from videohub.version import __version__


@dataclass(frozen=True, eq=False)
class Network:
    """A network that is ready to look at windows, and what it is."""

    record: Record
    sampling: Sampling
    protocol: Protocol  # which windows are cut by
    weights_sha256: str  # of its tensors as they were read, which its inference form joins
    num_features: int  # D
    extraction: Extraction


def network_of(
    name_or_model: str | Record | nn.Module,
    *,
    stride: int,
    frames: int | None,
    sampling_rate: int | None,
    fps: float | None,
    crop: CropChoice,
    tail: Tail,
    checkpoint: str | Path | None,
    device: str | torch.device,
    precision: str,
    batch: int | None,
    threads: int | None = None,
) -> Network:
    """Return a network ready to look at windows of videos; arguments and errors are those of `features`.

    What can be refused is, before anything is fetched. `threads`: videos that are decoded at once; see `Extraction`.
    """
    chosen = chosen_model(name_or_model, verb="features", checkpoint=checkpoint, device=device)
    sampling = sampling_of(chosen.record, stride=stride, frames=frames, sampling_rate=sampling_rate, fps=fps, crop=crop,
                           tail=tail)  # fmt: skip
    numeric = supported(precision, chosen.device)
    model = cast(VideoModel, chosen.loaded())
    digest = weights_digest(model.state_dict())
    extraction = Extraction(optimize(model), chosen.record, sampling, numeric, batch=batch, threads=threads)
    protocol = protocol_of(chosen.record, sampling)
    return Network(chosen.record, sampling, protocol, digest, model.num_features, extraction)


def versions() -> dict[str, str]:
    """Return which software makes features."""
    return {"videohub": __version__, "torch": str(torch.__version__), **decoder_versions()}
