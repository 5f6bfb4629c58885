"""From a decoded picture to what the network sees of it: normalise and resize, on whichever device it lies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from videohub.data.crops import resized_size
from videohub.registry.schema import Protocol


def prepare(pixels: Tensor, protocol: Protocol) -> Tensor:
    """Return frames (N, H, W, 3) uint8 RGB as the network's input before any crop, (N, 3, h, w) float32.

    Source: the reference order is /255, mean, std, resize; for images it is /255, resize, mean, std.
    """
    if protocol.decoder == "image":
        unit = _look_up(pixels, _levels((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
        return normalise(resize(unit, protocol.short_side), protocol.mean, protocol.std)
    return resize(_look_up(pixels, _levels(protocol.mean, protocol.std)), protocol.short_side)


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (..., 3, H, W) pixels between 0 and 1 with `mean` subtracted and then divided by `std`, per channel."""
    means, stds = (
        torch.tensor(values, dtype=pixels.dtype, device=pixels.device).view(3, 1, 1) for values in (mean, std)
    )
    return (pixels - means).div_(stds)


def resize(images: Tensor, short_side: int) -> Tensor:
    """Return float images (B, C, H, W) with their short side resized to `short_side` pixels, smaller or larger.

    Bilinear, pixel centres at halves, no antialiasing. Images of that size already are returned as they are.
    """
    height, width = images.shape[-2:]
    if min(height, width) == short_side:
        return images
    size = resized_size(height, width, short_side)
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def _levels(mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return what each of the 256 levels of a channel becomes when it is normalised: (3, 256) float32."""
    return normalise(torch.arange(256, dtype=torch.float32).div_(255).expand(3, 1, 256), mean, std)[:, 0]


def _look_up(pixels: Tensor, levels: Tensor) -> Tensor:
    """Replace the levels of (N, H, W, 3) uint8 by what they stand for, (N, 3, H, W).

    A table made on the CPU gives every device the same numbers: a GPU divides by a constant with another rounding.
    """
    rows = torch.tensor([0, 256, 512], dtype=torch.int32, device=pixels.device).view(3, 1, 1)
    places = pixels.permute(0, 3, 1, 2).to(torch.int32, memory_format=torch.contiguous_format).add_(rows)
    return levels.to(pixels.device).flatten().index_select(0, places.flatten()).view(places.shape)
