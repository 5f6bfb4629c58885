"""Videos taken apart into image files, as the lists of Something-Something, Charades and AVA name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from tests.data.sample_videos import numbered
from videohub.data.decoded_images import converted
from videohub.data.samples import FrameList


def take_apart(video: Path, folder: Path, indices: Iterable[int]) -> FrameList:
    """Write some frames of a video, losslessly, and return the list of all its frames in order of time."""
    folder.mkdir(parents=True, exist_ok=True)
    reformatter = VideoReformatter()
    with av.open(str(video)) as container:
        pictures = sorted(container.decode(video=0), key=lambda frame: frame.pts)
        for index in set(indices):
            Image.fromarray(converted(pictures[index], reformatter)).save(folder / name(index), compress_level=0)
    return FrameList(folder, "\n".join(map(name, range(len(pictures)))))


def write_frames(folder: Path, count: int, picture: Callable[[int], np.ndarray] = numbered) -> FrameList:
    """Write `count` pictures and return their list."""
    for index in range(count):
        Image.fromarray(picture(index)).save(folder / name(index))
    return FrameList(folder, "\n".join(map(name, range(count))))


def name(index: int) -> str:
    """Return what a frame's file is called: counted from 1, as in the published lists."""
    return f"{index + 1:06d}.png"
