"""A web server of data sets that misbehaves: each fault by its name, or so many at random, the same for a seed.

    with running() as server:
        faults = at_random(seed=1, count=50)
        urls = publish_folder(server, folder, latency(0.05), faults)
    assert len(faults.served) == 50

`python -m tests.storage.faulty_server FOLDER --latency 0.05` serves a folder from a process of its own until its
standard input ends, and prints the URL of the folder. What `tests/hub/publisher.py` offers composes with these.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.hub.publisher import (
    LOG_IN,
    Answer,
    Asked,
    Behaviour,
    Publisher,
    Serve,
    gzipped,
    headed,
    ignoring_ranges,
    misranging,
    refusing,
    running,
    sent,
)

__all__ = ["FAULTS", "at_random", "changing_after", "latency", "publish_folder", "running"]


def publish_folder(server: Publisher, folder: Path, *behaviours: Behaviour) -> str:
    """Serve all files of a folder in one way, and return the URL that their names are below."""
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        server.publish(f"/{file.relative_to(folder).as_posix()}", file.read_bytes(), *behaviours)
    return server.url("")


def latency(seconds: float) -> Behaviour:
    """Let each request wait, as a server far away does."""

    def behave(asked: Asked, serve: Serve) -> Answer:
        time.sleep(seconds)
        return serve(asked)

    return behave


def changing_after(requests: int, content: bytes) -> Behaviour:
    """Serve another file from some request on, properly."""
    lock, count = threading.Lock(), 0

    def behave(asked: Asked, serve: Serve) -> Answer:
        nonlocal count
        with lock:
            count += 1
            changed = count > requests
        return serve(replace(asked, content=content) if changed else asked)

    return behave


def _halfway(**how: object) -> Behaviour:
    """End or hang in the middle of the body."""

    def behave(asked: Asked, serve: Serve) -> Answer:
        answer = serve(asked)
        half = len(answer.body) // 2
        return replace(answer, **{key: half if value is ... else value for key, value in how.items()})

    return behave


FAULTS: dict[str, Behaviour] = {
    "cut": _halfway(cut=...),
    "reset": _halfway(cut=..., reset=True),
    "cut before the headers": sent(cut=-1),
    "stall, then cut": _halfway(stall=..., stall_s=0.2, cut=...),
    "stall before the headers, then cut": sent(stall=-1, stall_s=0.2, cut=-1),
    "busy (503)": refusing(503),
    "rate limit (429)": refusing(429, {"Retry-After": "0"}),
    "server error (500)": refusing(500),
    "bad gateway (502)": refusing(502, {"Content-Type": "text/html"}, LOG_IN),
    "log-in page": refusing(200, {"Content-Type": "text/html; charset=utf-8"}, LOG_IN),
    "whole file": ignoring_ranges,
    "packed": gzipped(),
    "range shifted": misranging(
        lambda start, content: (f"bytes {start + 1}-{len(content) - 1}/{len(content)}", content[start + 1 :])
    ),
    "range to the end of the file": misranging(
        lambda start, content: (f"bytes {start}-{len(content) - 1}/{len(content)}", content[start:])
    ),
    "range of one byte": misranging(
        lambda start, content: (f"bytes {start}-{start}/{len(content)}", content[start : start + 1])
    ),
    "range not told": misranging(lambda start, content: (None, content[start:])),
    "range of nonsense": misranging(lambda start, content: ("bytes all", content[start:])),
    "no such range (416)": refusing(416, {"Content-Range": "bytes */99999999999"}),
    "another ETag": headed({"ETag": '"another"'}),
    "no ETag": headed({"ETag": None}),
    "too long, in chunks": lambda asked, serve: replace(
        (answer := serve(asked)), body=answer.body + b"more", chunked=True
    ),
    "too short, in chunks": lambda asked, serve: replace((answer := serve(asked)), body=answer.body[:-1], chunked=True),
    "too short, as announced": lambda asked, serve: replace(
        (answer := serve(asked)),
        body=answer.body[:-1],
        headers={**answer.headers, "Content-Length": len(answer.body) - 1},
    ),
}


ABOUT_VERSIONS = {"another ETag", "no ETag"}  # who asks for a file's version believes what is said


@dataclass
class _AtRandom:
    """A behaviour that is one of several faults now and then; `served` tells which, in order."""

    rng: random.Random
    count: int
    share: float
    faults: dict[str, Behaviour]
    in_a_row: int
    served: list[str] = field(default_factory=list)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)  # by file and end of the range
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Asked, serve: Serve) -> Answer:
        what = asked.path, asked.headers.get("range", "").rpartition("-")[2]
        possible = sorted(self.faults.keys() - (ABOUT_VERSIONS if what[1] == "0" else set()))
        with self.lock:
            is_fault = self.rng.random() < self.share and len(self.served) < self.count
            name = self.rng.choice(possible) if is_fault and self.failed[what] < self.in_a_row else None
            if name is not None:
                self.served.append(name)
                self.failed[what] += 1
        return serve(asked) if name is None else self.faults[name](asked, serve)


def at_random(
    *, seed: int, count: int = 50, share: float = 0.25, in_a_row: int = 3, among: dict[str, Behaviour] | None = None
) -> _AtRandom:
    """Return a behaviour that serves `count` faults in all, each request being one with probability `share`.

    No range meets more than `in_a_row` of them, and the first byte, which is asked for to learn a file's version, none
    that is about that. Which request meets which fault depends on the order in which they
    come, and on nothing else but the seed.
    """
    return _AtRandom(random.Random(seed), count, share, among or FAULTS, in_a_row)


def main(arguments: Sequence[str]) -> None:
    """Serve a folder until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--faults", type=int, default=0, help="how many, at random")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with running() as server:
        faults = at_random(seed=options.seed, count=options.faults)
        print(publish_folder(server, options.folder, latency(options.latency), faults), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
