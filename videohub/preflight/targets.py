"""The files that a data set refers to, each once, and which samples need it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from videohub.data.samples import FrameList, ImageFile, KeyFrame, Sample, VideoFile
from videohub.preflight.looking import Job

_AT_ONCE = 16  # a disk on the network answers so many questions as fast as one


_BATCH = 64  # questions that a thread is given; to hand over each by itself would take longer than to ask it

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
_OnDisk: TypeAlias = VideoFile | ImageFile | FrameList


class Stamp(NamedTuple):
    """What changes when a file does. A list of frames: how many names, and when their folders last changed."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Target:
    """One video, image or list of frames on disk."""

    job: Job
    key: str  # its identity on this disk
    samples: tuple[int, ...]  # numbers of the samples that need it
    stamp: Stamp | None  # None where the file system tells nothing
    missing: str | None  # why nothing is there


def targets(samples: Sequence[Sample], *, deep: bool) -> list[Target]:
    """Return everything that samples need, in the order in which they first need it.

    Only the file system is asked here; no file is opened.
    """
    needed: dict[_OnDisk, list[int]] = {}
    for number, sample in enumerate(samples):
        source = sample.source
        needed.setdefault(source.frames if isinstance(source, KeyFrame) else source, []).append(number)
    return in_threads(lambda source: _target(source, needed[source], deep), list(needed))


def in_threads(ask: Callable[[Asked], Answer], things: Sequence[Asked]) -> list[Answer]:
    """Return what the disk answers about each thing; many are asked about at once."""
    batches = [things[start : start + _BATCH] for start in range(0, len(things), _BATCH)]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = threads.map(lambda batch: [ask(thing) for thing in batch], batches)
        return [answer for batch in answers for answer in batch]


def _target(source: _OnDisk, numbers: list[int], deep: bool) -> Target:
    """Ask the file system about one source."""
    if isinstance(source, FrameList):
        path, names = _absolute(source.folder), os.fsencode(source.names)
        job = Job("frames", os.fsencode(path), names, deep)
        key = f"{path} {hashlib.sha256(names).hexdigest()[:16]}"
    else:
        path = _absolute(source.path)
        job = Job("video" if isinstance(source, VideoFile) else "image", os.fsencode(path), deep=deep)
        key = path
    key = os.fsencode(key).decode("utf-8", "backslashreplace")  # JSON takes no others
    try:
        stamp, missing = _stamp(source), None
    except (FileNotFoundError, NotADirectoryError):
        stamp, missing = None, _missing(source, path)
    except (OSError, ValueError):  # whoever opens it finds out more
        stamp, missing = None, None
    return Target(job, key, tuple(numbers), stamp, missing)


def _absolute(path: Path) -> str:
    """Return a path that means the same wherever it is read; links and `..` are left as they are."""
    return os.path.join(os.getcwd(), path)


def _stamp(source: _OnDisk) -> Stamp:
    """Return the stamp of a source. Raises: OSError, ValueError."""
    if not isinstance(source, FrameList):
        said = os.stat(source.path)
        return Stamp(said.st_size, said.st_mtime_ns)
    folders = {name.rpartition("/")[0] for name in source.names.split("\n")}
    return Stamp(len(source), max(os.stat(source.folder / folder).st_mtime_ns for folder in folders))


def _missing(source: _OnDisk, path: str) -> str:
    """Say what is not there."""
    if isinstance(source, FrameList):
        return f"the folder of its {len(source)} images is not there"
    return "a link that leads nowhere" if os.path.islink(path) else "no such file"
