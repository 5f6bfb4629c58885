"""From files to clips to train on, on one core: ours beside what people write: `python benchmarks/training_clips.py`.

`ClipDataset` beside a plain reader in PyAV (open, seek, decode, `to_ndarray`) and torchcodec's, where that loads, each
with torchvision's transforms: the same videos, the same stretches of time, the same sizes of views, in one thread as a
worker of a DataLoader has it. Processor time counts, which other work on the machine does not lengthen. The results go
to benchmarks/results/training_clips.json. With --small it runs on tiny videos.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import av
import measurement
import numpy as np
import synthetic_videos
import torch
from torch import Tensor
from torchvision.transforms import v2

import videohub
from videohub import registry
from videohub.data.sampling import frame_positions
from videohub.data.transforms import training_pixels

RESULTS = measurement.RESULTS / "training_clips.json"
OURS, PLAIN, TORCHCODEC = "videohub.ClipDataset", "PyAV and torchvision", "torchcodec and torchvision"


def main() -> None:
    """Run and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, default=8, help="how many are generated")
    options.add_argument("--clips", type=int, default=24, help="of each turn")
    options.add_argument("--turns", type=int, default=9)
    options.add_argument("--small", action="store_true")
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    torch.set_num_threads(1)  # as in a DataLoader's worker
    record = registry.record("slowfast_motions" if arguments.small else "slowfast_r50_8x8")
    kind = synthetic_videos.SMALL if arguments.small else synthetic_videos.KINETICS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = synthetic_videos.make_videos(folder, arguments.videos, kind, threads=measurement.cores())
        (folder / "train.csv").write_text("".join(f"{path.name} 0\n" for path in paths))
        readers, missing = readers_of(folder, paths, record)
        check_same(readers, record)
        contenders = {who: partial(read, reader, arguments.clips, len(paths)) for who, reader in readers.items()}
        seconds = measurement.in_turns(contenders, arguments.turns, clock=time.process_time)
    fastest = min((who for who in seconds if who != OURS), key=lambda who: sum(seconds[who]))
    measurement.publish(arguments.out, {
        **measurement.header("av", "torchvision", "torchcodec"),
        "videos": str(kind),
        "network": f"{record.name}, {record.clip.frames} frames at rate {record.clip.sampling_rate}",
        "turns": arguments.turns,
        "clips a second of processor time": {
            who: measurement.summary(measurement.rates(arguments.clips, of)) for who, of in seconds.items()
        },
        "ours / the other": {
            who: measurement.summary(measurement.ratios(of, seconds[OURS]))
            for who, of in seconds.items()
            if who != OURS
        },
        "the faster of the others": fastest,
        "goal": ">= 1 beside the faster",
        "left out": missing,
    })  # fmt: skip


def read(reader: Callable[[int], Tensor], clips: int, videos: int) -> None:
    """Read so many clips, each of another video than the one before, where and as torch's generator says."""
    for number in range(clips):
        torch.manual_seed(number)
        reader(number % videos)


def readers_of(folder: Path, paths: list[Path], record: registry.Record) -> tuple[dict, dict[str, str]]:
    """Return what gives the clip of a video, by whose way, and whose are left out, with the reason."""
    dataset = videohub.ClipDataset(folder, record, split="train", train=True)
    view = usual_view(record)
    readers: dict[str, Callable[[int], Tensor]] = {
        OURS: lambda number: dataset[number][0],
        PLAIN: lambda number: plain_clip(paths[number], record, view),
    }
    try:
        decoders = import_module("torchcodec.decoders")
    except (ImportError, RuntimeError, OSError) as error:  # the latter two where FFmpeg's libraries are missing
        return readers, {TORCHCODEC: str(error).strip().partition("\n")[0] or type(error).__name__}
    readers[TORCHCODEC] = lambda number: torchcodec_clip(decoders.VideoDecoder, paths[number], record, view)
    return readers, {}


def usual_view(record: registry.Record) -> v2.Transform:
    """Return torchvision's transforms to the same sizes, from uint8 frames (T, 3, H, W)."""
    pixels, normal = training_pixels(record), record.protocol.normalise
    assert normal is not None
    sides = list(range(pixels.short_side[0], pixels.short_side[1] + 1))
    return v2.Compose([v2.RandomShortestSize(sides, antialias=True), v2.RandomCrop(pixels.crop),
                       v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True),
                       v2.Normalize(normal.mean, normal.std)])  # fmt: skip


def stretch(record: registry.Record, frames: int, fps: float) -> list[int]:
    """Return which frames a clip takes: the same stretch that ours draws first of all from torch's generator."""
    assert record.protocol.fps is not None
    span = record.clip.frames * record.clip.sampling_rate / record.protocol.fps * fps
    start = float(torch.rand((), dtype=torch.float64)) * max(frames - span, 0)
    return [int(start) + position for position in frame_positions(0, span, record.clip.frames, frames - int(start))]


def plain_clip(path: Path, record: registry.Record, view: v2.Transform) -> Tensor:
    """Return a clip (3, T, H, W) as a plain reader has it: sought by the clip's time, decoded up to its last frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        fps, base = float(stream.average_rate), float(stream.time_base)
        expected = stretch(record, stream.frames, fps)
        container.seek(int(expected[0] / fps / base), stream=stream)
        pictures = {}
        for picture in container.decode(stream):
            number = round(picture.pts * base * fps)
            if number in expected:
                pictures[number] = picture.to_ndarray(format="rgb24")
            if number >= expected[-1]:
                break
    frames = torch.from_numpy(np.stack([pictures[number] for number in expected]))
    return view(frames.permute(0, 3, 1, 2)).transpose(0, 1).contiguous()


def torchcodec_clip(decoder_of: Callable, path: Path, record: registry.Record, view: v2.Transform) -> Tensor:
    """Return a clip (3, T, H, W) as torchcodec reads it: sought by the header's rate, without scanning the file."""
    decoder = decoder_of(str(path), num_ffmpeg_threads=1, seek_mode="approximate")
    expected = stretch(record, decoder.metadata.num_frames, decoder.metadata.average_fps)
    return view(decoder.get_frames_at(expected).data).transpose(0, 1).contiguous()


def check_same(readers: dict[str, Callable[[int], Tensor]], record: registry.Record) -> None:
    """End this program if the ways do not give clips of one shape and nearly one brightness."""
    clips = {}
    for who, reader in readers.items():
        torch.manual_seed(0)
        clips[who] = reader(0)
    for who, clip in clips.items():
        if clip.shape != clips[OURS].shape or abs(float(clip.mean() - clips[OURS].mean())) > 0.5:
            raise SystemExit(f"{record.name}: {who} gives {tuple(clip.shape)}, mean {float(clip.mean()):.2f}; ours "
                             f"{tuple(clips[OURS].shape)}, {float(clips[OURS].mean()):.2f}: no comparison")  # fmt: skip


if __name__ == "__main__":
    main()
