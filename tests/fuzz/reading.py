"""Reads damaged files of every container and wrapping: `python -m tests.fuzz.reading --inputs 20000 --seed 0`.

Each file must give tensors or an error of ours, within limits of time and memory, and nothing but reading may happen.
A file follows from its number alone: `--inputs 1 --seed NUMBER` reads it again, and `--keep PATH` saves it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.damage import Damaged, damaged
from tests.fuzz.seeds import whole_files
from tests.fuzz.watched import MEASURED

SECONDS = 5.0  # for one file, whole files take a hundredth
MEMORY = 64 << 20  # bytes that one file of a few kilobytes may take; 16 MiB of that are what it may unpack to
STARTING = 120.0  # seconds until the reader is warm
READ = "videohub.convert:read"


@dataclass
class Report:
    """What came of the files that were read."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (container, outcome) → files
    wrappings: Counter[tuple[str, tuple[str, ...]]] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)  # seconds, number
    largest: tuple[int, int] = (0, 0)  # bytes, number
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Watched:
    """A process that reads (`watched.py`), started again when it had to be killed."""

    def __init__(self, folder: Path, warm_up: list[bytes], read: str) -> None:
        self.folder, self.warm_up, self.read = folder, warm_up, read
        self.process: subprocess.Popen[str] | None = None
        self.starts = 0

    def ask(self, data: bytes, seconds: float) -> dict[str, Any]:
        """Have one file read, and kill the process if that takes longer than `seconds`."""
        if self.process is None:
            self.start()
        answer = self.answer(self.write("model", data), seconds)
        if answer:
            return json.loads(answer)
        code, self.process = self.process.wait(), None
        wrong = f"no answer within {seconds:g} s" if code == -9 else f"the process died with {code}"
        return {"outcome": "nothing", "message": "", "seconds": seconds, "memory": 0, "wrong": [wrong]}

    def start(self) -> None:
        """Start the process and wait until it is warm."""
        self.starts += 1
        self.folder = self.folder.parent / f"reader{self.starts}"
        self.folder.mkdir()
        command = [sys.executable, "-m", "tests.fuzz.watched", str(self.folder), self.read]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        paths = [self.write(f"whole{number}", data) for number, data in enumerate(self.warm_up)]
        if self.answer("".join(f"{path}\n" for path in paths), STARTING) != "warm\n":
            raise RuntimeError("the reader did not start")

    def answer(self, request: str, seconds: float) -> str:
        """Return the answer to one line, or nothing if it did not come in time."""
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        try:
            self.process.stdin.write(f"{request}\n")
            self.process.stdin.flush()
            return self.process.stdout.readline()
        except BrokenPipeError:
            return ""
        finally:
            watchdog.cancel()

    def write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def fuzz(numbers: Iterable[int], *, seconds: float = SECONDS, read: str = READ, progress: bool = False) -> Report:
    """Read the damaged file of each number, and report what came of it."""
    report, begun = Report(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="videohub-fuzz-") as folder:
        canary = Path(folder, "canary")
        files = whole_files(str(canary))
        whole = [data for several in files.values() for data in several]
        reader = Watched(Path(folder, "reader"), whole, read)
        try:
            for done, number in enumerate(numbers, start=1):
                file = damaged(number, files)
                note(report, file, reader.ask(file.data, seconds), seconds)
                if canary.exists():
                    canary.unlink()
                    report.failures.append(f"{number}: a command was run")
                if progress and done % 500 == 0:
                    passed = time.perf_counter() - begun
                    print(f"{done} files, {passed:.0f} s, {len(report.failures)} failures", file=sys.stderr)
        finally:
            reader.stop()
    report.seconds = time.perf_counter() - begun
    return report


def note(report: Report, file: Damaged, answer: dict[str, Any], seconds: float) -> None:
    """Add what came of one file to the report."""
    report.outcomes[file.container, answer["outcome"]] += 1
    report.wrappings[file.container, file.wrapping] += 1
    report.slowest = max(report.slowest, (answer["seconds"], file.number))
    report.largest = max(report.largest, (answer["memory"], file.number))
    wrong = list(answer["wrong"])
    if answer["seconds"] > seconds and not wrong:
        wrong.append(f"{answer['seconds']:.1f} s")
    if answer["memory"] > MEMORY:
        wrong.append(f"{answer['memory'] >> 20} MiB")
    where = " in ".join((file.container, *reversed(file.wrapping)))
    report.failures += [f"{file.number}: {where}: {what}" for what in wrong]


def summary(report: Report) -> str:
    """Return the figures of a report, one thing a line."""
    containers = dict.fromkeys(container for container, _ in report.outcomes)
    lines = [f"{report.outcomes.total()} files in {report.seconds:.0f} s"]
    for container in containers:
        result = {outcome: count for (of, outcome), count in sorted(report.outcomes.items()) if of == container}
        ways = sum(of == container for of, _ in report.wrappings)
        messages = ", ".join(f"{count} {outcome}" for outcome, count in result.items())
        lines.append(f"  {container:13} {sum(result.values()):6} in {ways} wrappings: {messages}")
    lines.append(f"slowest {report.slowest[0]:.3f} s (number {report.slowest[1]}), limit {SECONDS:g} s")
    lines.append(f"peak memory {report.largest[0] / 2**20:.1f} MiB above the idle reader (number {report.largest[1]})")
    lines[-1] += f", limit {MEMORY >> 20} MiB" if MEASURED else "; not measured here"
    lines.append(f"failures {len(report.failures)}")
    return "\n".join([*lines, *(f"  {failure}" for failure in report.failures)])


def main(arguments: list[str] | None = None) -> int:
    """Read as many damaged files as asked for; print the figures, and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.reading", description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=20_000, metavar="COUNT", help="how many damaged files to read")
    parser.add_argument("--seed", type=int, default=0, metavar="NUMBER", help="the number of the first one")
    parser.add_argument("--keep", type=Path, metavar="PATH", help="only write the file of that number to PATH")
    options = parser.parse_args(arguments)
    if options.keep:
        options.keep.write_bytes(damaged(options.seed, whole_files("canary")).data)
        return 0
    report = fuzz(range(options.seed, options.seed + options.inputs), progress=True)
    print(summary(report))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
