"""A picture before it is kept: out of a video's decoder, or an image that was read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from videohub.data.colour import Matrix, converted, matrix_of, view
from videohub.data.orientation import UPRIGHT, Orientation
from videohub.errors import VideoError


class Picture(Protocol):
    """What can be kept as RGB and, where it has a matrix, as planes."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""

    @property
    def matrix(self) -> Matrix | None:
        """How its planes become RGB; None where it has none that are known."""

    def rgb(self) -> npt.NDArray[np.uint8]:
        """Return the pixels (H, W, 3)."""

    def planes(self) -> list[npt.NDArray[np.uint8]]:
        """Return luma and the two chromas, without copying; none where there is no matrix."""


@dataclass(frozen=True)
class Image:
    """An image that was read, (H, W, 3)."""

    pixels: npt.NDArray[np.uint8]
    matrix: None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def rgb(self) -> npt.NDArray[np.uint8]:
        """Return the pixels (H, W, 3)."""
        return self.pixels

    def planes(self) -> list[npt.NDArray[np.uint8]]:
        """Return none: an image was never planar."""
        return []


@dataclass(frozen=True)
class Frame:
    """A frame of a video as its decoder gave it."""

    picture: av.VideoFrame
    to_rgb: VideoReformatter  # one for a video: setting one up takes longer than converting a frame
    path: Path
    turned: Orientation = UPRIGHT  # what is done to it once it is RGB

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.turned.size(self.picture.height, self.picture.width)

    @property
    def matrix(self) -> Matrix | None:
        """How its planes become RGB; None where swscale does something else with them, or they have to be turned."""
        return None if self.turned else matrix_of(self.picture)

    def rgb(self) -> npt.NDArray[np.uint8]:
        """Return the pixels (H, W, 3), by swscale's defaults."""
        picture = self.picture
        try:
            return self.turned.upright(converted(picture, self.to_rgb))
        except av.FFmpegError as error:
            raise VideoError(
                f"{self.path}: its pictures ({picture.format.name}, {picture.width}x{picture.height}) cannot be "
                f"converted to RGB: {error.strerror}"
            ) from error

    def planes(self) -> list[npt.NDArray[np.uint8]]:
        """Return luma and the two chromas of 4:2:0."""
        return [view(self.picture, number) for number in range(3)]
