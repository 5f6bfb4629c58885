"""A picture before it is kept: out of a video's decoder, or an image that was read; and how it is to be turned."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from videohub.data.colour import Matrix, converted, matrix_of, view
from videohub.data.samples import StoredFile
from videohub.errors import VideoError


@dataclass(frozen=True)
class Orientation:
    """Rows and columns change places first, if they do; then left and right, then top and bottom."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    def __bool__(self) -> bool:
        """Return whether anything is to be done."""
        return self != UPRIGHT

    def __str__(self) -> str:
        """Return what a player does, clockwise."""
        return _IN_WORDS[self.transposed, self.mirrored_x, self.mirrored_y]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width once the picture is upright."""
        return (width, height) if self.transposed else (height, width)

    def upright(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a picture (H, W, 3) as it is to be seen."""
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirrored_x:
            pixels = pixels[:, ::-1]
        if self.mirrored_y:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


UPRIGHT = Orientation()
_IN_WORDS = {
    (False, False, False): "upright",
    (False, True, True): "180 degrees",
    (True, True, False): "90 degrees",
    (True, False, True): "270 degrees",
    (False, True, False): "mirrored, left and right",
    (False, False, True): "mirrored, top and bottom",
    (True, False, False): "mirrored and 90 degrees",
    (True, True, True): "mirrored and 270 degrees",
}
_QUARTERS = (  # anticlockwise
    UPRIGHT,
    Orientation(transposed=True, mirrored_y=True),
    Orientation(mirrored_x=True, mirrored_y=True),
    Orientation(transposed=True, mirrored_x=True),
)


def orientation(picture: av.VideoFrame) -> Orientation:
    """Return how a decoded picture is to be turned, to the nearest quarter.

    The matrix is QuickTime's: a point (x, y) is shown at (a x + c y, b x + d y), moved into the picture.
    """
    try:
        matrix: Any = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18 lists no data beside a picture if it does not know all of it, as that of cameras (EXIF). Of one that
        # is mirrored, too, this tells a half.
        return _QUARTERS[round(picture.rotation / 90) % 4]
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)
    return Orientation(mirrored_x=a < 0, mirrored_y=d < 0)


@dataclass(frozen=True)
class Image:
    """An image that was read, (H, W, 3)."""

    pixels: npt.NDArray[np.uint8]
    matrix: None = None  # how planes become RGB: an image was never planar

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def rgb(self) -> npt.NDArray[np.uint8]:
        """Return the pixels (H, W, 3)."""
        return self.pixels

    def planes(self) -> list[npt.NDArray[np.uint8]]:
        """Return none."""
        return []


@dataclass(frozen=True)
class Frame:
    """A frame of a video as its decoder gave it."""

    picture: av.VideoFrame
    to_rgb: VideoReformatter  # one for a video: setting one up takes longer than converting a frame
    path: StoredFile
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


Picture: TypeAlias = Image | Frame  # what can be kept as RGB and, where it has a matrix, as planes


def check_size(picture: Picture, first: tuple[int, int], path: StoredFile) -> None:
    """Refuse a picture that has not the size of the first one of its video. Raises: VideoError."""
    if picture.size != first:
        raise VideoError(
            f"{path}: the picture changes its shape in the middle of the video, "
            f"from {first[1]}x{first[0]} to {picture.size[1]}x{picture.size[0]}"
        )
