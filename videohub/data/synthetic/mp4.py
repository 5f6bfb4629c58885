"""Pictures into an H.264 mp4 file whose pixels are the same everywhere: on any processor, by any FFmpeg.

Everything that decides a pixel is a whole number. swscale's rounding differs between processors and versions, so the
pictures become YUV here; x264's rate control and look-ahead compare sums of floating point numbers, whose order depends
on the processor (with AVX-512 even on where the memory lies), so each frame has the same quantiser instead. Decoding
H.264 is exact by its standard. The file around the pixels names its writer, so its bytes are one version's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from videohub.files import atomic_write

_ALIKE = "cpu-independent=1:weightp=0:scenecut=0:b-adapt=0:threads=1:lookahead_threads=1"


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
        quality: x264's quantiser; 0 is lossless, 51 the worst.
        keyframe_every: Frames from one key frame to the next.
        b_frames: How many frames in a row are coded out of display order.
    """
    options = {
        "preset": "veryfast",
        "qp": str(quality),
        "g": str(keyframe_every),
        "bf": str(b_frames),
        "x264-params": _ALIKE,
    }
    with atomic_write(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(to_yuv420(picture), format="yuv420p")))
        container.mux(stream.encode(None))


def to_yuv420(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return an RGB picture (H, W, 3), both even, as three planes (H * 3 / 2, W), each chroma shared by four pixels.

    BT.601 with luma 16..235 and chroma 16..240, which decoders take where a file names none; factors in 1/256.
    """
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.int32)
    red, green, blue = planes
    luma = (66 * red + 129 * green + 25 * blue + 128 >> 8) + 16
    rows = planes[:, ::2] + planes[:, 1::2]
    red, green, blue = rows[..., ::2] + rows[..., 1::2]  # of four pixels, hence 1/1024
    u = (-38 * red - 74 * green + 112 * blue + 512 >> 10) + 128
    v = (112 * red - 94 * green - 18 * blue + 512 >> 10) + 128
    return np.concatenate([plane.ravel() for plane in (luma, u, v)]).astype(np.uint8).reshape(-1, picture.shape[1])
