"""One GPU and its cores, from files to scores and part by part: `python benchmarks/gpu.py`.

It makes its own videos, needs nothing but videohub and its dependencies, and ends within 8 minutes by a budget that it
keeps: a part for which too little is left is skipped and says so. SlowFast 8x8 R50 with random weights, 30 views of
videos of 10 seconds; decoder processes as many as there are cores. The results go to benchmarks/results/gpu.json after
every part, so what is done is kept whatever happens, and a profile of the run to gpu_profile.txt beside it. Where
videohub is not installed: `PYTHONPATH=. python benchmarks/gpu.py`, in its folder.

`--device cpu --small` runs all of it in seconds, for tests.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpu_forward
import gpu_run
import measurement
import synthetic_videos
import torch
from gpu_run import Budget, Part, ended_after, run_parts
from soak import decoders, resident, slopes
from torch import Tensor, nn

import videohub
from videohub import registry
from videohub.data.decoded import DECODERS
from videohub.data.samples import Sample, VideoFile
from videohub.data.spec import TestSpec
from videohub.evaluation.decoding import Failure, decode_all
from videohub.evaluation.scoring import EvalModel, Evaluation, evaluate

RESULTS = measurement.RESULTS / "gpu.json"
_LOOK_EVERY = 20  # videos
_GRACE_S = 20  # after the budget: whatever still hangs says where, and ends


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    model: str
    kind: synthetic_videos.Kind
    videos: int  # different ones; they are used over and over
    run_s: float  # that an evaluation lasts
    way_s: float  # that the network alone is timed in one way
    batch: int  # of the network alone
    workers: int
    at_least: int  # videos of an evaluation, however long they take
    precisions: tuple[str, ...]


def main() -> None:
    """Run everything and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cuda")
    options.add_argument("--budget", type=float, default=440, help="seconds that everything may take")
    options.add_argument("--workers", type=int, default=measurement.cores())
    options.add_argument("--small", action="store_true")
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    budget = Budget(arguments.budget)
    device = torch.device(arguments.device)
    precisions = ("fp16", "bf16") if device.type == "cuda" else ("fp32",)
    if arguments.small:
        scale = Scale("slowfast_motions", synthetic_videos.SMALL, videos=2, run_s=0.2, way_s=0.02, batch=1, workers=1,
                      at_least=4, precisions=precisions)  # fmt: skip
    else:
        scale = Scale("slowfast_r50_8x8", synthetic_videos.KINETICS, videos=8, run_s=20, way_s=2, batch=32,
                      workers=arguments.workers, at_least=4 * arguments.workers, precisions=precisions)  # fmt: skip
    results: dict[str, Any] = {**measurement.header("av", "numpy"), **device_facts(device), "scale": str(scale)}
    with tempfile.TemporaryDirectory() as folder, ended_after(arguments.budget + _GRACE_S):
        paths = synthetic_videos.make_videos(Path(folder), scale.videos, scale.kind, threads=scale.workers)
        bench = Bench(scale, device, paths, arguments.out.with_name("gpu_profile.txt"), budget)
        run_parts(bench.parts(), budget, results, lambda: measurement.write(arguments.out, results))
    measurement.publish(arguments.out, results)


def device_facts(device: torch.device) -> dict[str, object]:
    """Return what the device is and what drives it."""
    if device.type != "cuda":
        return {"device": gpu_run.device_name(device)}
    properties = torch.cuda.get_device_properties(device)
    return {
        "device": properties.name,
        "GPU memory, GiB": round(properties.total_memory / 2**30, 1),
        "multiprocessors": properties.multi_processor_count,
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


class Bench:
    """The parts, and what they share: videos, a test, and the network."""

    def __init__(self, scale: Scale, device: torch.device, paths: Sequence[Path], table: Path, budget: Budget) -> None:
        record = registry.record(scale.model)
        self._scale, self._device, self._table, self._budget = scale, device, table, budget
        self._spec = TestSpec(record.protocol, record.clip)
        self._views = record.protocol.num_views
        self._given = gpu_forward.Input(record.clip.frames, record.protocol.crop_size or 256, scale.batch)
        self._samples = [Sample(path.name, VideoFile(path), truth=()) for path in paths]

    def parts(self) -> Iterator[Part]:
        """Yield the parts, those first that matter most."""
        scale, run_s = self._scale, self._scale.run_s
        for precision, decoder in itertools.product(scale.precisions, DECODERS):
            name = f"end to end, {precision}, {decoder}"
            yield Part(name, 1.5 * run_s, lambda p=precision, d=decoder: self.end_to_end(p, d))
        yield Part("profile", 1.5 * run_s, self.profile)
        for decoder in DECODERS:
            yield Part(f"data path alone, {decoder}", run_s, lambda d=decoder: self.data_path(d))
            yield Part(f"decoders alone, {decoder}", run_s, lambda d=decoder: self.decoding(d))
        yield Part("forward alone", 5 * scale.way_s, self.forward)
        yield Part("forward alone, compiled", 45, self.compiled)

    def end_to_end(self, precision: str, decoder: str) -> dict[str, Any]:
        """Evaluate videos for some time, and watch memory and GPU meanwhile."""
        self._fresh()
        model = videohub.optimize(gpu_forward.network(self._scale.model)).to(self._device)
        skipped = 2 * self._scale.workers
        moments: list[float] = []
        looks: dict[str, dict[int, int]] = {}
        began = time.monotonic()
        percentages: list[float] = []
        with ExitStack() as stack:
            run = stack.enter_context(closing(self._evaluation(model, precision, decoder)))
            for scored in run:
                if scored.failure is not None:
                    raise RuntimeError(f"{scored.sample.name}: {scored.failure}")
                moments.append(time.monotonic())
                if len(moments) == skipped:
                    percentages = stack.enter_context(gpu_run.nvidia_smi())
                if len(moments) % min(_LOOK_EVERY, self._scale.at_least) == 0:
                    for name, process in {"parent": os.getpid(), **decoders()}.items():
                        looks.setdefault(name, {})[len(moments)] = resident(process)
                if self._enough(began, len(moments)):
                    break
            sizes = {" x ".join(map(str, shape)): size for shape, size in run.batches[0].sizes.items()}
        rate = gpu_run.steady_rate(moments, skipped)
        return {
            "videos a second": _digits(rate),
            "views a second": _digits(rate and rate * self._views),
            "goal": ">= 40 videos a second, stretch 60",
            "videos": len(moments),
            "first scores after, s": round(moments[0] - began, 2),
            "GPU busy, %, by nvidia-smi": gpu_run.mean(percentages),
            "batch by the shape of a view": sizes,
            "GPU memory at its peak, GiB": self._peak(),
            "host KB per 1,000 videos after the first quarter": slopes(looks, after=len(moments) // 4),
            "share of peak": self._share(rate),
        }

    def profile(self) -> dict[str, Any]:
        """Look at a run in its steady part: what the device does, and for how much of the time."""
        self._fresh()
        model = videohub.optimize(gpu_forward.network(self._scale.model)).to(self._device)
        with closing(self._evaluation(model, self._scale.precisions[0], DECODERS[0])) as run:
            for _ in itertools.islice(run, 2 * self._scale.workers):
                pass
            result = gpu_run.profiled(run, self._device, self._table, window_s=self._scale.run_s / 10)
        return {**result, "goal": "GPU busy >= 0.9"}

    def data_path(self, decoder: str) -> dict[str, Any]:
        """Do all that an evaluation does, with a network that does nothing: views are cut out into batches."""
        self._fresh()
        model = Nothing().to(self._device)
        moments, began = [], time.monotonic()
        with closing(self._evaluation(model, "fp32", decoder)) as run:
            for _ in run:
                moments.append(time.monotonic())
                if self._enough(began, len(moments)):
                    break
        rate = gpu_run.steady_rate(moments, 2 * self._scale.workers)
        return {"videos a second": _digits(rate), "views a second": _digits(rate and rate * self._views)}

    def decoding(self, decoder: str) -> dict[str, Any]:
        """Decode and hand over, and let the frames go."""
        sources = ((number, sample.source) for number, sample in self._endless())
        moments, began = [], time.monotonic()
        with closing(decode_all(sources, [self._spec], workers=self._scale.workers, decoder=decoder)) as run:
            for _, (outcome,) in run:
                if isinstance(outcome, Failure):
                    raise RuntimeError(outcome.reason)
                moments.append(time.monotonic())
                if self._enough(began, len(moments)):
                    break
        rate = gpu_run.steady_rate(moments, 2 * self._scale.workers)
        return {"videos a second": _digits(rate), "decoder processes": self._scale.workers}

    def forward(self) -> dict[str, Any]:
        """Time the network alone in every way."""
        self._fresh()
        scale = self._scale
        return gpu_forward.alone(scale.model, self._given, self._device, seconds=scale.way_s, left=self._budget.left)

    def compiled(self) -> dict[str, Any]:
        """Time what torch.compile makes of it, as far as the time goes."""
        self._fresh()
        scale, limit_s = self._scale, self._budget.left() - 5
        return gpu_forward.compiled(
            scale.model, self._given, self._device, scale.precisions[0], seconds=scale.way_s, limit_s=limit_s
        )

    def _evaluation(self, model: nn.Module, precision: str, decoder: str) -> Evaluation:
        evaluated = EvalModel(model, self._spec, precision)
        return evaluate([evaluated], self._endless(), workers=self._scale.workers, decoder=decoder)

    def _endless(self) -> Iterator[tuple[int, Sample]]:
        return enumerate(itertools.cycle(self._samples))

    def _enough(self, began: float, videos: int) -> bool:
        """Say whether a run has lasted long enough, or the budget has no more."""
        lasted = time.monotonic() - began
        return (lasted > self._scale.run_s and videos >= self._scale.at_least) or self._budget.left() < 5

    def _fresh(self) -> None:
        """Give back what a part before has left."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)

    def _peak(self) -> dict[str, float] | None:
        if self._device.type != "cuda":
            return None
        return {
            "used": round(torch.cuda.max_memory_allocated(self._device) / 2**30, 1),
            "reserved": round(torch.cuda.max_memory_reserved(self._device) / 2**30, 1),
        }

    def _share(self, rate: float | None) -> float | None:
        peak = gpu_forward.peak_of(self._device)
        if peak is None or rate is None:
            return None
        gflop = gpu_forward.view_gflop(gpu_forward.network(self._scale.model), self._given)
        return round(rate * self._views * gflop / 1000 / peak, 3)


class Nothing(nn.Module):
    """A network that looks at nothing: two classes, equally likely."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))  # says on which device it is

    def forward(self, clip: Tensor) -> Tensor:
        """Return zeros (B, 2)."""
        return self.place.expand(len(clip), 2)


def _driver() -> str | None:
    version = Path("/proc/driver/nvidia/version")
    return version.read_text().splitlines()[0] if version.is_file() else None


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


if __name__ == "__main__":
    main()
