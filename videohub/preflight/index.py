"""The files of a data set: each once, what earlier checks found about it, and which hold the same bytes.

What was found is kept in a small file: a second check of 20,000 videos takes seconds.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from videohub.data.samples import FrameList, ImageFile, KeyFrame, Sample, VideoFile
from videohub.errors import UsageError, VideoError
from videohub.files import atomic_write, read_file
from videohub.preflight.probe import Job, Probe

_FORMAT = "videohub index 2"
_BLOCK = 1 << 16  # bytes at both ends of a file
_AT_ONCE = 16  # a disk on the network answers so many questions as fast as one
_BATCH = 64  # questions that a thread is given; to hand over each by itself would take longer than to ask it

Asked = TypeVar("Asked")
Result = TypeVar("Result")
_OnDisk: TypeAlias = VideoFile | ImageFile | FrameList


class Stamp(NamedTuple):
    """What changes when a file does. A list of frames: how many names, and when their folders last changed."""

    size: int
    mtime_ns: int  # of a member of a tar: a number of the tar's version and its place there


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
    return _in_threads(lambda source: _target(source, needed[source], deep), list(needed))


def _in_threads(ask: Callable[[Asked], Result], things: Sequence[Asked]) -> list[Result]:
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
        key = path = _absolute(source.path) if source.member is None else str(source.member)
        kind: Literal["video", "image"] = "video" if isinstance(source, VideoFile) else "image"
        job = Job(kind, os.fsencode(path), deep=deep, member=source.member)
    key = os.fsencode(key).decode("utf-8", "backslashreplace")  # JSON takes no others
    stamp = missing = None
    try:
        stamp = _stamp(source)
    except (FileNotFoundError, NotADirectoryError):
        missing = _missing(source, path)
    except (OSError, ValueError):
        pass  # whoever opens it finds out more
    return Target(job, key, tuple(numbers), stamp, missing)


def _absolute(path: Path) -> str:
    """Return a path that means the same wherever it is read; links and `..` are left as they are."""
    return os.path.join(os.getcwd(), path)


def _stamp(source: _OnDisk) -> Stamp:
    """Return the stamp of a source. Raises: OSError, ValueError."""
    if isinstance(source, FrameList):
        folders = {name.rpartition("/")[0] for name in source.names.split("\n")}
        return Stamp(len(source), max(os.stat(source.folder / folder).st_mtime_ns for folder in folders))
    if source.member is None:
        status = os.stat(source.path)
        return Stamp(status.st_size, status.st_mtime_ns)
    if source.member.failure is not None:
        raise FileNotFoundError
    place = f"{source.member.version} {source.member.start}"
    return Stamp(source.member.size, int.from_bytes(hashlib.sha256(place.encode()).digest()[:7], "big"))


def _missing(source: _OnDisk, path: str) -> str:
    """Say what is not there."""
    if isinstance(source, FrameList):
        return f"the folder of its {len(source)} image{'s' if len(source) > 1 else ''} is not there"
    if source.member is not None:
        return source.member.failure or "not there"
    return "a link that leads nowhere" if os.path.islink(path) else "no such file"


# --- what is known of each -------------------------------------------------------------------------------------------


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What is known about one file as it was; an array, for there are many."""

    size: int
    mtime_ns: int
    probe: Probe | None = None
    ends: str = ""  # sha256 of the first and the last block of a file
    whole: str = ""  # sha256 of all of it


class _Content(msgspec.Struct, frozen=True):
    format: str
    entries: dict[str, Entry]


class Index:
    """What is known of files, by path and stamp. Paths are kept relative to the index's folder where they lie below it.

    A file that cannot be understood, or that another version of the decoder has written, counts as empty: all of it
    can be found out again.
    """

    def __init__(self, path: Path | None) -> None:
        """Read an index; None: remember nothing beyond this run. Raises: UsageError if `path` is a folder."""
        self.path = path
        self.trouble: str | None = None  # why it could not be written
        self._entries: dict[str, Entry] = {}
        self._changed = False
        self._format = f"{_FORMAT}, av {version('av')}, pillow {version('pillow')}"
        if path is None:
            return
        try:
            content = msgspec.json.decode(read_file(path), type=_Content)
        except FileNotFoundError:
            return
        except IsADirectoryError as error:
            raise UsageError(f"{path}: this is a folder; a file for the index was expected") from error
        except OSError as error:
            self.trouble = f"{path} cannot be read: {error.strerror}"
            return
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if content.format == self._format:
            self._entries = content.entries

    def entry(self, target: Target) -> Entry | None:
        """Return what is known of a target, as it is now."""
        kept = self._entries.get(self._key(target))
        return kept if kept and target.stamp == Stamp(kept.size, kept.mtime_ns) else None

    def probe(self, target: Target) -> Probe | None:
        """Return an earlier look at a target that was as deep as the one that is wanted now."""
        entry = self.entry(target)
        if entry is None or entry.probe is None:
            return None
        return entry.probe if entry.probe.deep or entry.probe.problem or not target.job.deep else None

    def keep(self, target: Target, **found: Probe | str) -> None:
        """Remember fields of an `Entry` about a target, beside what is known; what may pass is not remembered."""
        if target.stamp is None or any(isinstance(each, Probe) and each.passing for each in found.values()):
            return
        known = self.entry(target) or Entry(*target.stamp)
        self._changed = True
        self._entries[self._key(target)] = msgspec.structs.replace(known, **found)

    def save(self) -> None:
        """Write the index; a folder that may not be written to is no failure, but `trouble` says so."""
        if self.path is None or self.trouble or not self._changed:
            return
        try:
            with atomic_write(self.path) as part:
                part.write_bytes(msgspec.json.encode(_Content(self._format, self._entries)))
            self._changed = False
        except OSError as error:
            self.trouble = f"{self.path} cannot be written: {error.strerror}"

    def _key(self, target: Target) -> str:
        """Return a target's path, relative where a moved or differently mounted folder would keep it."""
        if self.path is None:
            return target.key
        return target.key.removeprefix(f"{self.path.parent}{os.sep}")


# --- files of the same bytes -----------------------------------------------------------------------------------------


def duplicates(targets: Iterable[Target], index: Index) -> list[list[Target]]:
    """Return groups of files that hold the same bytes. Lists of frames are not compared.

    A file that cannot be read is in no group; the look at it has said so.
    """
    by_size: dict[int, list[Target]] = defaultdict(list)
    for target in targets:
        if target.stamp and target.stamp.size and target.job.kind != "frames":
            by_size[target.stamp.size].append(target)
    groups = _split([group for group in by_size.values() if len(group) > 1], lambda one: _digest(one, index, "ends"))
    return _split(groups, lambda one: _digest(one, index, "whole"))


def _split(groups: Sequence[Sequence[Target]], feature: Callable[[Target], str]) -> list[list[Target]]:
    """Split groups by a feature, and let go of files that are alone with theirs, or have none."""
    members = [(number, target) for number, group in enumerate(groups) for target in group]
    values = _in_threads(feature, [target for _, target in members])
    parts: dict[tuple[int, str], list[Target]] = defaultdict(list)
    for (number, target), value in zip(members, values, strict=True):
        if value:
            parts[number, value].append(target)
    return [part for part in parts.values() if len(part) > 1]


def _digest(target: Target, index: Index, part: Literal["ends", "whole"]) -> str:
    """Return the digest of the first and the last block of a file, or of all of it; nothing where it cannot be read."""
    if (entry := index.entry(target)) and (known := entry.ends if part == "ends" else entry.whole):
        return known
    digest = hashlib.sha256()
    try:
        with target.job.file.open("rb") as file:
            for block in _ends(file) if part == "ends" else iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except (OSError, VideoError):
        return ""
    index.keep(target, **{part: digest.hexdigest()})
    return digest.hexdigest()


def _ends(file: BinaryIO) -> Iterator[bytes]:
    yield file.read(_BLOCK)
    file.seek(-min(_BLOCK, file.seek(0, os.SEEK_END)), os.SEEK_END)
    yield file.read(_BLOCK)
