"""Whether memory stays flat while thousands of videos go through worker processes: `python benchmarks/soak.py`.

Small videos of varying size and length are made, two in a hundred of them cut short, and evaluated several times with a
tiny network. The resident memory of this process and of each worker process is noted every 100 videos; what counts is
its slope, by least squares, after the first quarter. The same videos then give 5,000 clips to train on, through a
DataLoader whose worker processes outlive its epochs. The results go to benchmarks/results/soak.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import msgspec
import numpy as np
import torch
from torch.utils.data import DataLoader

import videohub
from videohub import models, registry
from videohub import protocols as steps
from videohub.architectures.parts import AverageAll
from videohub.architectures.resnet import ResNet
from videohub.data.samples import Sample, VideoFile
from videohub.data.spec import TestSpec
from videohub.data.synthetic.motions import write_mp4
from videohub.evaluation.scoring import EvalModel, evaluate
from videohub.registry.schema import Clip

RESULTS = Path(__file__).resolve().parent / "results" / "soak.json"
CLIP = Clip(frames=4, sampling_rate=4)
PROTOCOL = msgspec.structs.replace(
    registry.record("slowfast_motions").protocol,
    pixels=(
        steps.Divide(by=255.0),
        steps.Normalise(mean=(0.45,) * 3, std=(0.225,) * 3),
        steps.ResizeShortSide(pixels=48, long_side="floor", arithmetic="torch_float"),
        steps.Crop(size=48, arithmetic="pyslowfast"),
    ),
).with_views(clips=2)


def main() -> None:
    """Run, print the memory as it goes, and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, default=800, help="how many are made")
    options.add_argument("--rounds", type=int, default=10, help="how often each of them is evaluated")
    options.add_argument("--clips", type=int, default=5000, help="to train on, drawn from them")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        samples = make_videos(Path(folder), arguments.videos)
        made = time.monotonic() - began
        looks, failed = soak(samples * arguments.rounds, workers=arguments.workers)
        scored = time.monotonic() - began
        of_clips, left_out = soak_clips(Path(folder), samples, arguments.clips, workers=arguments.workers)
    results = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "videos": {"made": len(samples), "evaluated": len(samples) * arguments.rounds},
        "failed": failed,
        "workers": arguments.workers,
        "seconds": {
            "making": round(made),
            "soaking": round(scored - made),
            "clips": round(time.monotonic() - began - scored),
        },
        "KB per 1,000 videos after the first quarter": slopes(looks, after=len(samples) * arguments.rounds // 4),
        "resident KB by videos done": looks,
        "clips to train on": {
            "read": arguments.clips,
            "broken videos left out": left_out,
            "KB per 1,000 clips after the first quarter": slopes(of_clips, after=arguments.clips // 4),
            "resident KB by clips read": of_clips,
        },
    }
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    messages = {name: value for name, value in results.items() if "resident" not in name}
    messages["clips to train on"] = {
        name: value for name, value in messages["clips to train on"].items() if "res" not in name
    }
    print(json.dumps(messages, indent=2))


def make_videos(folder: Path, count: int) -> list[Sample]:
    """Write videos that differ in size and length, two in a hundred of them without their end."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (64, 160, 160, 3), np.uint8)
    samples = []
    for number in range(count):
        width, height = (int(side) * 2 for side in random.integers(24, 64, 2))
        pictures = noise[: int(random.integers(12, 30)), :height, :width]
        path = folder / f"{number}.mp4"
        write_mp4(path, pictures, width=width, height=height, fps=30, quality=40)
        if number % 50 == 25:
            path.write_bytes(path.read_bytes()[:-500])
        samples.append(Sample(path.name, VideoFile(path), (0,)))
    return samples


def soak(samples: Sequence[Sample], *, workers: int, every: int = 100) -> tuple[dict[str, dict[int, int]], int]:
    """Evaluate samples; return the resident KB of every process, by the number of videos done, and how many failed."""
    arch = ResNet(variant="slow", depth=(1, 1, 1, 1), width=8, num_classes=4, head=AverageAll())
    model = models.build(arch, frames=CLIP.frames)
    torch.set_num_threads(1)
    looks: dict[str, dict[int, int]] = {}
    failed = 0
    scored = evaluate(
        [EvalModel(videohub.optimize(model), TestSpec(PROTOCOL, CLIP))], enumerate(samples), workers=workers
    )
    for done, each in enumerate(scored, start=1):
        failed += each.failure is not None
        if done % every == 0:
            for name, process in {"parent": os.getpid(), **decoders()}.items():
                looks.setdefault(name, {})[done] = resident(process)
            print(done, {name: of[done] for name, of in looks.items() if done in of}, flush=True)
    return looks, failed


def soak_clips(
    folder: Path, samples: Sequence[Sample], count: int, *, workers: int, every: int = 100
) -> tuple[dict[str, dict[int, int]], int]:
    """Read clips to train on, epoch after epoch.

    Returns: the resident KB of every process, by the number of clips read, and how many videos were left out.
    """
    (folder / "train.csv").write_text("".join(f"{sample.name} 0\n" for sample in samples))
    record = msgspec.structs.replace(registry.record("slowfast_motions"), protocol=PROTOCOL, clip=CLIP)
    dataset = videohub.ClipDataset(folder, record, split="train", train=True, skip_broken=True)
    loader = DataLoader(dataset, batch_size=10, num_workers=workers, shuffle=True, persistent_workers=True)
    others = set(children("worker", b"").values())  # of this process, that do not read
    looks: dict[str, dict[int, int]] = {}
    done = 0
    while done < count:
        dataset.set_epoch(done // len(samples))
        for clips, _ in loader:
            if done // every < (done := done + len(clips)) // every:
                for name, process in {"parent": os.getpid(), **children("worker", b"")}.items():
                    if process not in others:
                        looks.setdefault(name, {})[done] = resident(process)
    return looks, len(dataset.broken)


def slopes(looks: dict[str, dict[int, int]], *, after: int) -> dict[str, float]:
    """Return the slope of each process's memory over the videos done, in KB per 1,000 videos, by least squares."""
    result = {}
    for name, of in looks.items():
        done = np.array([number for number in of if number > after])
        if len(done) > 2:
            result[name] = round(float(np.polyfit(done / 1000, [of[number] for number in done], 1)[0]), 1)
    return result


def resident(process: int) -> int:
    """Return the resident memory of a process, in KB."""
    pages = int(Path(f"/proc/{process}/statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 1024


def decoders() -> dict[str, int]:
    """Return the worker processes of this one that decode for an evaluation, by a name for each."""
    return children("decoder", b"videohub.worker_pool.worker")


def children(called: str, command: bytes) -> dict[str, int]:
    """Return the processes that this one has started and whose command line holds some text, by a name for each."""
    result = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, line = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if int(status.rpartition(")")[2].split()[1]) == os.getpid() and command in line:
            result[f"{called} {folder.name}"] = int(folder.name)
    return result


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "av": av.__version__,
        "videohub": videohub.__version__,
    }


if __name__ == "__main__":
    main()
