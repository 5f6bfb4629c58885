"""Videos like those of Kinetics, generated: 10 seconds of 340 x 256 at 30 frames a second, about 450 kbit/s of H.264.

A camera that pans and shakes looks at a textured scene with things that move in it, and its pictures are noisy. x264
encodes them with its own defaults, so that a decoder has what it has with real ones: B-frames, several reference
frames, key frames up to 250 apart. `python benchmarks/synthetic_videos.py FOLDER` leaves eight of them in a folder.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]  # (H, W, 3), RGB


@dataclass(frozen=True)
class Kind:
    """What a video is like."""

    width: int = 340
    height: int = 256
    fps: int = 30
    seconds: float = 10
    kbit_s: int = 450

    @property
    def frames(self) -> int:
        """Return how many frames it has."""
        return round(self.fps * self.seconds)


KINETICS = Kind()
SMALL = Kind(width=96, height=72, seconds=2, kbit_s=150)  # for tests


def main() -> None:
    """Make videos in a folder and say how large they came out."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--count", type=int, default=8)
    options.add_argument("--threads", type=int, default=2)
    arguments = options.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for path in make_videos(arguments.folder, arguments.count, threads=arguments.threads):
        print(f"{path}  {path.stat().st_size * 8 / KINETICS.seconds / 1000:.0f} kbit/s")


def make_videos(folder: Path, count: int, kind: Kind = KINETICS, *, threads: int = 1) -> list[Path]:
    """Write `count` different videos to a folder that exists, several at a time, and return them in order."""
    paths = [folder / f"{number:03d}.mp4" for number in range(count)]
    with ThreadPoolExecutor(threads) as pool:  # x264 and numpy leave Python's lock while they work
        list(pool.map(partial(make_video, kind=kind), paths, range(count)))
    return paths


def make_video(path: Path, number: int, kind: Kind = KINETICS) -> None:
    """Write the video with a number; the same number gives the same pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=kind.fps)
        stream.width, stream.height, stream.pix_fmt = kind.width, kind.height, "yuv420p"
        stream.bit_rate = kind.kbit_s * 1000
        stream.codec_context.thread_count = 1  # several videos are encoded at once
        for picture in pictures(number, kind):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def pictures(number: int, kind: Kind = KINETICS) -> Iterator[Picture]:
    """Yield the pictures of the video with a number."""
    random = np.random.default_rng(number)
    room = 64  # pixels to each side that the camera can pan to
    scene = _texture(random, kind.height + 2 * room, kind.width + 2 * room)
    size = kind.height // 4
    things = [_texture(random, size, size) for _ in range(3)]
    phases, speeds = random.uniform(0, 2 * math.pi, 8), random.uniform(0.02, 0.2, 8)  # rounds a second
    for frame in range(kind.frames):
        turn = phases + 2 * math.pi * speeds * frame / kind.fps
        shake = random.normal(0, 0.5, 2)
        top, left = room * (1 + 0.9 * np.sin(turn[:2])) + shake
        seen = _between_pixels(scene, top, left, kind.height, kind.width)
        for thing, down, across in zip(things, turn[2:5], turn[5:8], strict=True):
            y = int((kind.height - size) * (1 + math.sin(down)) / 2)
            x = int((kind.width - size) * (1 + math.sin(across)) / 2)
            seen[y : y + size, x : x + size] = thing
        seen += random.normal(0, 2, seen.shape[:2]).astype(np.float32)[..., None]
        yield seen.clip(0, 255).astype(np.uint8)


def _texture(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float32]:
    """Return a picture (H, W, 3) with large shapes and small ones, the large ones stronger, as in real pictures."""
    total = np.full((height, width, 3), 128, np.float32)
    for cell in (64, 32, 16, 8, 4, 2):
        coarse = random.normal(0, 4 * cell**0.5, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        rows, columns = np.arange(height) / cell, np.arange(width) / cell
        y, x = rows.astype(int), columns.astype(int)
        down, across = (rows - y).astype(np.float32)[:, None, None], (columns - x).astype(np.float32)[None, :, None]
        above = coarse[y][:, x] * (1 - across) + coarse[y][:, x + 1] * across
        below = coarse[y + 1][:, x] * (1 - across) + coarse[y + 1][:, x + 1] * across
        total += above * (1 - down) + below * down
    return total


def _between_pixels(
    scene: npt.NDArray[np.float32], top: float, left: float, height: int, width: int
) -> npt.NDArray[np.float32]:
    """Cut a picture out of a scene at a place between its pixels."""
    room_down, room_across = scene.shape[0] - height - 1, scene.shape[1] - width - 1
    top, left = min(max(top, 0.0), room_down), min(max(left, 0.0), room_across)
    y, x = int(top), int(left)
    down, across = np.float32(top - y), np.float32(left - x)
    part = scene[y : y + height + 1, x : x + width + 1]
    rows = part[:-1] * (1 - down) + part[1:] * down
    return rows[:, :-1] * (1 - across) + rows[:, 1:] * across


if __name__ == "__main__":
    main()
