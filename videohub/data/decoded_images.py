"""A picture before it is kept: out of a video's decoder, or an image that was read; how it is turned and becomes RGB.

Planar YUV 4:2:0 becomes RGB by arithmetic that every device can do, proven against swscale on the spot. swscale turns 8
bits of it into RGB in whole numbers: one luma and up to two chroma terms a channel, each in units of 1/8192 and rounded
down by itself, added, limited to 0..255; the four pixels of a chroma sample share it. Factors of 8192 times the
standard's give the same bits on x86 with FFmpeg 7 and 8; other builds of swscale interpolate chroma or round otherwise.
So nothing is taken for granted: a picture of noise goes through swscale first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import av
import msgspec
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from videohub.data.samples import StoredFile
from videohub.errors import VideoError

UNIT = 8192  # of the factors
_FORMATS = ("yuv420p", "yuvj420p")
_WEIGHTS = {  # of red and blue in luma
    "BT.601": (0.299, 0.114),
    "BT.709": (0.2126, 0.0722),
    "BT.2020": (0.2627, 0.0593),
    "SMPTE 240M": (0.212, 0.087),
    "FCC": (0.30, 0.11),
}
_PROBE_ROWS = 16
_HEEDS_TAGS = int(av.__version__.split(".")[0]) >= 17
_BT_601 = 5
_FULL_RANGE = 2


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


class Matrix(msgspec.Struct, frozen=True):
    """How luma and chroma become red, green and blue; factors in units of 1/8192, chroma counted from 128."""

    black: int  # luma of black
    luma: int
    red_v: int
    green_u: int
    green_v: int
    blue_u: int


class Planar(msgspec.Struct, frozen=True):
    """What planes of 4:2:0, one after the other in a row of bytes, stand for: their size, and how they become RGB."""

    height: int
    width: int
    matrix: Matrix

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Return height and width of each plane."""
        chroma = (self.height // 2, (self.width + 1) // 2)
        return [(self.height, self.width), chroma, chroma]


@dataclass(frozen=True)
class Image:
    """An image that was read, (H, W, 3)."""

    pixels: npt.NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def rgb(self) -> npt.NDArray[np.uint8]:
        """Return the pixels (H, W, 3)."""
        return self.pixels


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
        return [plane_of(self.picture, number) for number in range(3)]


Picture: TypeAlias = Image | Frame  # what can be kept as RGB and, where it has a matrix, as planes


def check_size(picture: Picture, first: tuple[int, int], path: StoredFile) -> None:
    """Refuse a picture that has not the size of the first one of its video. Raises: VideoError."""
    if picture.size != first:
        raise VideoError(
            f"{path}: the picture changes its shape in the middle of the video, "
            f"from {first[1]}x{first[0]} to {picture.size[1]}x{picture.size[0]}"
        )


# --- from YUV to RGB -------------------------------------------------------------------------------------------------


def standard_matrix(standard: str, span: Literal["limited", "full"]) -> Matrix:
    """Return the factors of a standard, for luma 16..235 and chroma 16..240, or 0..255 for both."""
    red, blue = _WEIGHTS[standard]
    green = 1 - red - blue
    luma, chroma = (255 / 219, 255 / 224) if span == "limited" else (1.0, 1.0)
    return Matrix(
        black=16 if span == "limited" else 0,
        luma=round(UNIT * luma),
        red_v=round(UNIT * chroma * 2 * (1 - red)),
        green_u=-round(UNIT * chroma * 2 * (1 - blue) * blue / green),
        green_v=-round(UNIT * chroma * 2 * (1 - red) * red / green),
        blue_u=round(UNIT * chroma * 2 * (1 - blue)),
    )


def converted(picture: av.VideoFrame, reformatter: VideoReformatter) -> npt.NDArray[np.uint8]:
    """Return a picture as RGB (H, W, 3), converted by swscale with its defaults as the picture's tags say.

    Raises: av.FFmpegError if swscale cannot convert it.
    """
    return np.asarray(reformatter.reformat(picture, format="rgb24", **_explicit_tags(picture)).to_ndarray(), np.uint8)


def _explicit_tags(picture: av.VideoFrame) -> dict[str, Any]:
    """Return what PyAV before 17 has to be told, which hands tags on to swscale only where those of the target differ.

    Those of the target mean nothing for RGB.
    """
    if _HEEDS_TAGS:
        return {}
    full = picture.color_range == _FULL_RANGE or picture.format.name.startswith("yuvj")
    source, target = ("JPEG", "MPEG") if full else ("MPEG", "JPEG")
    return {
        "dst_colorspace": "ITU709" if picture.colorspace == _BT_601 else "ITU601",
        "src_color_range": source,
        "dst_color_range": target,
    }


def matrix_of(picture: av.VideoFrame) -> Matrix | None:
    """Return the factors by which swscale converts such pictures here; None if it does so in another way."""
    if picture.format.name not in _FORMATS or picture.height % 2:
        return None
    if picture.interlaced_frame:  # FFmpeg 8 converts its two fields apart: other rows share their chroma
        return None
    return _probed_matrix(picture.format.name, picture.width, picture.colorspace, picture.color_range)


@lru_cache(maxsize=256)
def _probed_matrix(name: str, width: int, colorspace: int, color_range: int) -> Matrix | None:
    """Return the same by all that swscale's choice of arithmetic depends on, in pictures of an even height."""
    noise = np.random.default_rng(0)
    probe = av.VideoFrame(width, _PROBE_ROWS, name)
    probe.colorspace, probe.color_range = colorspace, color_range
    for plane in probe.planes:
        plane.update(noise.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    try:
        expected = converted(probe, VideoReformatter())
    except av.FFmpegError:  # such colours cannot be converted at all, as whoever asks for RGB will be told
        return None
    planes = [plane_of(probe, number) for number in range(3)]
    known = (standard_matrix(standard, span) for standard in _WEIGHTS for span in ("limited", "full"))
    return next((factors for factors in known if np.array_equal(to_rgb(planes, factors), expected)), None)


def plane_of(picture: av.VideoFrame, number: int) -> npt.NDArray[np.uint8]:
    """Return a plane of a picture of 4:2:0, 0 for luma, without copying: (H, W), or half of both, rounded up."""
    plane = picture.planes[number]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def to_rgb(planes: list[npt.NDArray[np.uint8]], factors: Matrix) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) of three planes, as `videohub.data.pixels` does on a device."""
    height, width = planes[0].shape
    y = (planes[0].astype(np.int32) - factors.black) * factors.luma >> 13
    u, v = (plane.astype(np.int32) - 128 for plane in planes[1:])
    red = v * factors.red_v >> 13
    green = (u * factors.green_u >> 13) + (v * factors.green_v >> 13)
    blue = u * factors.blue_u >> 13
    shared = np.stack([red, green, blue], axis=-1).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.clip(y[..., None] + shared, 0, 255).astype(np.uint8)
