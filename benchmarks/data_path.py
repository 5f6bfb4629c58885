"""From files to views on a CPU: what the data path costs beside decoding alone: `python benchmarks/data_path.py`.

Three questions, each answered in one run, in turns. What processor time do our two decoders take, their messages to
the process that computes included, beside PyAV that decodes the same frames and does nothing with them? How many views
a second come out of it, beside one decode for each view, as the original has it? And do `fast` and `exact` give the
same pixels and the same decisions, on generated videos and, with --media FOLDER, on real ones?

The results go to benchmarks/results/data_path.json. --small runs all of it on tiny videos, for tests.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import lru_cache, partial
from pathlib import Path

import av
import measurement
import original_way
import synthetic_videos
import torch
from soak import decoders

import videohub
from videohub import registry
from videohub.data.decoded import DECODERS, Decoded, decode, decode_shared
from videohub.data.frame_formats import Decoder
from videohub.data.samples import Source, VideoFile
from videohub.data.spec import TestSpec
from videohub.data.synthetic import motions
from videohub.data.views import views_of
from videohub.evaluation.decoding import Failure, Outcomes, decoding_pool
from videohub.evaluation.kept_memory import kept_memory
from videohub.worker_pool import WorkerPool
from videohub.worker_pool.shared_memory import SharedMemoryPool

RESULTS = measurement.RESULTS / "data_path.json"
_SAME = 1e-5  # of a normalised pixel: the same arithmetic, rounded in another order


def main() -> None:
    """Run everything and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, default=4, help="how many are generated")
    options.add_argument("--turns", type=int, default=9)
    options.add_argument("--motions", type=int, default=40, help="videos of the demo's data set to compare decoders on")
    options.add_argument("--media", type=Path, default=os.environ.get("VIDEOHUB_TEST_MEDIA"), help="real videos")
    options.add_argument("--small", action="store_true")
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    torch.set_num_threads(1)  # processor time is asked for, and threads that wait for each other take some
    kind = synthetic_videos.SMALL if arguments.small else synthetic_videos.KINETICS
    record = registry.record("slowfast_motions" if arguments.small else "slowfast_r50_8x8")
    spec = TestSpec(record.protocol, record.clip)
    # freed memory is kept, as an evaluation has it
    with tempfile.TemporaryDirectory() as folder, kept_memory(torch.device("cpu")):
        paths = synthetic_videos.make_videos(Path(folder), arguments.videos, kind, threads=measurement.cores())
        results = {
            **measurement.header("av", "numpy"),
            "turns": arguments.turns,
            "videos": {"kind": str(kind), "kbit/s": [_kbit_s(path, kind) for path in paths]},
            "protocol": f"{record.protocol.name}, {record.clip.frames} frames at rate {record.clip.sampling_rate}",
            "processor time": processor_time(paths, spec, arguments.turns),
            "views": views_per_second(paths[0], spec, arguments.turns),
            "exact against fast": {
                "generated": compare_decoders(paths, spec),
                "motions": compare_decoders(_motions(Path(folder), arguments.motions), spec),
                "real": compare_decoders(_videos_in(arguments.media), spec) if arguments.media else "no --media",
                "goal": "the same first class on at least 99.5 %",
            },
        }
    measurement.publish(arguments.out, results)


# --- processor time --------------------------------------------------------------------------------------------------


def processor_time(paths: Sequence[Path], spec: TestSpec, turns: int) -> dict[str, object]:
    """Return the processor seconds of a video, decoding alone and with our data path, and the ratio of the two."""
    decoded = {name: [_decode(path, spec, name) for path in paths] for name in DECODERS}
    needed = [int(each.decode_positions.max()) + 1 for each in decoded["exact"]]
    alone = "decoding alone, the frames that the test needs"
    contenders: dict[str, Callable[[], object]] = {
        alone: lambda: [decode_alone(path, frames) for path, frames in zip(paths, needed, strict=True)],
        "decoding alone, all frames": lambda: [decode_alone(path) for path in paths],
    }
    for name, of_all in decoded.items():
        contenders[f"colours, normalising and resizing on this CPU, {name}"] = partial(_prepare_all, of_all, spec)
    with ExitStack() as stack:
        for name in DECODERS:
            pool = stack.enter_context(decoding_pool([spec], workers=1, decoder=name))
            contenders[_ours(name)] = partial(through_a_process, pool, paths)
        seconds = measurement.in_turns(contenders, turns, clock=processor_seconds)
    beside = {name: measurement.ratios(seconds[_ours(name)], seconds[alone]) for name in DECODERS}
    return {
        "seconds a video": {
            name: measurement.summary([each / len(paths) for each in of]) for name, of in seconds.items()
        },
        "data path / decoding alone": {name: measurement.summary(each) for name, each in beside.items()},
        "goal": "<= 1.35 for fast",
        "bytes a video": {name: statistics.median(each.frames.nbytes for each in of) for name, of in decoded.items()},
    }


def decode_alone(path: Path, frames: int | None = None) -> int:
    """Decode a file's first frames, or all, in one thread as our decoders do; convert nothing, return how many."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for packet in container.demux(stream):
            for _ in packet.decode():
                count += 1
                if count == frames:
                    return count
    return count


def through_a_process(pool: WorkerPool[Source, Outcomes], paths: Sequence[Path]) -> None:
    """Decode videos in the pool's process, and copy the frames of each into one tensor, as they go to a device."""
    for _, (outcome,) in pool.map((path, VideoFile(path)) for path in paths):
        if isinstance(outcome, Failure):
            raise SystemExit(outcome.reason)
        frames = torch.from_numpy(outcome.frames)
        _on_the_device(frames.nbytes)[: frames.nbytes].copy_(frames.view(torch.uint8).flatten())


def processor_seconds() -> float:
    """Return the processor time that this process and its worker processes have had so far, in seconds."""
    return time.process_time() + sum(map(_had, decoders().values()))


def _had(process: int) -> float:
    """Return the processor time of a running process, in seconds; the system counts in hundredths."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@lru_cache(maxsize=16)
def _on_the_device(size: int) -> torch.Tensor:
    """Return memory that is there already, as a device's allocator has it."""
    return torch.zeros(size, dtype=torch.uint8)


def _ours(decoder: str) -> str:
    return f"{decoder}: decoding in a process of its own, the message, and a copy to the device"


def _prepare_all(decoded: Sequence[Decoded], spec: TestSpec) -> None:
    for each in decoded:
        views_of(each, spec.protocol)


def _decode(path: Path, spec: TestSpec, decoder: Decoder) -> Decoded:
    return decode(VideoFile(path), spec.protocol, spec.clip, decoder=decoder)


# --- views -----------------------------------------------------------------------------------------------------------


def views_per_second(path: Path, spec: TestSpec, turns: int) -> dict[str, object]:
    """Return how many views a second of one video can be had from either decoder, and with one decode for each view.

    Everything in one thread. Theirs has a process of its own, as any program has it, and then this one, where freed
    memory stays as in an evaluation. Raises: SystemExit if the two ways do not give the same views.
    """
    count = spec.protocol.num_views
    memory = SharedMemoryPool()  # as a worker process has one

    def all_of(decoder: Decoder) -> None:
        (decoded,) = decode_shared(VideoFile(path), [spec], decoder=decoder, room=memory.allocate)
        views = views_of(decoded, spec.protocol)
        for number in range(len(views)):
            views.write(number, torch.empty((1, *views.shape[1:]), memory_format=torch.channels_last_3d)[0])

    difference = _check_same_views(path, spec)
    theirs, kept = "one decode for each view", "one decode for each view, in kept memory"
    alone = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, alone, initializer=torch.set_num_threads, initargs=(1,)) as process:
        contenders: dict[str, Callable[[], object]] = {
            **{name: partial(all_of, name) for name in DECODERS},
            theirs: lambda: process.submit(_one_by_one, path, spec).result(),
            kept: partial(_one_by_one, path, spec),
        }
        seconds = measurement.in_turns(contenders, turns)
    return {
        "views": count,
        "views a second": {name: measurement.summary(measurement.rates(count, each)) for name, each in seconds.items()},
        **{
            f"ours / {other}": {
                name: measurement.summary(measurement.ratios(seconds[other], seconds[name])) for name in DECODERS
            }
            for other in (theirs, kept)
        },
        "goal": ">= 15",
        "largest difference of a normalised pixel": difference,
    }


def _one_by_one(path: Path, spec: TestSpec) -> None:
    for number in range(spec.protocol.num_views):
        original_way.read_view(path, spec.protocol, spec.clip, number)


def _check_same_views(path: Path, spec: TestSpec) -> float:
    """Return by how much a pixel of ours differs from the original's way at most; end this program if it matters."""
    ours = views_of(_decode(path, spec, DECODERS[0]), spec.protocol)
    largest = 0.0
    for number in range(len(ours)):
        theirs = original_way.read_view(path, spec.protocol, spec.clip, number)
        largest = max(largest, float((ours[number] - theirs).abs().max()))
    if largest > _SAME:
        raise SystemExit(f"{path}: views differ by {largest:.2g} from those that are decoded one by one: no comparison")
    return largest


# --- exact against fast ----------------------------------------------------------------------------------------------


def compare_decoders(paths: Sequence[Path], spec: TestSpec) -> dict[str, object]:
    """Return how much `exact` and `fast` differ: in levels of a pixel under a protocol, in what the demo network says.

    The demo network is trained, so that its decisions are such; it looks at the videos under its own protocol.
    """
    record = registry.record("slowfast_motions")
    model, ours = videohub.load(record), TestSpec(record.protocol, record.clip)
    pixels, differences, same_views, same_videos = [0.0], [0.0], [], []
    in_planes = 0
    for path in paths:
        decoded = [_decode(path, spec, name) for name in DECODERS]
        in_planes += decoded[0].planar is not None
        one, other = (views_of(each, spec.protocol).frames for each in decoded)
        levels = (one - other).abs_() * torch.tensor(spec.protocol.normalise.std).view(3, 1, 1) * 255
        pixels.append(float(levels.max()))
        with torch.inference_mode():
            scores = [
                model(views_of(_decode(path, ours, name), ours.protocol).stack()).softmax(dim=1) for name in DECODERS
            ]
        differences.append(float((scores[0] - scores[1]).abs().max()))
        same_views += (scores[0].argmax(dim=1) == scores[1].argmax(dim=1)).tolist()
        same_videos.append(bool(scores[0].sum(dim=0).argmax() == scores[1].sum(dim=0).argmax()))
    return {
        "videos": len(paths),
        "of which fast keeps in planes": in_planes,
        "largest difference of a pixel, in levels of 255": max(pixels),
        "largest difference of a probability": max(differences),
        "share of views with the same first class": statistics.fmean(same_views) if same_views else None,
        "share of videos with the same first class": statistics.fmean(same_videos) if same_videos else None,
    }


def _motions(folder: Path, count: int) -> list[Path]:
    """Make so many videos of the demo's data set."""
    motions.generate(folder, split="test", clips=count)
    return sorted((folder / "videos").iterdir())


def _videos_in(folder: Path) -> list[Path]:
    """Return the videos of a folder."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".mp4", ".avi", ".mkv", ".webm"))


def _kbit_s(path: Path, kind: synthetic_videos.Kind) -> int:
    return round(path.stat().st_size * 8 / kind.seconds / 1000)


if __name__ == "__main__":
    main()
