"""Small videos in any container, codec and pace, the same bytes each time they are written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FRAMES = 40
WIDTH, HEIGHT = 96, 64


def moving(number: int, width: int, height: int) -> np.ndarray:
    """Return a picture (H, W, 3) with some detail in it that moves."""
    rows, columns = np.mgrid[:height, :width]
    channels = [columns * 2 + number * 3, rows * 3 + number * 5, rows + columns + number * 7]
    return np.stack([channel % 256 for channel in channels], axis=-1).astype(np.uint8)


def small_video(
    path: Path,
    *,
    count: int = FRAMES,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    width: int = WIDTH,
    height: int = HEIGHT,
    rate: int = 30,
    distances: tuple[int, ...] = (1,),
    start: int = 0,
    movflags: str = "",
) -> Path:
    """Write a video, a key frame every ten, the container by the name's suffix; `distances` are ticks of 1 / rate s."""
    x264 = {"preset": "ultrafast", "g": "10", "bf": "0", "x264-params": "threads=1:lookahead_threads=1"}
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate=rate, options=x264 if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        container.start_encoding()
        pts = start
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(moving(number, width, height), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, rate)
            container.mux(stream.encode(frame))
            pts += distances[number % len(distances)]
        container.mux(stream.encode(None))
    return path
