"""Videos made on the spot, whose frames carry their own number, and protocols to read them with."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import numpy as np

from videohub.registry.schema import Clip, Protocol

Picture = Callable[[int], np.ndarray]

KINETICS = Protocol(
    name="test",
    dataset="kinetics400",
    split="val",
    clips=2,
    crops=1,
    short_side=48,
    crop=48,
    sampling="proportional",
    target_fps=30.0,
    decoder="pts_window",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    activation="softmax",
    ensemble="sum",
    metric="topk",
    detection=None,
)
FOUR_FRAMES = Clip(frames=4, sampling_rate=2)  # spans 8 frames at 30 fps


def protocol(**changes: object) -> Protocol:
    """Return a Kinetics-like protocol whose pixels are plain value / 255, with some fields changed."""
    return msgspec.structs.replace(KINETICS, **changes)


def numbered(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Return a grey picture (H, W, 3) whose level is the frame's number."""
    return np.full((height, width, 3), index, np.uint8)


def write_video(
    path: Path,
    count: int,
    *,
    picture: Picture = numbered,
    codec: str = "png",
    pix_fmt: str = "rgb24",
    rate: int = 30,
    pts: list[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write `count` lossless pictures at `rate` frames per second; `pts` are in units of 1 / rate seconds."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = picture(0).shape[:2]
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        container.start_encoding()
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = pts[index] if pts else index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
