"""Features along videos: what a network's classifier would be given, of a window every so many frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from videohub.data.inputs import VideoInput, input_name
from videohub.data.video_info import tell_contradictions
from videohub.feature_extraction.extraction import CropChoice, Ended, Tail, network_of, versions
from videohub.registry.schema import Record

__all__ = ["Features", "features"]


@dataclass(frozen=True, eq=False)
class Features:
    """Features of one video, a row for each window, and how they came about; `values[k]` belongs to `times[k]`."""

    values: npt.NDArray[np.float32]  # (windows, D)
    times: npt.NDArray[np.float64]  # (windows, 3): of the first, the middle and the last frame of each, in seconds
    rate: float  # frames a second that stride, frames and sampling rate count
    stride: int  # from one window to the next, in frames at that rate
    frames: int  # of a window, that the network is given
    sampling_rate: int  # from one of them to the next, in frames at that rate
    crop: CropChoice
    tail: Tail
    record: str
    weights_sha256: str  # of the tensors, under our names
    precision: str
    versions: Mapping[str, str] = field(default_factory=dict)


def features(
    video: VideoInput,
    name_or_model: str | Record | nn.Module,
    *,
    stride: int,
    frames: int | None = None,
    sampling_rate: int | None = None,
    fps: float | None = None,
    crop: CropChoice = "center",
    tail: Tail = "pad",
    checkpoint: str | Path | None = None,
    device: str | torch.device = "cpu",
    precision: str = "fp32",
    batch: int | None = None,
) -> Features:
    """Return features along a video: `model.features` of a window every `stride` frames.

    Window k holds the frames that are shown at (k * stride + j * sampling_rate) / rate seconds, j = 0 … frames - 1. The
    rate is `fps`, whatever the video's own. The video is decoded once, whole; in memory are the frames of open windows,
    however long it is, the result, and some numbers a frame. What counts is its content, as in `predict`: time begins
    with the first frame, pictures are upright, and one line says in what the header contradicts that.

    Args:
        video: As `predict` takes it; frames in memory are taken to be at the rate.
        name_or_model: A record, its id or upstream name, or a model from `videohub.load` or `videohub.build`. It has
            to classify whole frames; a network for images looks at windows of one frame.
        stride: From one window to the next, in frames at the rate.
        frames: Of a window; None: as many as the record's clip has.
        sampling_rate: From one frame of a window to the next, in frames at the rate; None: the record's.
        fps: The rate, in frames a second; None: that of the record's protocol or, where it has none, the video's own.
        crop: "center": the square in the centre, as large as in the record's test; "three": squares at both ends and in
            the centre, whose features are averaged; "whole": the whole resized frame, if the network takes it.
        tail: Of windows that go beyond the end: "pad" repeats the last frame for each that begins before the end,
            "drop" leaves them out.
        checkpoint: A file of one's own instead of the record's URL; see `load`. Not beside a model.
        device: Where to run a model that is loaded here.
        precision: "fp32", "tf32", "bf16" or "fp16"; see `verify`. Nothing is compared with fp32 here.
        batch: Windows at once; None: as many as is good.
    Raises: UsageError, VideoError, DeviceError, DownloadError, and what `load` raises.
    """
    network = network_of(name_or_model, stride=stride, frames=frames, sampling_rate=sampling_rate, fps=fps, crop=crop,
                         tail=tail, checkpoint=checkpoint, device=device, precision=precision, batch=batch)  # fmt: skip
    name, values, times = input_name(video), [], []
    for result in network.run([(name, video)]):
        if not isinstance(result, Ended):
            values.append(result.values)
            times.append(result.times)
            continue
        if result.error is not None:
            raise result.error
        tell_contradictions(name, result.contradictions)
        rate = result.rate
    assert rate is not None, "a video without an error has ended"
    return Features(
        values=np.stack(values),
        times=np.array(times, np.float64),
        rate=rate,
        stride=network.sampling.stride,
        frames=network.sampling.frames,
        sampling_rate=network.sampling.sampling_rate,
        crop=crop,
        tail=tail,
        record=network.record.name,
        weights_sha256=network.weights_sha256,
        precision=precision,
        versions=versions(),
    )
