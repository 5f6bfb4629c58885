"""The forms in which the frames of a source are kept, and which of them takes the fewest bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from videohub.data import levels
from videohub.data.colour import Planar
from videohub.data.geometry import resized_size
from videohub.data.pictures import Picture
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
        if picture.matrix != self.planar.matrix:
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


Form: TypeAlias = AsPlanes | AsRgb | Prepared


def smallest(picture: Picture, protocol: Protocol, decoder: Decoder) -> Form:
    """Return the form in which pictures like this one take the fewest bytes; `exact` knows no planes."""
    steps = levels.split_steps(protocol)[0]
    forms: list[Form] = [AsRgb(picture.size, steps), Prepared(picture.size, protocol)]
    if decoder == "fast" and picture.matrix is not None and not steps:
        forms.insert(0, AsPlanes(Planar(*picture.size, picture.matrix)))
    return min(forms, key=frame_bytes)


def frame_bytes(form: Form) -> int:
    """Return how many bytes a frame takes."""
    return math.prod(form.shape) * form.dtype.itemsize
