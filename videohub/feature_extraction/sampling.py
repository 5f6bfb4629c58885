"""Which windows of a video become features, and what of each frame the network sees."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

import msgspec
import torch

from videohub import building, metrics
from videohub.data.inputs import SLOWEST_FPS
from videohub.errors import UsageError
from videohub.protocols import PLACES, Crop, Place, Protocol, Spread, SpreadAtRate
from videohub.registry.schema import Record

CropChoice: TypeAlias = Literal["center", "whole", "three"]
Tail: TypeAlias = Literal["pad", "drop"]

CROPS: tuple[CropChoice, ...] = get_args(CropChoice)
TAILS: tuple[Tail, ...] = get_args(Tail)
_PLACES: dict[CropChoice, tuple[Place, ...]] = {
    "center": ("centre",),
    "whole": ("whole",),
    "three": ("start", "centre", "end"),
}


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """Window k of a video holds the frames that are shown at (k * stride + j * sampling_rate) / rate, j from 0 on."""

    stride: int  # from one window to the next, in frames at the rate
    frames: int  # of a window: what the network is given
    sampling_rate: int  # from one of them to the next, in frames at the rate
    fps: float | None  # the rate, in frames a second; None: each video's own
    crop: CropChoice
    tail: Tail

    @property
    def span(self) -> int:
        """Return how many frames at the rate a window covers."""
        return self.frames * self.sampling_rate

    @property
    def needed(self) -> int:
        """Return which frame of a window lies in the video for sure, as `data.windows` asks."""
        return 0 if self.tail == "pad" else -1

    def times(self, rate: float) -> Iterator[list[float]]:
        """Yield the times of the frames of each window, in seconds, without end."""
        for window in itertools.count():
            yield [(window * self.stride + frame * self.sampling_rate) / rate for frame in range(self.frames)]


def sampling_of(
    record: Record,
    *,
    stride: int,
    frames: int | None,
    sampling_rate: int | None,
    fps: float | None,
    crop: CropChoice,
    tail: Tail,
) -> Sampling:
    """Return how a record's network is to look at videos; what is None is as the record's test has it.

    Raises: UsageError if a number is out of its range, or the network takes no such windows, or boxes beside them.
    """
    for name, value in (("stride", stride), ("frames", frames), ("sampling_rate", sampling_rate)):
        if value is not None and (not hasattr(value, "__index__") or value < 1):
            raise UsageError(f"{name}: found {value}, expected at least 1, in whole frames")
    if fps is not None and not SLOWEST_FPS <= fps <= 1000:
        raise UsageError(f"fps: found {fps}, expected frames a second, from {SLOWEST_FPS:g} to 1000")
    if crop not in CROPS:
        raise UsageError(f"crop: found {crop!r}, expected {', '.join(CROPS)}")
    if tail not in TAILS:
        raise UsageError(f"tail: found {tail!r}, expected {' or '.join(TAILS)}")
    if metrics.of(record.protocol.metric).by_box:
        raise UsageError(
            f"{record.name}: this network gives features of people in given boxes, and none of whole frames.\n"
            "  Take a classifier, such as the one that it was trained from, or call model.features(clip, boxes)."
        )
    sampling = Sampling(
        stride=stride,
        frames=frames or record.clip.frames,
        sampling_rate=sampling_rate or record.clip.sampling_rate,
        fps=fps or record.protocol.fps,
        crop=crop,
        tail=tail,
    )
    if size := protocol_of(record, sampling).crop_size:
        check_shape(record, (3, sampling.frames, size, size))
    return sampling


def protocol_of(record: Record, sampling: Sampling) -> Protocol:
    """Return a record's protocol with the crops that are asked for; its rule of frames stands for the rate alone.

    Where it cuts no crop, as some cut none out of images of a fixed size, the whole frame is the crop in the centre.
    Raises: UsageError if the protocol does not place three crops.
    """
    protocol, places = record.protocol, _PLACES[sampling.crop]
    crop = next((step for step in protocol.pixels if isinstance(step, Crop)), None)
    if crop is None and sampling.crop == "center":
        places = ("whole",)
    known = PLACES[crop.arithmetic] if crop is not None else ()
    if places != ("whole",) and not set(places) <= set(known):
        raise UsageError(
            f"crop: found {sampling.crop!r}, and the test of {record.name} knows {', '.join(known) or 'whole frames'}; "
            "expected center or whole"
        )
    pixels = protocol.whole_frame_steps if places == ("whole",) else protocol.pixels
    views = msgspec.structs.replace(protocol.views, clips=1, crops=places)
    # any rule that takes videos, whose frames an image's network looks at, too
    rate = SpreadAtRate(fps=sampling.fps, past_end="loop") if sampling.fps else Spread(past_end="repeat")
    return msgspec.structs.replace(protocol, frames=rate, pixels=pixels, views=views)


def check_shape(record: Record, shape: tuple[int, ...]) -> None:
    """Refuse windows (3, T, H, W) that a record's network does not take; nothing is computed. Raises: UsageError."""
    try:
        with torch.device("meta"), torch.inference_mode():
            building.build_empty(record).features(torch.empty(1, *shape, dtype=torch.float32))
    except (ValueError, RuntimeError) as error:
        size = f"{shape[1]} frames of {shape[3]}x{shape[2]} pixels"
        raise UsageError(f"{record.name}: its network does not take windows of {size}: {error}") from error
