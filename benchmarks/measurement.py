"""What the benchmarks share: taking turns, medians and ratios, what figures depend on, and keeping them."""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def in_turns(
    contenders: Mapping[str, Callable[[], object]],
    turns: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    warm: bool = True,
) -> dict[str, list[float]]:
    """Ask every contender once a turn, each turn in another order, and return what each took by `clock`, turn by turn.

    So a machine that is slow for a while is slow for all of them, and nobody always comes after the same one.
    `warm`: a first turn that does not count.
    """
    if warm:
        a_turn(contenders, -1, clock=clock)
    took = [a_turn(contenders, turn, clock=clock) for turn in range(turns)]
    return {name: [each[name] for each in took] for name in contenders}


def a_turn(
    contenders: Mapping[str, Callable[[], object]], number: int, *, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Ask every contender once, in the order of the turn with a number, and return what each took by `clock`."""
    seconds = {}
    for name, contender in random.Random(number).sample(list(contenders.items()), len(contenders)):
        start = clock()
        contender()
        seconds[name] = clock() - start
    return seconds


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the range, to three digits."""
    named = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.3g}") for name, value in named.items()}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours / theirs for each turn: who is measured in the same minute is compared."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def rates(count: float, seconds: Sequence[float]) -> list[float]:
    """Return how many a second, for `count` of them in each of `seconds`."""
    return [count / each for each in seconds]


def machine(*packages: str) -> dict[str, object]:
    """Return what the figures depend on: the processor, the system, and versions of torch, packages and this one."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", *packages, "videohub")},
    }


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def header(*packages: str) -> dict[str, object]:
    """Return how every file of results begins."""
    return {"date": time.strftime("%Y-%m-%d"), "machine": machine(*packages)}


def write(path: Path, results: Mapping[str, object]) -> None:
    """Keep results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


def publish(path: Path, results: Mapping[str, object]) -> None:
    """Keep results as JSON and print them."""
    write(path, results)
    print(path.read_text(), end="", flush=True)


def _version(package: str) -> str | None:
    """Return the version of a package; ours may be used from its folder, without being installed."""
    if package == "videohub":
        import videohub

        return videohub.__version__
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Return what the processor calls itself; only Linux tells it in full."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
