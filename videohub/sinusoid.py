"""The fixed table of positions that transformers add to their tokens, and that some publishers' files hold."""

from __future__ import annotations

import numpy as np


def sinusoid(*, count: int, width: int) -> np.ndarray:
    """Return the positions of tokens that are numbered from 0, time outermost: (1, count, width) float32.

    Source: VideoMAE: angle p / 10000^(2 floor(j / 2) / width), sine at even j, cosine at odd; in double, then rounded.
    """
    channel = np.arange(width)
    angles = np.arange(count)[:, None] / np.power(10000.0, 2 * (channel // 2) / width)
    return np.where(channel % 2 == 0, np.sin(angles), np.cos(angles))[None].astype(np.float32)
