"""Videos in tars behind http, beside the same as files: `python benchmarks/remote_data.py`.

Three questions. How many videos a second come out of `verify`'s data path, to frames in worker processes, from files,
from tars on the disk, and over loopback http from a server that lets each request wait 50 ms? How long does the index
of a tar of 20,000 members take? Does memory stay flat over 5,000 small videos that come over http?

The server is a process of its own, on the same cores. The results go to benchmarks/results/remote_data.json. --small
runs all of it on tiny videos, for tests.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import making_videos
import measuring
import soak
import torch

from videohub import registry, storage
from videohub.data import sets
from videohub.data.samples import Sample
from videohub.data.spec import TestSpec
from videohub.data.tar_index import read_headers
from videohub.evaluation.decoding import Failure, decode_all

RESULTS = measuring.RESULTS / "remote_data.json"
ROOT = Path(__file__).resolve().parent.parent
LATENCY_S = 0.05


def main() -> None:
    """Run everything and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, default=32, help="a turn; eight different ones are made")
    options.add_argument("--turns", type=int, default=7)
    options.add_argument("--members", type=int, default=20_000, help="of the tar that is indexed")
    options.add_argument("--soak", type=int, default=5000, help="videos over which memory is watched")
    options.add_argument("--workers", type=int, default=measuring.cores())
    options.add_argument("--small", action="store_true")
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"VIDEOHUB_HOME": f"{folder}/cache", "NO_PROXY": "127.0.0.1"}
        results = {
            **measuring.header("av", "numpy"),
            "load before, of a minute": round(os.getloadavg()[0], 1),
            "turns": arguments.turns,
            "workers": arguments.workers,
            "seconds before each answer": LATENCY_S,
            "speed": {
                f"{kind.width} x {kind.height}, {kind.seconds:g} s": speed(
                    Path(folder) / str(kind.width), kind, arguments
                )
                for kind in ((making_videos.SMALL,) if arguments.small else (making_videos.KINETICS, MIDDLE))
            },
            "index": index(Path(folder) / "index", arguments.members, arguments.turns),
            "memory": memory(Path(folder) / "soak", arguments.soak, arguments.workers),
        }
    measuring.publish(arguments.out, results)


MIDDLE = making_videos.Kind(width=170, height=128, seconds=5, kbit_s=200)  # decoded in a tenth of the time


# --- speed -----------------------------------------------------------------------------------------------------------


def speed(folder: Path, kind: making_videos.Kind, arguments: argparse.Namespace) -> dict[str, object]:
    """Return how many videos a second are decoded from files, tars and http, and the ratios to files."""
    made = folder / "made"
    made.mkdir(parents=True)
    different = making_videos.make_videos(made, 8, kind, threads=measuring.cores())
    files, tars = folder / "files", folder / "tars"
    files.mkdir()
    tars.mkdir()
    names = [f"{number:04d}.mp4" for number in range(arguments.videos)]
    for number, name in enumerate(names):
        os.link(different[number % 8], files / name)
    (files / "val.csv").write_text("".join(f"{name} 0\n" for name in names))
    for shard in range(4):
        with tarfile.open(
            tars / f"val-{shard}.tar", "w", dereference=True
        ) as tar:  # else the second of a file is a link
            for name in names[shard::4]:
                tar.add(files / name, name)
    record = registry.record("slowfast_r50_8x8")
    spec = TestSpec(record.protocol, record.clip)
    with served(tars, LATENCY_S) as url:
        read = partial(sets.read, root=None, record=record, list_file=files / "val.csv")
        samples = {
            "files": sets.read(files / "val.csv", root=None, record=record).samples,
            "tars": read(str(tars / "val-{0..3}.tar")).samples,
            "http": read(f"{url}/val-{{0..3}}.tar").samples,
        }
        contenders: dict[str, Callable[[], object]] = {
            name: partial(decode, of, spec, arguments.workers) for name, of in samples.items()
        }
        seconds = measuring.in_turns(contenders, arguments.turns)
    rates = {name: measuring.rates(len(names), each) for name, each in seconds.items()}
    return {
        "bytes a video": round(sum(path.stat().st_size for path in different) / len(different)),
        "videos a turn": len(names),
        "videos a second": {name: measuring.summary(each) for name, each in rates.items()},
        "of files'": {
            name: measuring.summary(measuring.ratios(rates[name], rates["files"])) for name in ("tars", "http")
        },
        "goal": ">= 0.9 over http",
    }


def decode(samples: Sequence[Sample], spec: TestSpec, workers: int) -> None:
    """Bring all videos to frames; the processes start anew, as in each run. Raises: SystemExit if one fails."""
    for _, outcomes in decode_all(((each.name, each.source) for each in samples), [spec], workers=workers):
        if isinstance(outcomes[0], Failure):
            raise SystemExit(outcomes[0].reason)


@contextmanager
def served(folder: Path, latency_s: float) -> Iterator[str]:
    """Yield the URL of a folder that another process serves."""
    command = [sys.executable, "-m", "tests.storage.faulty_server", str(folder), "--latency", str(latency_s)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


# --- index -----------------------------------------------------------------------------------------------------------


def index(folder: Path, members: int, turns: int) -> dict[str, object]:
    """Return how long it takes to read the headers of a tar of videos of 2 MB on this disk, most of it holes."""
    folder.mkdir(parents=True)
    path, size = folder / "val.tar", 2 << 20
    with path.open("wb") as file:
        for number in range(members):
            info = tarfile.TarInfo(f"class {number % 400:03d}/video {number:06d}.mp4")
            info.size = size
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.seek(size, os.SEEK_CUR)
        file.write(bytes(1024))
    found = storage.stat(str(path))
    seconds = measuring.in_turns({"index": lambda: read_headers(str(path), found)}, turns)["index"]
    assert len(read_headers(str(path), found).members) == members
    return {"members": members, "bytes": found.size, "seconds": measuring.summary(seconds), "goal": "<= 5 s"}


# --- memory ----------------------------------------------------------------------------------------------------------


def memory(folder: Path, videos: int, workers: int) -> dict[str, object]:
    """Return the slope of each process's memory over so many videos that come over http."""
    folder.mkdir(parents=True)
    made = min(250, videos)
    record = registry.record("slowfast_motions")
    tars = folder / "tars"
    tars.mkdir()
    files = soak.make_videos(folder, made)
    for shard in range(5):
        with tarfile.open(tars / f"val-{shard}.tar", "w") as tar:
            for sample in files[shard::5]:
                tar.add(folder / sample.name, sample.name)
    (folder / "val.csv").write_text("".join(f"{sample.name} 0\n" for sample in files))
    with served(tars, 0.005) as url:
        samples = sets.read(f"{url}/val-{{0..4}}.tar", root=None, record=record, list_file=folder / "val.csv").samples
        began = time.monotonic()
        looks, failed = soak.soak(samples * (videos // made), workers=workers, every=max(1, videos // 50))
    slopes = soak.slopes(looks, after=videos // 4)
    return {
        "videos": len(samples) * (videos // made),
        "failed, cut short on purpose": failed,
        "seconds": round(time.monotonic() - began),
        "KB per 1,000 videos after the first quarter": slopes,
        "resident KB by videos done": looks,
    }


if __name__ == "__main__":
    main()
