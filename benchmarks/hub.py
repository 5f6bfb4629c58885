"""Downloading and loading beside what people would otherwise use, in one run: `python benchmarks/hub.py`.

A process of its own serves a file of 500 MB over loopback; torch.hub, huggingface_hub and videohub fetch it in turn.
Then SlowFast R50 with random weights is published as a Caffe2 file, fetched once, and loaded again and again beside
torch.load of the same weights. Medians of all turns; the results go to benchmarks/results/hub.json.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import measurement

NAME = "slowfast_r50_8x8"
RESULTS = measurement.RESULTS / "hub.json"


def main() -> None:
    """Run everything and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabytes", type=int, default=500, help="size of the file to download")
    options.add_argument("--turns", type=int, default=7)
    options.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    options.add_argument("--out", type=Path, default=RESULTS)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, serving(Path(folder) / "served") as url:
        # before huggingface_hub is imported, which reads its settings then
        os.environ.update(HF_ENDPOINT=url, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", NO_PROXY="127.0.0.1",
                          HF_HOME=f"{folder}/hf", VIDEOHUB_HOME=f"{folder}/cache")  # fmt: skip
        results = {
            **measurement.header("huggingface_hub", "requests"),
            "turns": arguments.turns,
            "download": downloads(Path(folder), url, arguments.megabytes << 20, arguments.turns),
            "load": loads(Path(folder), url, arguments.turns),
        }
    measurement.publish(arguments.out, results)


# --- downloading -----------------------------------------------------------------------------------------------------


def downloads(folder: Path, url: str, size: int, turns: int) -> dict[str, object]:
    """Fetch one file of `size` bytes with each library in turn; megabytes a second, and our share of the faster one."""
    import torch.hub
    from huggingface_hub import hf_hub_download

    from videohub.hub import download

    path = folder / "served" / "org" / "repo" / "resolve" / "main" / "file.bin"
    digest = write_random(path, size)
    address, target = f"{url}/org/repo/resolve/main/file.bin", folder / "target"
    contenders: dict[str, Callable[[], object]] = {
        "torch.hub": lambda: torch.hub.download_url_to_file(address, str(target / "a"), progress=False),
        "torch.hub, checked": lambda: torch.hub.download_url_to_file(
            address, str(target / "b"), hash_prefix=digest, progress=False
        ),
        "huggingface_hub": lambda: hf_hub_download("org/repo", "file.bin", local_dir=target / "c"),
        "videohub": lambda: download.fetch(address, name="file", sha256=digest, size=size),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        # whoever comes after a slow one finds memory that was given back to the machine: let that be each one's lot
        for name, fetch in random.Random(turn).sample(list(contenders.items()), len(contenders)):
            shutil.rmtree(target, ignore_errors=True)
            shutil.rmtree(folder / "cache", ignore_errors=True)
            target.mkdir()
            os.sync()  # nobody pays for what another one left to be written
            start = time.perf_counter()
            fetch()
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    path.unlink()
    rates = {name: [size / 1e6 / each for each in times] for name, times in seconds.items()}
    others = ("torch.hub", "torch.hub, checked", "huggingface_hub")
    return {
        "bytes": size,
        "MB/s": {name: measurement.summary(each) for name, each in rates.items()},
        "videohub / the faster other": measurement.summary(
            [ours / max(rates[name][turn] for name in others) for turn, ours in enumerate(rates["videohub"])]
        ),
        "goal": ">= 0.9",
    }


def write_random(path: Path, size: int) -> str:
    """Write a file that nothing can compress and return its digest."""
    path.parent.mkdir(parents=True)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size >> 20):
            block = os.urandom(1 << 20)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


# --- loading ---------------------------------------------------------------------------------------------------------


def loads(folder: Path, url: str, turns: int) -> dict[str, object]:
    """Load a cached SlowFast R50 with videohub and with torch.load in turn, then once more for its memory."""
    import torch

    import videohub
    from videohub import convert, registry

    model = videohub.build(NAME)
    served = folder / "served" / "SLOWFAST.pkl"
    convert.export(model.state_dict(), NAME, "caffe2", served)
    torch.save(model.state_dict(), folder / "weights.pt")
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())

    mine = folder / "registry.yaml"
    mine.write_text(company_registry(f"{url}/SLOWFAST.pkl"))
    os.environ["VIDEOHUB_REGISTRY"] = str(mine)
    record = registry.record("company_slowfast")
    videohub.load(record)  # downloads and converts

    def build_and_torch_load() -> torch.nn.Module:
        fresh = videohub.build(NAME)
        fresh.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
        return fresh

    def torch_load_alone() -> object:
        model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
        return model

    def read(loaded: torch.nn.Module) -> object:
        """Use every byte once: mapped weights come from disk only then."""
        return sum(float(tensor.sum()) for tensor in loaded.state_dict().values())

    contenders: dict[str, Callable[[], object]] = {
        "videohub.load": lambda: videohub.load(record),
        "build + torch.load": build_and_torch_load,
        "torch.load into a model that is there": torch_load_alone,
        "videohub.load, every weight read": lambda: read(videohub.load(record)),
        "build + torch.load, every weight read": lambda: read(build_and_torch_load()),
    }
    seconds = measurement.in_turns(contenders, turns)

    def ratio(ours: str, theirs: str) -> dict[str, float]:
        return measurement.summary(measurement.ratios(seconds[ours], seconds[theirs]))

    return {
        "model": NAME,
        "bytes": size,
        "seconds": {name: measurement.summary(each) for name, each in seconds.items()},
        "videohub / build + torch.load": ratio("videohub.load", "build + torch.load"),
        "videohub / torch.load into a model that is there": ratio(
            "videohub.load", "torch.load into a model that is there"
        ),
        "the same, every weight read": ratio(
            "videohub.load, every weight read", "build + torch.load, every weight read"
        ),
        "goal": "<= 0.5 for the first",
        "peak memory / weights": {"videohub.load": peak("load"), "build + torch.load": peak("torch", folder)},
        "goal for memory": "<= 1.3",
    }


def company_registry(url: str) -> str:
    """Return a registry with our record under another name and at another address."""
    from videohub import registry
    from videohub.registry import writer

    import msgspec  # isort: skip

    record = registry.record(NAME)
    checkpoint = msgspec.structs.replace(record.checkpoint, url=url)
    company = msgspec.structs.replace(record, name="company_slowfast", checkpoint=checkpoint)
    return writer.text([company], known=[record.protocol.name])


PEAK = """
import sys, torch, videohub
from videohub.loading import load, from_weights
from videohub.convert import kept_weights, conversion, tables
from videohub import weights, registry
def status(key):
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(key))
name = "company_slowfast"
videohub.build("slowfast_motions"); weights.conversion_key(registry.record(name))
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
if sys.argv[1] == "load":
    model = videohub.load(name)
else:
    model = videohub.build(name); model.load_state_dict(torch.load(sys.argv[2] + "/weights.pt", weights_only=True))
size = sum(t.numel() * t.element_size() for t in model.state_dict().values())
total = sum(float(t.sum()) for t in model.state_dict().values())  # every byte is touched
print((status("VmHWM") - before) / size)
"""


def peak(how: str, folder: Path | None = None) -> float:
    """Return the peak of resident memory, mapped files included, while a fresh process loads and reads all weights."""
    done = subprocess.run([sys.executable, "-c", PEAK, how, str(folder)], check=True, capture_output=True, text=True)
    return round(float(done.stdout), 3)


# --- what both need --------------------------------------------------------------------------------------------------


SERVER = "import sys; sys.path.insert(0, sys.argv[1]); import hub; hub.serve(sys.argv[2])"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder from a process of its own; yields the URL."""
    folder.mkdir()
    command = [sys.executable, "-c", SERVER, str(Path(__file__).resolve().parent), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def serve(folder: str) -> None:
    """Send files with as little work as the system allows; the headers are those that huggingface_hub asks for."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            path = Path(folder + self.path)
            if not path.is_file():  # huggingface_hub asks for more than files
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.send_header("ETag", '"0123456789abcdef"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            if not Path(folder + self.path).is_file():
                return
            self.wfile.flush()
            with open(folder + self.path, "rb") as file:
                self.connection.sendfile(file)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
