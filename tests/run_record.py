"""Keeps what came of the last full run in `results/tests.json`, as `make test-all` asks ($VIDEOHUB_TEST_RECORD).

A part of the tests, what pytest's -m selects, is kept beside the other parts and replaces its own last run. The file
says what was run (date, commit, machine, versions) and how many tests of each area passed, were skipped, or failed.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import time
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = "VIDEOHUB_TEST_RECORD"
LIBRARIES = ("torch", "torchvision", "av", "numpy", "transformers")


class RunRecord:
    """A plugin of pytest that counts outcomes; with xdist, in the process that hands out the tests."""

    def __init__(self, path: Path, selected: str) -> None:
        self.path = path
        self.selected = selected
        self.started = time.monotonic()
        self.outcomes: dict[str, str] = {}  # of each test; its worst part counts

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what came of one part of a test: its setup, itself, what clears up."""
        if report.failed or report.when == "call" or (report.skipped and report.when == "setup"):
            outcome = "skipped" if report.skipped else report.outcome
            if self.outcomes.get(report.nodeid) != "failed":
                self.outcomes[report.nodeid] = outcome

    def pytest_sessionfinish(self) -> None:
        """Write the file anew."""
        kept = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.path.parent.mkdir(exist_ok=True)
        text = json.dumps({**kept, self.selected: self.run()}, indent=1, sort_keys=True)
        self.path.write_text(text + "\n", encoding="utf-8")

    def run(self) -> dict[str, Any]:
        """Return this run as the file has it."""
        areas: dict[str, Counter[str]] = {}
        for test, outcome in self.outcomes.items():
            areas.setdefault(area(test), Counter())[outcome] += 1
        return {
            "date": str(datetime.date.today()),
            "commit": _commit(),
            "system": f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "versions": {library: version(library) for library in LIBRARIES if find_spec(library)},
            "minutes": round((time.monotonic() - self.started) / 60, 1),
            "counts": dict(Counter(self.outcomes.values())),
            "areas": {name: dict(areas[name]) for name in sorted(areas)},
        }


def area(test: str) -> str:
    """Return the area of a test, by its id: the folder below `tests/` that its file lies in, else the file's name."""
    _, *folders, file = test.partition("::")[0].split("/")
    return folders[0] if folders else file.removeprefix("test_").removesuffix(".py")


def register(config: pytest.Config) -> None:
    """Keep a record of this run if the environment names a file for it; a worker of xdist's keeps none."""
    path = os.environ.get(VARIABLE)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(RunRecord(ROOT / path, config.getoption("markexpr") or "all"))


def _commit() -> str:
    """Return the commit that was run, with a `+` if anything but results was changed since; "" if none is known."""
    git = ["git", "-C", str(ROOT)]
    done = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        return ""
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() + ("+" if changed.stdout.strip() else "")
