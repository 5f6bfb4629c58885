"""Can this machine do what videohub needs? Versions, devices, decoding, cache, registries, the way to the network."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

import videohub
from videohub.errors import VideohubError
from videohub.formatting import counted, with_unit
from videohub.version import __version__

State: TypeAlias = Literal["ok", "note", "missing"]

DISTRIBUTION = "videohub-zoo"
_SWITCHES = ("VIDEOHUB_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VIDEOHUB_MIRRORS", "HF_ENDPOINT",
             "VIDEOHUB_MIN_RATE")  # fmt: skip
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_ROOM = 1 << 30  # bytes that a large checkpoint, its conversion and a download in progress take together
_FRAMES, _SIZE = 8, 32


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; `advice` says what to do where it is not "ok"."""

    about: str  # "versions", "devices", "decoder", "cache", "registries" or "network"
    name: str
    state: State
    detail: str
    advice: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    """What was found, in the order of a checkpoint's way, and whether all that is needed is there."""

    findings: tuple[Finding, ...]

    @property
    def is_able(self) -> bool:
        """Whether nothing that is needed is missing."""
        return all(finding.state != "missing" for finding in self.findings)


def diagnose() -> Diagnosis:
    """Look at this machine. Nothing is downloaded, and nothing is left behind."""
    looks = (versions, devices, decoder, cache, registries, network)
    return Diagnosis(tuple(finding for look in looks for finding in look()))


def versions() -> Iterator[Finding]:
    """Yield Python, videohub, what it depends on, and any other package that is called videohub, too."""
    system = f"{platform.system()} {platform.machine()}"
    yield Finding("versions", "Python", "ok", detail=f"{platform.python_version()} on {system}")
    here = Path(videohub.__file__).resolve().parent
    yield Finding("versions", "videohub", "ok", detail=f"{__version__} in {here}")
    for name, floor in _floors().items():
        yield _version(name, floor)
    for where in foreign_copies():
        yield Finding(
            "versions", "another videohub", "note", detail=str(where),
            advice="Where it comes first on Python's path, `import videohub` gives that one. "
                   "Uninstall it (`pip uninstall videohub`, which is somebody's), or take its folder off the path.",
        )  # fmt: skip


def devices() -> Iterator[Finding]:
    """Yield the devices that torch sees, and whether each computes a small network as the CPU does."""
    import torch

    from videohub.devices import disagreement

    threads = counted(torch.get_num_threads(), "thread")
    yield Finding("devices", "cpu", "ok", detail=threads)
    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    names += ["mps"] * torch.backends.mps.is_available()
    for name in names:
        what = torch.cuda.get_device_name(name) if name != "mps" else "Apple's GPU"
        problem = disagreement(torch.device(name))
        yield Finding("devices", name, "note" if problem else "ok",
                      detail=f"{what}: {problem}" if problem else f"{what}, computes as the CPU does",
                      advice="Use cpu, or another version of torch." if problem else "")  # fmt: skip


def decoder() -> Iterator[Finding]:
    """Yield whether a clip that is made here decodes to the very pixels that were put in."""
    import av

    try:
        with tempfile.TemporaryDirectory() as folder:
            problem = _decoded_otherwise(Path(folder) / "clip.mp4")
    except (av.FFmpegError, VideohubError, OSError) as error:
        problem = f"{type(error).__name__}: {error}"
    libraries = ", ".join(f"{name} {'.'.join(map(str, number))}" for name, number in sorted(av.library_versions.items())
                          if name in ("libavcodec", "libavformat", "libswscale"))  # fmt: skip
    if problem:
        yield Finding("decoder", "H.264", "missing", detail=f"{problem} ({libraries})",
                      advice="Install another version of av (PyAV); its wheels bring FFmpeg along.")  # fmt: skip
    else:
        yield Finding("decoder", "H.264", "ok", detail=f"{_FRAMES} frames exact ({libraries})")


def cache() -> Iterator[Finding]:
    """Yield where downloads and weights are kept, whether they can be, and how much room there is."""
    from videohub.resources import cache_home

    folder = cache_home()
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=above):  # permissions do not tell of a disk that takes nothing
            pass
    except OSError as error:
        yield Finding("cache", str(folder), "missing", detail=f"{above} cannot be written to ({error.strerror})",
                      advice="Let VIDEOHUB_HOME name a folder that can.")  # fmt: skip
        return
    free = shutil.disk_usage(above).free
    detail = f"{with_unit(_kept(folder))} kept, {with_unit(free)} free"
    if free < _ROOM:
        yield Finding("cache", str(folder), "note", detail=detail,
                      advice="`videohub cache prune` makes room; VIDEOHUB_HOME names another folder.")  # fmt: skip
    else:
        yield Finding("cache", str(folder), "ok", detail=detail)


def registries() -> Iterator[Finding]:
    """Yield each registry file that is read, or what is wrong with them."""
    from videohub import registry

    files = registry.files()
    try:
        records = registry.default().records
    except VideohubError as error:
        yield Finding("registries", ", ".join(map(str, files)), "missing", detail=str(error),
                      advice=f"Look at ${registry.VARIABLE} and --registry.")  # fmt: skip
        return
    for file in files:
        yield Finding("registries", str(file), "ok", detail="read")
    available = sum(record.status == "available" for record in records.values())
    yield Finding("registries", "records", "ok", detail=f"{len(records)}, {available} available")


def network() -> Iterator[Finding]:
    """Yield what the environment says of the way to the network; nothing is asked of it."""
    for name in _SWITCHES:
        if value := os.environ.get(name):
            yield Finding("network", name, "note", detail=value)
    for name in _PROXIES:
        if value := os.environ.get(name) or os.environ.get(name.lower()):
            yield Finding("network", name, "note", detail=without_password(value))


def foreign_copies() -> list[Path]:
    """Return the folders of other packages on Python's path that are imported as `videohub`."""
    ours = Path(videohub.__file__).resolve().parent
    folders = dict.fromkeys(Path(entry or ".").absolute() / "videohub" for entry in sys.path)
    return [folder for folder in folders if (folder / "__init__.py").is_file() and folder.resolve() != ours]


def without_password(address: str) -> str:
    """Return an address of a proxy without the name and password that stand before its host."""
    try:
        user = urlsplit(address if "://" in address else f"//{address}").username
    except ValueError:
        return "not an address"
    return re.sub(r"[^/@]*@", "…@", address) if user is not None else address


def _kept(folder: Path) -> int:
    """Return how many bytes the files below a folder hold; one may go while others are looked at."""
    kept = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(above, name))
                kept += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return kept


def _floors() -> dict[str, str]:
    """Return what we depend on, and the least version of each."""
    try:
        required = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        required = _required_by_the_checkout()
    stated = (re.fullmatch(r"([\w.-]+)\s*>=\s*([\w.]+)", requirement) for requirement in required)
    return {match[1]: match[2] for match in stated if match}  # those of extras have a condition


def _required_by_the_checkout() -> list[str]:
    """Return what the pyproject.toml beside us requires: we are not installed, but on Python's path."""
    with suppress(FileNotFoundError):
        stated = (Path(videohub.__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
        if match := re.search(r"^dependencies = \[(.*?)^\]", stated, re.MULTILINE | re.DOTALL):
            return re.findall('"([^"]+)"', match[1])
    return []


def _version(name: str, floor: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding("versions", name, "missing", detail="is not installed",
                       advice=f"pip install '{name}>={floor}'")  # fmt: skip
    if _numbers(version) < _numbers(floor):
        return Finding("versions", name, "missing", detail=f"{version}, expected {floor} or later",
                       advice=f"pip install --upgrade '{name}>={floor}'")  # fmt: skip
    return Finding("versions", name, "ok", detail=version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[+a-z]", version)[0]))


def _decoded_otherwise(path: Path) -> str | None:
    """Return how frames of known levels come out of a lossless H.264 file otherwise, None if they do not."""
    import av
    import numpy as np

    levels = [16 + 24 * number for number in range(_FRAMES)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width = stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for level in levels:
            planes = np.full((_SIZE * 3 // 2, _SIZE), level, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(stream.encode(None))
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    if len(frames) != _FRAMES:
        return f"{len(frames)} of {_FRAMES} frames came back"
    wrong = [number for number, (frame, level) in enumerate(zip(frames, levels, strict=True)) if (frame != level).any()]
    return f"frame {wrong[0]} has other pixels than were written" if wrong else None
