"""A run on a GPU: the budget of time that its parts keep, and what happens while one is under way.

What fails or hangs costs no other part its figures. Watched are when videos are done, what memory it takes, and how
busy the GPU is.
"""

from __future__ import annotations

import faulthandler
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measurement
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

TOP = 15  # operations in a profile's table


class Budget:
    """Seconds that everything together may take."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._end = clock, clock() + seconds

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._end - self._clock()


@dataclass(frozen=True)
class Part:
    """A part of a benchmark: what is only begun if so many seconds are left."""

    name: str
    needs_s: float
    run: Callable[[], Mapping[str, Any]]


def run_parts(
    parts: Iterable[Part], budget: Budget, results: dict[str, Any], keep: Callable[[], None] = lambda: None
) -> None:
    """Run parts in turn into `results`, and `keep` these at first and after each part.

    A part without time, or that fails, says so there.
    """
    keep()
    for part in parts:
        left = budget.left()
        if left < part.needs_s:
            results[part.name] = {"skipped": f"{left:.0f} s of the budget were left, and it needs {part.needs_s:.0f}"}
            keep()
            continue
        print(f"{part.name} ({left:.0f} s are left)", flush=True)
        try:
            result = dict(part.run())
        except Exception as error:  # whatever one part meets, the others shall have their figures
            result = {"failed": f"{type(error).__name__}: {error}"}
        results[part.name] = {**result, "seconds taken": round(left - budget.left(), 1)}
        keep()


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End this process if it is still here after so long: a GPU or its driver may hang, and no budget ends that."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def steady_rate(moments: Sequence[float], skipped: int) -> float | None:
    """Return how many a second came to their end, by the moments of that; the first `skipped` are the start.

    The interval begins with the last of the skipped ones. None where nothing is left to be timed.
    """
    first = max(0, min(skipped, len(moments) // 2) - 1)
    lasted = moments[-1] - moments[first] if len(moments) > first + 1 else 0.0
    return (len(moments) - 1 - first) / lasted if lasted > 0 else None


def busy_share(intervals: Iterable[tuple[float, float]], begin: float, end: float) -> float:
    """Return the share of the time from `begin` to `end` in which at least one interval is open."""
    busy, until = 0.0, begin
    for start, stop in sorted(intervals):
        start, stop = max(start, until), min(stop, end)
        if stop > start:
            busy += stop - start
            until = stop
    return busy / (end - begin)


@contextmanager
def nvidia_smi() -> Iterator[list[float]]:
    """Ask the driver five times a second how busy the GPU is; the list has the percentages once the block is left."""
    percentages: list[float] = []
    if shutil.which("nvidia-smi") is None:
        yield percentages
        return
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0", "-lms", "200"]
    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield percentages
        finally:
            process.terminate()
            text = last_words(process)
    percentages += [float(line) for line in text.split() if line.replace(".", "", 1).isdigit()]


def last_words(process: subprocess.Popen[str], *, timeout_s: float = 5) -> str:
    """Return what a process that is to end has said; one that does not end is killed."""
    try:
        return process.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def profiled(run: Iterator[object], device: torch.device, table: Path, *, window_s: float) -> dict[str, Any]:
    """Go on with a run that is under way, look twice for so long at what its device does, and write tables of it.

    First at kernels alone, which costs the run little: they say how busy a GPU is. Then at operations too.
    Returns: the share of the time in which a kernel ran (copies do not count; None on a CPU), and the largest ones.
    """
    cuda = device.type == "cuda"
    videos, kernels = _window(run, device, [ProfilerActivity.CUDA] if cuda else [], window_s)
    _, both = _window(run, device, [*([ProfilerActivity.CUDA] if cuda else []), ProfilerActivity.CPU], window_s / 2)
    order = "self_device_time_total" if cuda else "self_cpu_time_total"
    averages = both.key_averages()
    # an operation on the CPU also has the time of the kernels that it started, which stand for themselves
    shown = [each for each in averages if not cuda or _is_kernel(each)]
    tables = [averages.table(sort_by=order, row_limit=TOP, max_name_column_width=90)]
    if kernels is not None:
        tables.insert(0, kernels.key_averages().table(sort_by=order, row_limit=TOP, max_name_column_width=90))
    heading = f"{videos} videos in {window_s:g} s, torch {torch.__version__}, {device_name(device)}"
    table.write_text("\n\n".join([heading, *tables]) + "\n")
    total = sum(getattr(each, order) for each in shown)
    largest = sorted(shown, key=lambda each: getattr(each, order), reverse=True)[:TOP]
    return {
        "videos": videos,
        "GPU busy": None if kernels is None else _busy(kernels),
        "how": f"share of {window_s:g} s in which a kernel ran, by torch.profiler's record of kernels alone",
        "share of the time": {each.key: round(getattr(each, order) / total, 3) for each in largest if total},
        "table": table.name,
    }


def _window(
    run: Iterator[object], device: torch.device, activities: Sequence[ProfilerActivity], seconds: float
) -> tuple[int, Any]:
    """Let a run go on for so many seconds; return how many videos that were, and the profile if one is asked for."""
    with ExitStack() as stack:
        seen = stack.enter_context(profile(activities=activities)) if activities else None
        until, videos = time.monotonic() + seconds, 0
        for _ in run:
            videos += 1
            if time.monotonic() > until:
                break
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return videos, seen


def device_name(device: torch.device) -> str:
    """Return what the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(measurement.machine()["processor"])


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, None of nothing."""
    return round(statistics.fmean(values), 1) if values else None


def _is_kernel(event: Any) -> bool:
    """Return whether an event of a profile is work of the GPU itself, copies included."""
    return event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)


def _busy(seen: Any) -> float | None:
    kernels = [
        (event.time_range.start, event.time_range.end)
        for event in seen.events() or []
        if _is_kernel(event) and not event.name.startswith(("Memcpy", "Memset"))
    ]
    if not kernels:
        return None
    return round(busy_share(kernels, min(start for start, _ in kernels), max(end for _, end in kernels)), 3)
