"""The frames that a test uses, collected once each in one array, in whichever form takes fewer bytes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from videohub.data.crops import resized_size
from videohub.errors import VideoError
from videohub.registry.schema import Protocol

Frames: TypeAlias = npt.NDArray[Any]  # (N, H, W, 3) uint8 or (N, 3, h, w) float32

MOST_BYTES = 16 << 30  # of frames; a video that needs more is refused before it takes the machine down


class FrameStore:
    """Frames of one source: RGB as decoded, or normalised and resized at once where that is smaller.

    The latter is so where the short side is more than twice what the protocol resizes it to: 320 frames of a 1080p
    video take 2 GB as they are and 450 MB prepared.
    """

    def __init__(self, source: Path, protocol: Protocol, most: int) -> None:
        """Make room for up to `most` frames of `source`, once the first one shows how large they are."""
        self._source, self._protocol, self._most = source, protocol, most
        self._frames: Frames | None = None
        self._shape: tuple[int, ...] = ()
        self._count = 0

    def add(self, rgb: npt.NDArray[np.uint8]) -> int:
        """Keep a picture (H, W, 3) and return its row. Raises: VideoError if its shape is not that of the first."""
        if self._frames is None:
            self._frames, self._shape = self._room(rgb), rgb.shape
        if rgb.shape != self._shape:
            (height, width), (before, across) = rgb.shape[:2], self._shape[:2]
            raise VideoError(
                f"{self._source}: the picture changes its shape in the middle of the video, "
                f"from {across}x{before} to {width}x{height}"
            )
        self._frames[self._count] = rgb if self._frames.dtype == np.uint8 else self._prepared(rgb)
        self._count += 1
        return self._count - 1

    def frames(self) -> Frames:
        """Return the rows that are filled. Raises: VideoError if there are none."""
        if self._frames is None:
            raise VideoError(f"{self._source}: holds no pictures")
        return self._frames[: self._count]

    def _room(self, rgb: npt.NDArray[np.uint8]) -> Frames:
        """Allocate for all frames at once; the system takes memory only for the rows that are written."""
        height, width = rgb.shape[:2]
        resized = (3, *resized_size(height, width, self._protocol.short_side))
        as_decoded = rgb.nbytes <= 4 * math.prod(resized)
        needed = self._most * (rgb.nbytes if as_decoded else 4 * math.prod(resized))
        if needed > MOST_BYTES:
            raise VideoError(
                f"{self._source}: {self._most} frames of {width}x{height} need {needed / 2**30:.1f} GiB of memory, "
                f"more than the {MOST_BYTES / 2**30:.0f} GiB that one video may take; resize it"
            )
        if as_decoded:
            return np.empty((self._most, *rgb.shape), np.uint8)
        return np.empty((self._most, *resized), np.float32)

    def _prepared(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Normalise and resize a picture; only then is torch needed."""
        import torch

        from videohub.data.pixels import prepare

        prepared: npt.NDArray[np.float32] = prepare(torch.from_numpy(rgb)[None], self._protocol)[0].numpy()
        return prepared
