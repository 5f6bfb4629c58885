"""The frames that a test uses, collected once each in one array, in whichever form takes the fewest bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from videohub.data.colour import Planar
from videohub.data.forms import Decoder, Form, Prepared, frame_bytes, smallest
from videohub.data.levels import SHRINKING, split_steps
from videohub.data.memory import MOST_BYTES, Budget
from videohub.data.pictures import Picture
from videohub.errors import VideoError
from videohub.protocols import Protocol

Frames: TypeAlias = npt.NDArray[Any]  # (N, bytes) uint8, (N, H, W, 3) uint8 or (N, 3, h, w) float32
Room: TypeAlias = Callable[[int], npt.NDArray[np.uint8]]  # bytes -> memory of at least so many

_PREPARING = 20  # bytes for a pixel of the picture at hand: as decoded, as RGB, as floats


def own_memory(size: int) -> npt.NDArray[np.uint8]:
    """Return new memory; the system takes it only where it is written."""
    return np.empty(size, np.uint8)


class FrameStore:
    """Frames of one source, in the form that suits the first of them."""

    def __init__(
        self,
        source: Path,
        protocol: Protocol,
        most: int,
        *,
        decoder: Decoder = "exact",
        room: Room = own_memory,
        budget: Budget | None = None,
    ) -> None:
        """Make room for up to `most` frames of `source`, once the first one shows how large they are.

        What they take counts as kept memory of the `budget`, and what they will take once they are prepared.
        """
        self._source, self._protocol, self._most = source, protocol, most
        self._decoder, self._make_room = decoder, room
        self._frames: Frames | None = None
        self._form: Form | None = None
        self._budget = budget or Budget()
        self._size = (0, 0)
        self._resized = (0, 0)
        self._each = 0  # bytes of a frame, as kept and prepared
        self._count = 0

    def add(self, picture: Picture) -> int:
        """Keep a picture and return its row.

        Raises: VideoError if it has not the size of the first, or there is too little memory for it; MatrixChangedError
            if planes cannot hold it.
        """
        if self._form is None or self._frames is None:
            self._form, self._size = smallest(picture, self._protocol, self._decoder), picture.size
            self._measure(self._form)
            self._frames = self._room(self._form)
        if picture.size != self._size:
            (height, width), (before, across) = picture.size, self._size
            raise VideoError(
                f"{self._source}: the picture changes its shape in the middle of the video, "
                f"from {across}x{before} to {width}x{height}"
            )
        self._budget.kept += self._each
        if self._budget.kept > self._budget.most:
            (height, width), (high, wide) = self._size, self._resized
            what = f"{self._count + 1} frames of {width}x{height}, {wide}x{high} once resized,"
            self._budget.check(self._source, 0, what)
        self._form.write(picture, self._frames[self._count])
        self._count += 1
        return self._count - 1

    def frames(self) -> Frames:
        """Return the rows that are filled. Raises: VideoError if there are none."""
        if self._frames is None:
            raise VideoError(f"{self._source}: holds no pictures")
        return self._frames[: self._count]

    @property
    def planar(self) -> Planar | None:
        """Return what the rows stand for if they are planes."""
        return self._form.planar if self._form is not None else None

    def _measure(self, form: Form) -> None:
        """Find out what a frame takes, and whether one can be prepared at all."""
        prepared = Prepared(self._size, self._protocol)
        self._resized = (prepared.shape[1], prepared.shape[2])
        self._each = frame_bytes(form) + (0 if isinstance(form, Prepared) else frame_bytes(prepared))
        height, width = self._size
        self._budget.check(self._source, height * width * _PREPARING, f"a single picture of {width}x{height}")
        if split_steps(self._protocol)[0]:
            high, wide = self._resized
            what = f"bringing a picture of {width}x{height} to {wide}x{high}"
            self._budget.check(self._source, high * wide * SHRINKING, what)

    def _room(self, form: Form) -> Frames:
        """Make room for all frames at once."""
        needed = self._most * frame_bytes(form)
        if needed > MOST_BYTES:
            height, width = self._size
            raise VideoError(
                f"{self._source}: {self._most} frames of {width}x{height} need {needed / 2**30:.1f} GiB of memory, "
                f"more than the {MOST_BYTES / 2**30:.0f} GiB that one video may take; resize it"
            )
        try:
            memory = self._make_room(needed)
        except (MemoryError, OSError) as error:
            raise VideoError(f"{self._source}: there is no memory for {needed / 2**30:.1f} GiB of frames") from error
        return memory[:needed].view(form.dtype).reshape(self._most, *form.shape)
