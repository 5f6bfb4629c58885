"""Videos whose frames carry their number (12 columns, bright above and dark below means 1), and how to read it back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 96, 64


def picture(number: int) -> np.ndarray:
    """Return the picture (H, W, 3) that stands for a number below 4096."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(12):
        level = 235 if number >> bit & 1 else 16
        left, right = WIDTH * bit // 12, WIDTH * (bit + 1) // 12
        pixels[: HEIGHT // 2, left:right], pixels[HEIGHT // 2 :, left:right] = level, 251 - level
    return pixels


def number(pixels: np.ndarray) -> int:
    """Return the number in a picture (H, W, 3) of any size and scale."""
    grey = np.asarray(pixels, float).mean(-1)
    height, width = grey.shape
    above, below = grey[height // 8 : 3 * height // 8], grey[5 * height // 8 : 7 * height // 8]
    number_read = 0
    for bit in range(12):
        left, right = width * bit // 12, width * (bit + 1) // 12
        edge = max(1, (right - left) // 4)
        middle = slice(left + edge, right - edge)
        number_read |= int(above[:, middle].mean() > below[:, middle].mean()) << bit
    return number_read


def write(
    path: Path,
    count: int = 150,
    *,
    rate: int | Fraction = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    first: int = 0,
    start: int = 0,
    stamps: list[int] | None = None,
    time_base: Fraction | None = None,
    container: dict[str, str] | None = None,
    b_frames: int = 0,
) -> Path:
    """Write frames `first` … `first + count - 1`; time stamps from `start`, or `stamps`, in ticks of `time_base`."""
    options = {}
    if codec == "libx264":
        options = {"preset": "ultrafast", "g": "12", "bf": str(b_frames), "crf": "18", "x264-params": "threads=1"}
    tick = time_base or 1 / Fraction(rate)
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        (stream.width, stream.height), stream.pix_fmt = (WIDTH, HEIGHT), pix_fmt
        stream.time_base = stream.codec_context.time_base = tick
        for place in range(count):
            frame = av.VideoFrame.from_ndarray(picture(first + place), format="rgb24")
            frame.pts, frame.time_base = (stamps[place] if stamps else start + place), tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path
