"""From a decoded picture to what the network sees of it: normalise and resize, on whichever device it lies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from videohub.data.colour import UNIT, Planar
from videohub.data.crops import resized_size
from videohub.registry.schema import Protocol


def prepare(pixels: Tensor, protocol: Protocol, planar: Planar | None = None) -> Tensor:
    """Return decoded frames as the network's input before any crop, (N, 3, h, w) float32.

    Args:
        pixels: (N, H, W, 3) uint8 RGB, or (N, bytes) uint8 planes of 4:2:0 if `planar` says what they stand for.
        protocol: Mean, standard deviation and size.
        planar: Of the planes.
    Source: the reference order is /255, mean, std, resize; for images it is /255, resize, mean, std.
    """
    levels = _levels(pixels) if planar is None else _levels_of_planes(pixels, planar)
    unit = levels.div_(levels.new_full((1,), 255))  # a tensor: by a plain number a GPU divides with another rounding
    if protocol.decoder == "image":
        return normalise(resize(unit, protocol.short_side), protocol.mean, protocol.std)
    return resize(normalise(unit, protocol.mean, protocol.std), protocol.short_side)


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (..., 3, H, W) pixels between 0 and 1 less `mean`, then divided by `std`, per channel, in place."""
    means, stds = (
        # the CPU need not wait for a GPU that has other work
        torch.tensor(values, dtype=pixels.dtype).view(3, 1, 1).to(pixels.device, non_blocking=True)
        for values in (mean, std)
    )
    return pixels.sub_(means).div_(stds)


def resize(images: Tensor, short_side: int) -> Tensor:
    """Return float images (B, C, H, W) with their short side resized to `short_side` pixels, smaller or larger.

    Bilinear, pixel centres at halves, no antialiasing. Images of that size already are returned as they are.
    """
    height, width = images.shape[-2:]
    if min(height, width) == short_side:
        return images
    size = resized_size(height, width, short_side)
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def _levels(pixels: Tensor) -> Tensor:
    """Return RGB (N, H, W, 3) uint8 as (N, 3, H, W) float32, values still 0 to 255."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)


def _levels_of_planes(rows: Tensor, planar: Planar) -> Tensor:
    """Convert planes of 4:2:0 to RGB (N, 3, H, W) float32, whole numbers from 0 to 255: see `videohub.data.colour`.

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
