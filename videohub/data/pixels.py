"""From decoded frames to what the network sees of them: the steps of a protocol, on whichever device they lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from videohub import protocols as steps
from videohub.data.decoded_images import UNIT, Planar
from videohub.data.geometry import resized_size
from videohub.data.levels import split_steps
from videohub.protocols import Protocol


def prepare(pixels: Tensor, protocol: Protocol, planar: Planar | None = None) -> Tensor:
    """Return decoded frames as the network's input before any crop, (N, 3, h, w) float32.

    They are (N, H, W, 3) uint8 RGB, or (N, bytes) uint8 planes of 4:2:0 if `planar` says what they stand for; what
    `levels.apply` does has been done.
    """
    if planar is None:
        frames = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    else:
        frames = _levels_of_planes(pixels, planar)
    for step in split_steps(protocol)[1]:
        frames = STEPS[type(step)](frames, step)
    return frames


def divide(frames: Tensor, step: steps.Divide) -> Tensor:
    """Divide (N, 3, H, W) by a number, in place; by a plain number a GPU divides with another rounding."""
    return frames.div_(frames.new_full((1,), step.by))


def normalise(frames: Tensor, step: steps.Normalise) -> Tensor:
    """Return (N, 3, H, W) less the mean, then divided by the deviation, per channel, in place."""
    means, stds = (
        # the CPU need not wait for a GPU that has other work
        torch.tensor(values, dtype=frames.dtype).view(3, 1, 1).to(frames.device, non_blocking=True)
        for values in (step.mean, step.std)
    )
    return frames.sub_(means).div_(stds)


def reverse_channels(frames: Tensor, _: steps.ReverseChannels) -> Tensor:
    """Return (N, 3, H, W) with its channels in the other order."""
    return frames.flip(1)


def mirror(frames: Tensor, _: steps.Mirror) -> Tensor:
    """Return (N, 3, H, W) with left and right changed."""
    return frames.flip(3)


def resize(frames: Tensor, step: steps.Resize | steps.ResizeShortSide) -> Tensor:
    """Return frames (N, 3, H, W) resized; those of that size already are returned as they are.

    Bilinear, pixel centres at halves, no antialiasing. `torch_uint8` rounds to whole levels again, half to even, as
    torchvision does with pictures of 8 bits; `tensorflow_uint8` rounds down to them, as a cast of what
    `tf.image.resize` gives does.
    """
    height, width = frames.shape[-2:]
    size = resized_size(height, width, [step])
    if (height, width) == size:
        return frames
    resized = F.interpolate(frames, size=size, mode="bilinear", align_corners=False)
    if step.arithmetic == "torch_uint8":
        return resized.round_()
    return resized.floor_() if step.arithmetic == "tensorflow_uint8" else resized


STEPS: dict[type[steps.PixelStep], Callable[[Tensor, Any], Tensor]] = {
    steps.Divide: divide,
    steps.Normalise: normalise,
    steps.ReverseChannels: reverse_channels,
    steps.Mirror: mirror,
    steps.Resize: resize,
    steps.ResizeShortSide: resize,
}


def _levels_of_planes(rows: Tensor, planar: Planar) -> Tensor:
    """Convert planes of 4:2:0 to RGB (N, 3, H, W) float32, whole numbers from 0 to 255: see `decoded_images.to_rgb`.

    Every product has at most 23 bits, so float32 holds it exactly and all devices agree.
    """
    parts = torch.split(rows, [math.prod(shape) for shape in planar.shapes], dim=1)
    luma, u, v = (part.view(-1, 1, *shape).float() for part, shape in zip(parts, planar.shapes, strict=True))
    factors = planar.matrix
    luma.sub_(factors.black).mul_(factors.luma / UNIT).floor_()
    u.sub_(128)
    v.sub_(128)
    green = (u * (factors.green_u / UNIT)).floor_().add_((v * (factors.green_v / UNIT)).floor_())
    chroma = torch.cat([v.mul_(factors.red_v / UNIT).floor_(), green, u.mul_(factors.blue_u / UNIT).floor_()], dim=1)
    # Each sample twice in a row, as the two halves of a complex number: 0.09 ms a picture, where torch's own ways of
    # repeating values take 0.27. Rows come twice by broadcasting.
    doubled = torch.view_as_real(torch.complex(chroma, chroma)).flatten(3)[..., : planar.width]
    pairs_of_rows = luma.view(-1, 1, planar.height // 2, 2, planar.width)
    return (doubled.unsqueeze(3) + pairs_of_rows).flatten(2, 3).clamp_(0, 255)
