"""From planar YUV 4:2:0 to RGB by arithmetic that every device can do, proven against swscale on the spot.

swscale turns 8-bit 4:2:0 into RGB in whole numbers: one luma and up to two chroma terms a channel, each in units of
1/8192 and rounded down by itself, added, limited to 0..255; the four pixels of a chroma sample share it. Factors of
8192 times the standard's give the same bits on x86 with FFmpeg 7 and 8; other builds of swscale interpolate chroma or
round otherwise. So nothing is taken for granted: a picture of noise goes through swscale first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import av
import msgspec
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

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


def matrix(standard: str, span: Literal["limited", "full"]) -> Matrix:
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


def tags(picture: av.VideoFrame) -> tuple[Any, ...]:
    """Return all that swscale's choice of arithmetic depends on."""
    return picture.format.name, picture.width, picture.height % 2, picture.colorspace, picture.color_range


def matrix_of(picture: av.VideoFrame) -> Matrix | None:
    """Return the factors by which swscale converts such pictures here; None if it does so in another way."""
    if picture.format.name not in _FORMATS or picture.height % 2:
        return None
    if picture.interlaced_frame:  # FFmpeg 8 converts its two fields apart: other rows share their chroma
        return None
    return _probed_matrix(*tags(picture))


@lru_cache(maxsize=256)
def _probed_matrix(name: str, width: int, _: int, colorspace: int, color_range: int) -> Matrix | None:
    noise = np.random.default_rng(0)
    probe = av.VideoFrame(width, _PROBE_ROWS, name)
    probe.colorspace, probe.color_range = colorspace, color_range
    for plane in probe.planes:
        plane.update(noise.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    try:
        expected = converted(probe, VideoReformatter())
    except av.FFmpegError:  # such colours cannot be converted at all, as whoever asks for RGB will be told
        return None
    planes = [view(probe, number) for number in range(3)]
    known = (matrix(standard, span) for standard in _WEIGHTS for span in ("limited", "full"))
    return next((factors for factors in known if np.array_equal(to_rgb(planes, factors), expected)), None)


def view(picture: av.VideoFrame, number: int) -> npt.NDArray[np.uint8]:
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
