"""How a picture is to be turned before anybody looks at it: what the display matrix beside it says."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import av


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
    except (
        ValueError
    ):  # PyAV 18 lists no data beside a picture if it does not know all of it, as that of cameras (EXIF)
        return _QUARTERS[round(picture.rotation / 90) % 4]  # of one that is mirrored, too, this tells a half
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)
    return Orientation(mirrored_x=a < 0, mirrored_y=d < 0)
