"""Probe one video, image or list of frames: can it be read, how large, how long, at which rate.

This runs in worker processes, for a decoder may crash or never answer: that costs one file, not the check.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from videohub.data.samples import ShardMember, StoredFile
from videohub.data.video_info import END_TOLERANCE, Contradiction, contradictions, refusal
from videohub.errors import VideoError, VideohubError
from videohub.escaping import encodable
from videohub.worker_pool import Lost, Work, WorkerPool
from videohub.worker_pool.process import decode, encode

if TYPE_CHECKING:
    from videohub.data.video import Video

_EVEN = 0.02  # the two frame rates that a container states may differ by this share in a video of even rate


class Job(msgspec.Struct, frozen=True):
    """What to probe. Bytes, for the names of files need not be text."""

    kind: Literal["video", "image", "frames"]
    path: bytes  # the file; of frames, their folder
    names: bytes = b""  # of frames, below the folder, one a line
    deep: bool = False  # decode everything
    member: ShardMember | None = None  # of a tar, which is looked at in place of the path

    @property
    def file(self) -> StoredFile:
        """What is looked at, unless it is a folder of frames."""
        return self.member or Path(os.fsdecode(self.path))


class Probe(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found about one file. 0 and 0.0 where a container does not say."""

    problem: str | None = None  # why no picture can be had
    damage: str | None = None  # why not all of them can be had, where all were asked for
    passing: bool = False  # the problem is one of this moment: it was not allowed, took too long, crashed
    fault: bool = False  # the problem is videohub's own: an exception that nobody expected
    width: int = 0  # pixels, as decoded
    height: int = 0
    frames: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    uneven: bool = False  # the distance between frames varies
    contradictions: tuple[Contradiction, ...] = ()  # of its header and its content; where not deep, those of the header
    refusal: str | None = None  # why the original's reader of video files does not take it
    patched: int = 0  # frames, of those decoded, whose damage the decoder covered up
    absent: int = 0  # images of a list that are not there
    unlike: int = 0  # images of a list, of those opened, that have another size than the first
    deep: bool = False

    @property
    def short_side(self) -> int:
        """Return the smaller one of width and height, in pixels."""
        return min(self.width, self.height)


def probe_file(job: Job) -> Probe:
    """Probe one thing; what is wrong with it is part of the answer."""
    path = job.file
    try:
        if isinstance(path, Path) and job.kind == "frames":
            return _probe_frames(path, os.fsdecode(job.names).split("\n"), deep=job.deep)
        if isinstance(path, ShardMember) and job.deep:
            path = path.fetched()
        if job.kind == "video":
            return _probe_video(path, job.deep)
        from videohub.data.images import image_size

        width, height = image_size(path, whole=job.deep)
        return Probe(width=width, height=height, frames=1, deep=job.deep)
    except VideohubError as error:
        return Probe(problem=_reason(error, path), passing=not isinstance(error, VideoError), deep=job.deep)
    except OSError as error:
        return Probe(problem=f"cannot be read: {error.strerror or error}", passing=True)


def _reason(error: VideohubError, path: StoredFile) -> str:
    """Return a message without the path that it begins with; the finding names the sample already."""
    return encodable(str(error).removeprefix(f"{path}: "))


# --- many, in processes ----------------------------------------------------------------------------------------------


def probe_files(jobs: Sequence[Job], *, workers: int, timeout_s: float) -> Generator[Probe, None, None]:
    """Yield what was found in each job, in order. Close the generator to end the processes early.

    After `timeout_s` on one job its process is ended, and the job's answer is that.
    Raises: DeviceError if no process can be started.
    """
    workers = max(1, min(workers, len(jobs)))
    with WorkerPool(_ProbeWork(timeout_s), workers=workers, timeout_s=timeout_s) as pool:
        for _, probe in pool.map((None, job) for job in jobs):
            yield probe


def worker(_: bytes) -> Callable[[bytes], tuple[bytes, list[int]]]:
    """Return what probes a file in a worker process."""
    return lambda text: (encode(probe_file(decode(text, Job))), [])


class _ProbeWork(Work[Job, Probe]):
    handler = f"{__name__}:worker"
    faults_end = False  # an exception of ours is an answer, too

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def client(self) -> _ProbeWork:
        return self  # nothing is to be kept of a process

    def task(self, task: Job) -> bytes:
        return encode(task)

    def result(self, body: bytes, _: Sequence[int]) -> Probe:
        return decode(body, Probe)

    def lost(self, lost: Lost) -> Probe:
        if lost.kind == "fault":
            return Probe(problem=lost.cause, passing=True, fault=True)
        late = f"the decoder gave no answer within {self._timeout_s:g} s, and was ended"
        return Probe(problem=late if lost.kind == "timeout" else f"the decoder crashed ({lost.cause})", passing=True)


# --- videos ----------------------------------------------------------------------------------------------------------


def _probe_video(path: StoredFile, deep: bool) -> Probe:
    """Read the header, decode one picture, and ask for the end; or decode everything.

    Where a container states no length at all, counting is the only way to tell it.
    """
    from videohub.data.decoded_images import UPRIGHT, orientation
    from videohub.data.video import open_video, very_first

    with open_video(path) as video:
        stated = _seconds(video)
        deep = deep or not (video.info.frames or stated)
        count, patched, size, turned, damage = 0, 0, (0, 0), UPRIGHT, None
        try:
            for frame in video.frames():
                now = (frame.picture.width, frame.picture.height)
                if not count:
                    size, turned = now, orientation(frame.picture)
                elif now != size:
                    damage = f"its size changes from {size[0]} x {size[1]} to {now[0]} x {now[1]} at frame {count}"
                    break
                count += 1
                patched += frame.picture.is_corrupt
                if not deep:
                    break
        except VideoError as error:
            if not count:
                raise
            damage = _reason(error, path)
        conflicts = contradictions(video.info, video.stamps() if deep else None, turned)
        if not deep:
            damage = _missing_end(video)
        whole = deep and damage is None
        refused = refusal(video.info)
        if video.info.cover_first:
            with open_video(path, very_first) as cover:
                refused = refusal(cover.info)
        return Probe(
            damage=damage,
            width=size[0],
            height=size[1],
            frames=count if whole else video.info.frames,
            fps=float(video.info.rate or 0),
            seconds=stated or (count / float(video.info.rate) if whole and video.info.rate else 0.0),
            uneven=_is_uneven(video),
            contradictions=conflicts,
            refusal=refused,
            patched=patched,
            deep=deep,
        )


def _seconds(video: Video) -> float:
    """Return the length that the stream states, else the container's, else 0."""
    if video.info.duration is not None:
        return float(video.info.duration * video.info.time_base)
    return (video.container.duration or 0) / 1_000_000  # FFmpeg counts a container in microseconds


def _missing_end(video: Video) -> str | None:
    """Say so if the end that the header states is not in the file; this takes less than a millisecond.

    Only containers that count frames state the end of the pictures; with others, decoding tells.
    """
    import av

    from videohub.data.containers import ending

    info, reached, stamped = video.info, 0, False
    if not info.frames or info.duration is None:
        return None
    first = video.stream.start_time or 0
    try:
        video.container.seek(first + info.duration, stream=video.stream)
    except av.FFmpegError:  # a file that cannot be sought in may be whole
        return None
    try:
        for packet in video.container.demux(video.stream):
            if (begins := packet.pts if packet.pts is not None else packet.dts) is not None:
                reached, stamped = max(reached, begins + (packet.duration or 0)), True
    except av.FFmpegError as error:
        return f"damaged near its end: {error.strerror}"
    ticks = END_TOLERANCE / (info.rate or 10) / info.time_base
    if (stamped and reached + ticks >= info.duration) or ending(video.path) == "whole":
        return None
    return f"cut short: the header states {float(info.duration * info.time_base):.2f} s, whose end is not in the file"


def _is_uneven(video: Video) -> bool:
    """Tell whether frames come at a varying distance: then the average rate is not the one that most frames keep."""
    average, base = float(video.info.rate or 0), float(video.stream.base_rate or 0)
    if not base or abs(base - 2 * average) < _EVEN * average:  # twice: the two fields of interlaced frames
        return False
    return abs(base - average) > _EVEN * average


# --- images ----------------------------------------------------------------------------------------------------------


def _probe_frames(folder: Path, names: list[str], *, deep: bool) -> Probe:
    """Ask folders which images are there; open the first, the middle and the last one, or all."""
    from videohub.data.images import image_size

    there = _names_there(folder, {name.rpartition("/")[0] for name in names})
    present = [name for name in names if name in there]
    if not present:
        problem = f"none of its {len(names)} images is there; the first would be {encodable(str(folder / names[0]))}"
        return Probe(problem=problem, deep=deep)
    chosen = present if deep else [present[0], present[len(present) // 2], present[-1]]
    first = image_size(folder / chosen[0], whole=deep)
    unlike, damage = 0, None
    for name in chosen[1:]:
        try:
            unlike += image_size(folder / name, whole=deep) != first
        except VideohubError as error:
            damage = damage or f"{encodable(name)}: {_reason(error, folder / name)}"
    return Probe(
        damage=damage,
        width=first[0],
        height=first[1],
        frames=len(names),
        absent=len(names) - len(present),
        unlike=unlike,
        deep=deep,
    )


def _names_there(folder: Path, below: set[str]) -> set[str]:
    """Return what lies in some folders, named as a list would: to ask for each image alone takes far longer."""
    there: set[str] = set()
    for part in below:
        try:
            with os.scandir(folder / part) as entries:
                there.update(f"{part}/{entry.name}" if part else entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return there
