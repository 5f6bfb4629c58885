"""Videos made on the spot, whose frames carry their own number, and protocols to read them with."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import numpy as np

from videohub import protocols as steps
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

Picture = Callable[[int], np.ndarray]

FOUR_FRAMES = Clip(frames=4, sampling_rate=2)  # spans 8 frames at 30 fps


AVA_FILES = steps.Detection(
    version="2.2", boxes="boxes.csv", score_threshold=0.8, label_map="l.pbtxt", exclusions="e.csv", ground_truth="g.csv"
)
RULES = {
    "proportional": steps.Proportional(fps=30.0, past_end="repeat"),
    "offset": steps.Offset(fps=30.0, past_end="repeat"),
    "segments": steps.Segments(past_end="repeat"),
    "spread": steps.Spread(past_end="repeat"),
    "keyframe": steps.KeyFrames(fps=30.0, shift=0, boxes="clipped", past_end="repeat"),
    "image": steps.Image(),
}


def protocol(
    *,
    sampling: str = "proportional",
    clips: int = 2,
    crops: int = 1,
    short_side: int = 48,
    crop: int | None = 48,
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
    activation: str = "softmax",
    join: str = "sum",
    **changes: object,
) -> Protocol:
    """Return a protocol of PySlowFast's kind whose pixels are plain value / 255, with some numbers changed."""
    resize = steps.ResizeShortSide(
        pixels=short_side, long_side="floor", arithmetic="opencv_uint8" if sampling == "keyframe" else "torch_float"
    )
    unit, normal = steps.Divide(by=255.0), steps.Normalise(mean=mean, std=std)
    order = {"keyframe": (resize, unit, normal), "image": (unit, resize, normal)}.get(sampling, (unit, normal, resize))
    places = ("start", "centre", "end") if crops == 3 else ("start",) if sampling == "segments" else ("centre",)
    fields = {
        "name": "test",
        "dataset": "kinetics400",
        "split": "val",
        "frames": RULES[sampling],
        "pixels": (*order, *(() if crop is None else (steps.Crop(size=crop, arithmetic="pyslowfast"),))),
        "views": steps.ViewGrid(clips=clips, crops=("whole",) if crop is None else places, order="clip_major"),
        "scores": steps.ScoreRule(activation=activation, join=join),
        "metric": "topk",
        "detection": AVA_FILES if changes.get("metric") == "ava_map" else None,
    }
    return Protocol(**{**fields, **changes})


def with_pixels(of: Protocol, *, short_side: int | None = None, crop: int | None = None) -> Protocol:
    """Return a protocol with another size of frames, or of crops if it has any."""
    changed = tuple(
        msgspec.structs.replace(step, pixels=short_side or step.pixels) if isinstance(step, steps.ResizeShortSide)
        else msgspec.structs.replace(step, size=crop or step.size) if isinstance(step, steps.Crop)
        else step
        for step in of.pixels
    )  # fmt: skip
    return msgspec.structs.replace(of, pixels=changed)


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
