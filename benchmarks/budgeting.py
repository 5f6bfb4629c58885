"""Parts of a benchmark that together keep a budget of time: what fails or hangs costs no other its figures."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


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
            found = dict(part.run())
        except Exception as error:  # whatever one part meets, the others shall have their figures
            found = {"failed": f"{type(error).__name__}: {error}"}
        results[part.name] = {**found, "seconds taken": round(left - budget.left(), 1)}
        keep()


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End this process if it is still here after so long: a GPU or its driver may hang, and no budget ends that."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
