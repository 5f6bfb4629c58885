"""Pictures into an H.264 mp4 file, byte for byte the same for one version of PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from videohub.files import written_whole


def write_mp4(
    path: Path,
    pictures: Iterable[npt.NDArray[np.uint8]],
    *,
    width: int,
    height: int,
    fps: int,
    quality: int = 24,
    keyframe_every: int = 48,
    b_frames: int = 0,
) -> None:
    """Write `pictures` to `path`; the file appears there complete or not at all.

    Args:
        path: The file; its folder exists.
        pictures: At least one, each (height, width, 3) RGB.
        width: In pixels, even.
        height: In pixels, even.
        fps: Frame rate.
        quality: x264's constant rate factor; 0 is lossless, 51 the worst.
        keyframe_every: Frames from one key frame to the next at most.
        b_frames: How many frames in a row may be coded out of display order.
    """
    import av

    options = {
        "preset": "veryfast",
        "crf": str(quality),
        "g": str(keyframe_every),
        "bf": str(b_frames),
        "x264-params": "threads=1:lookahead_threads=1:b-adapt=0",  # more threads, other bytes; b-adapt 0: always bf
    }
    with written_whole(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
