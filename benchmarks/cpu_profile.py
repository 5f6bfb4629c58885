"""Where the time goes on a CPU, before and after: `python benchmarks/cpu_profile.py`.

One view of SlowFast 4x16 R50 through the network as it is written and through its inference form, by torch's profiler;
one generated video through the data path, by Python's. The tables go to benchmarks/results/cpu_profile.txt.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import forward
import measurement
import synthetic_videos
import torch

import videohub
from videohub.data.decoded import Decoded, decode
from videohub.data.samples import VideoFile
from videohub.data.views import Views, views_of
from videohub.registry.schema import Record

RESULTS = measurement.RESULTS / "cpu_profile.txt"
ROWS = 9


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile, and write the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--name", default="slowfast_r50_4x16")
    options.add_argument("--small", action="store_true")
    options.add_argument("--out", type=Path, default=RESULTS)
    chosen = options.parse_args(arguments)
    record = videohub.record(chosen.name)
    tables = [*of_the_network(record), *of_the_data_path(record, small=chosen.small)]
    machine = ", ".join(f"{name} {value}" for name, value in measurement.machine("av", "numpy").items())
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text("\n\n".join([f"{record.name} on {machine}", *tables]) + "\n")
    print(chosen.out.read_text(), end="")


def of_the_network(record: Record) -> list[str]:
    """Return what one view costs, operation by operation, before and after."""
    torch.manual_seed(0)
    side = record.protocol.crop_size or record.protocol.short_side or 256
    clip = torch.randn(1, 3, record.clip.frames, side, side)
    plain = forward.network(record.name, clip)
    optimized = videohub.optimize(plain)
    lying = clip.contiguous(memory_format=torch.channels_last_3d)
    return [
        _operations("The network as it is written, one view", lambda: plain(clip)),
        _operations("Its inference form, one view", lambda: optimized(lying)),
    ]


def of_the_data_path(record: Record, *, small: bool) -> list[str]:
    """Return what a video costs: decoding it, preparing its frames, cutting out its views."""
    kind = synthetic_videos.SMALL if small else synthetic_videos.KINETICS
    with tempfile.TemporaryDirectory() as folder:
        (path,) = synthetic_videos.make_videos(Path(folder), 1, kind, threads=1)
        decoded = _decode(path, record)
        views = views_of(decoded, record.protocol)
        out = torch.empty((1, *views.shape[1:]), memory_format=torch.channels_last_3d)[0]
        profiler = cProfile.Profile()
        profiler.runcall(_decode, path, record)
        return [
            f"Decoding a video, {len(decoded.frames)} frames, by function\n{_functions(profiler)}",
            _operations("Preparing its frames", lambda: views_of(decoded, record.protocol)),
            _operations("Cutting out its views", lambda: _cut(views, out)),
        ]


def _decode(path: Path, record: Record) -> Decoded:
    return decode(VideoFile(path), record.protocol, record.clip)


def _cut(views: Views, out: torch.Tensor) -> None:
    for number in range(len(views)):
        views.write(number, out)


def _operations(title: str, run: Callable[[], object]) -> str:
    """Return the operations that take the most processor time, the second time that something runs."""
    with torch.inference_mode():
        run()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            run()
    averages = sorted(seen.key_averages(), key=lambda each: each.self_cpu_time_total, reverse=True)
    total = sum(each.self_cpu_time_total for each in averages)
    lines = [f"{title}: {total / 1e3:.1f} ms"]
    for each in averages[:ROWS]:
        ours = each.self_cpu_time_total
        lines.append(f"{ours / total:6.1%} {ours / 1e3:9.1f} ms {each.count:6d} x  {each.key}")
    return "\n".join(lines)


def _functions(profiler: cProfile.Profile) -> str:
    """Return the functions that take the most time themselves, without the folders that they lie in."""
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(ROWS)
    return "\n".join(line for line in text.getvalue().splitlines() if line.strip())


if __name__ == "__main__":
    main()
