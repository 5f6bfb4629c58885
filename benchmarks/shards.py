"""Videos out of tars beside videos in files: `python benchmarks/shards.py`.

Eight videos like those of Kinetics are repeated under other names, in files, in tars on the same disk, and in the same
tars behind a local web server that waits 50 ms before each answer. What is timed is verify's data path, from sources to
frames, with a process that decodes for each core, in turns. Then 20,000 members are indexed, and the resident memory of
this process and of its decoders is noted while 5,000 small videos come from the web server.

The results go to benchmarks/results/shards.json. --small runs all of it on a few videos, for tests.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import measurement
import synthetic_videos
from soak import decoders, resident

from videohub import registry, storage
from videohub.data.samples import Source, VideoFile
from videohub.data.sets import shards
from videohub.data.spec import TestSpec
from videohub.data.tar_index import read_headers
from videohub.evaluation.decoding import Failure, decode_all

ROOT = Path(__file__).resolve().parent.parent
RECORD = registry.record("slowfast_r50_8x8")
LATENCY_S = 0.05


def main() -> None:
    """Run, print what was measured, and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, default=48)
    options.add_argument("--soak", type=int, default=5000, help="small videos, for the memory")
    options.add_argument("--members", type=int, default=20_000)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--small", action="store_true")
    options.add_argument("--out", type=Path, default=measurement.RESULTS / "shards.json")
    arguments = options.parse_args()
    if arguments.small:
        arguments.videos, arguments.soak, arguments.members, arguments.turns = 4, 12, 100, 1
    kind = synthetic_videos.SMALL if arguments.small else synthetic_videos.KINETICS
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIDEOHUB_HOME"] = os.path.join(folder, "cache")
        result: dict[str, object] = {
            "speed": speed(Path(folder) / "speed", arguments.videos, arguments.turns, kind),
            "index": index(Path(folder), arguments.members),
            "memory": memory(Path(folder) / "memory", arguments.soak),
        }
    measurement.publish(arguments.out, {**measurement.header("av"), **result})


def speed(folder: Path, count: int, turns: int, kind: synthetic_videos.Kind) -> dict[str, object]:
    """Return how many videos a second come from files, from tars on a disk, and from the same behind a slow server."""
    files, made = folder / "files", folder / "made"
    files.mkdir(parents=True)
    made.mkdir()
    originals = synthetic_videos.make_videos(made, min(8, count), kind, threads=2)
    for number in range(count):
        (files / f"{number:05}.mp4").hardlink_to(originals[number % len(originals)])
    pack(folder / "tars", {path.name: path.read_bytes() for path in sorted(files.iterdir())}, each=16)
    with served(folder / "tars") as url:
        places = {
            "files": [VideoFile(path) for path in sorted(files.iterdir())],
            "tars": members(str(folder / "tars" / "*.tar")),
            "http": members(pattern(url, folder / "tars")),
        }
        took = measurement.in_turns({name: lambda given=given: decoded(given) for name, given in places.items()}, turns)
    return {
        "videos": count,
        "latency_s": LATENCY_S,
        "videos_per_second": {
            name: measurement.summary(measurement.rates(count, seconds)) for name, seconds in took.items()
        },
        "share_of_files": {
            name: measurement.summary(measurement.ratios(took["files"], took[name])) for name in ("tars", "http")
        },
    }


def index(folder: Path, count: int) -> dict[str, float]:
    """Return how long it takes to read the headers of a tar."""
    (tar,) = pack(folder / "index", {f"{number:05}.mp4": b"x" * 700 for number in range(count)}, each=count)
    result, began = storage.stat(str(tar)), time.perf_counter()
    assert len(read_headers(str(tar), result).members) == count
    return {"members": count, "seconds": round(time.perf_counter() - began, 3)}


def memory(folder: Path, count: int) -> dict[str, object]:
    """Return what this process and its decoders have in memory, every so many videos, and at the end."""
    made = folder / "made"
    made.mkdir(parents=True)
    content = [path.read_bytes() for path in synthetic_videos.make_videos(made, 4, synthetic_videos.SMALL, threads=2)]
    pack(folder / "tars", {f"{number:05}.mp4": content[number % 4] for number in range(count)}, each=500)
    noted: list[tuple[int, int, int]] = []
    with served(folder / "tars") as url:
        sources = members(pattern(url, folder / "tars"))
        for number, _ in enumerate(each_decoded(sources), start=1):
            if number % max(1, count // 10) == 0:
                theirs = sum(map(resident, decoders().values()))
                noted.append((number, resident(os.getpid()) // 1000, theirs // 1000))
    return {"videos": count, "MB_here_and_of_the_decoders": noted}


def pack(folder: Path, files: dict[str, bytes], *, each: int) -> list[Path]:
    """Write files into tars of so many."""
    folder.mkdir(parents=True)
    names, tars = list(files), []
    for start in range(0, len(names), each):
        tars.append(folder / f"val-{start // each:03}.tar")
        with tarfile.open(tars[-1], "w") as tar:
            for name in names[start : start + each]:
                info = tarfile.TarInfo(name)
                info.size = len(files[name])
                tar.addfile(info, io.BytesIO(files[name]))
    return tars


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own, and yield the URL that its files are below."""
    command = [sys.executable, "-m", "tests.storage.faulty_server", str(folder), "--latency", str(LATENCY_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield server.stdout.readline().strip().rstrip("/")
        server.stdin.close()


def pattern(url: str, folder: Path) -> str:
    """Return what stands for all tars of a folder that is served."""
    return f"{url}/val-{{000..{len(list(folder.iterdir())) - 1:03}}}.tar"


def members(pattern: str) -> list[Source]:
    """Return the videos of tars, without labels."""
    opened = shards.opened(pattern, RECORD.protocol)
    return [shard.source(each) for shard in opened for each in shard.members() if shard.is_wanted(each.name)]


def decoded(sources: Sequence[Source]) -> None:
    """Decode all of them, as verify does."""
    assert sum(1 for _ in each_decoded(sources)) == len(sources)


def each_decoded(sources: Sequence[Source]) -> Iterator[int]:
    """Yield the number of each source once it is decoded."""
    spec = TestSpec(RECORD.protocol, RECORD.clip)
    for number, (outcome,) in decode_all(enumerate(sources), [spec], workers=len(os.sched_getaffinity(0))):
        assert not isinstance(outcome, Failure), outcome
        yield number


if __name__ == "__main__":
    main()
