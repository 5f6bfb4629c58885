"""Buffers that files store although they follow from the network's arguments, by the names that tables give them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np


def relative_position_index(*, window: Sequence[int]) -> np.ndarray:
    """Return which row of a bias table each pair of positions of a window (T, H, W) takes: (N, N) int64.

    Source: Video Swin: offsets within the window, each made positive, counted with time outermost.
    """
    positions = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij")).reshape(len(window), -1)
    offsets = positions[:, :, None] - positions[:, None, :] + np.array(window)[:, None, None] - 1
    index = np.zeros(offsets.shape[1:], np.int64)
    for length, offset in zip(window, offsets, strict=True):
        index = index * (2 * length - 1) + offset
    return index


def sinusoid(*, grid: Sequence[int], width: int) -> np.ndarray:
    """Return the fixed table of positions of a grid (T, H, W), time outermost: (1, T * H * W, width) float32.

    Source: VideoMAE: angle p / 10000^(2 floor(j / 2) / width), sine at even j, cosine at odd; in double, then rounded.
    """
    channel = np.arange(width)
    angles = np.arange(math.prod(grid))[:, None] / np.power(10000.0, 2 * (channel // 2) / width)
    return np.where(channel % 2 == 0, np.sin(angles), np.cos(angles))[None].astype(np.float32)


FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "relative_position_index": relative_position_index,
    "sinusoid": sinusoid,
}
