"""The formats in which the frames of a test are kept, which of them takes the fewest bytes, and the array they fill."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from videohub.data import levels
from videohub.data.decoded_images import Frame, Picture, Planar, check_size
from videohub.data.geometry import resized_size
from videohub.data.memory import MOST_BYTES, PREPARING, Budget
from videohub.data.samples import StoredFile
from videohub.errors import VideoError
from videohub.protocols import Pixels, Protocol

Decoder: TypeAlias = Literal["fast", "exact"]

DECODERS: tuple[Decoder, ...] = ("fast", "exact")  # the first one unless another is asked for


class MatrixChangedError(Exception):
    """A picture is to be converted otherwise than those before it, so its video cannot be kept in planes."""


@dataclass(frozen=True)
class AsPlanes:
    """As decoded, 1.5 bytes a pixel; the device converts."""

    planar: Planar
    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of a frame."""
        return (sum(math.prod(shape) for shape in self.planar.shapes),)

    def write(self, picture: Picture, row: npt.NDArray[Any]) -> None:
        """Copy the planes. Raises: MatrixChangedError if they are to be converted otherwise than the first ones."""
        if not isinstance(picture, Frame) or picture.matrix != self.planar.matrix:
            raise MatrixChangedError
        begin = 0
        for plane, shape in zip(picture.planes(), self.planar.shapes, strict=True):
            end = begin + math.prod(shape)
            row[begin:end].reshape(shape)[:] = plane
            begin = end


@dataclass(frozen=True)
class AsRgb:
    """Converted, and changed by the steps that keep levels whole; 3 bytes a pixel."""

    size: tuple[int, int]
    steps: tuple[Pixels, ...] = ()
    dtype = np.dtype(np.uint8)
    planar = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of a frame."""
        return (*resized_size(*self.size, self.steps), 3)

    def write(self, picture: Picture, row: npt.NDArray[Any]) -> None:
        """Copy the pixels."""
        row[:] = levels.apply(picture.rgb(), self.steps)


@dataclass(frozen=True)
class Prepared:
    """All steps done, 12 bytes a pixel of what is left: 320 frames of 1080p take 450 MB instead of 1 GB."""

    size: tuple[int, int]
    protocol: Protocol
    dtype = np.dtype(np.float32)
    planar = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of a frame."""
        return (3, *resized_size(*self.size, self.protocol.whole_frame_steps))

    def write(self, picture: Picture, row: npt.NDArray[Any]) -> None:
        """Do all steps; only then is torch needed."""
        import torch

        from videohub.data.pixels import prepare

        pixels = levels.apply(picture.rgb(), levels.split_steps(self.protocol)[0])
        row[:] = prepare(torch.from_numpy(pixels)[None], self.protocol)[0].numpy()


FrameFormat: TypeAlias = AsPlanes | AsRgb | Prepared


def smallest(picture: Picture, protocol: Protocol, decoder: Decoder) -> FrameFormat:
    """Return the format in which pictures like this one take the fewest bytes; `exact` knows no planes."""
    steps = levels.split_steps(protocol)[0]
    formats: list[FrameFormat] = [AsRgb(picture.size, steps), Prepared(picture.size, protocol)]
    if decoder == "fast" and isinstance(picture, Frame) and picture.matrix is not None and not steps:
        formats.insert(0, AsPlanes(Planar(*picture.size, picture.matrix)))
    return min(formats, key=frame_bytes)


def frame_bytes(frame_format: FrameFormat) -> int:
    """Return how many bytes a frame takes."""
    return math.prod(frame_format.shape) * frame_format.dtype.itemsize


Frames: TypeAlias = npt.NDArray[Any]  # (N, bytes) uint8, (N, H, W, 3) uint8 or (N, 3, h, w) float32
Room: TypeAlias = Callable[[int], npt.NDArray[np.uint8]]  # bytes -> memory of at least so many


def own_memory(size: int) -> npt.NDArray[np.uint8]:
    """Return new memory; the system takes it only where it is written."""
    return np.empty(size, np.uint8)


class FrameStore:
    """Frames of one source, in the format that suits the first of them."""

    def __init__(
        self,
        source: StoredFile,
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
        self._format: FrameFormat | None = None
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
        if self._format is None or self._frames is None:
            self._format, self._size = smallest(picture, self._protocol, self._decoder), picture.size
            self._measure(self._format)
            self._frames = self._room(self._format)
        check_size(picture, self._size, self._source)
        self._budget.kept += self._each
        (height, width), (high, wide) = self._size, self._resized
        what = f"{self._count + 1} frames of {width}x{height}, {wide}x{high} once resized,"
        self._budget.check(self._source, 0, what)
        self._format.write(picture, self._frames[self._count])
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
        return self._format.planar if self._format is not None else None

    def _measure(self, frame_format: FrameFormat) -> None:
        """Find out what a frame takes, and whether one can be prepared at all."""
        prepared = Prepared(self._size, self._protocol)
        self._resized = (prepared.shape[1], prepared.shape[2])
        self._each = frame_bytes(frame_format) + (0 if isinstance(frame_format, Prepared) else frame_bytes(prepared))
        height, width = self._size
        self._budget.check(self._source, height * width * PREPARING, f"a single picture of {width}x{height}")
        if levels.split_steps(self._protocol)[0]:
            high, wide = self._resized
            what = f"bringing a picture of {width}x{height} to {wide}x{high}"
            self._budget.check(self._source, high * wide * levels.SHRINKING, what)

    def _room(self, frame_format: FrameFormat) -> Frames:
        """Make room for all frames at once."""
        needed = self._most * frame_bytes(frame_format)
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
        return memory[:needed].view(frame_format.dtype).reshape(self._most, *frame_format.shape)
