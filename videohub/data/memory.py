"""How much memory one video may take: its share of what this machine has free now, as far as the system tells."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from videohub.data.samples import StoredFile
from videohub.errors import VideoError

MOST_BYTES = 16 << 30  # a video that needs more is refused before it takes any machine down
PREPARING = 20  # bytes for a pixel of the picture at hand: as decoded, as RGB, as floats
_USUAL_BYTES = 1 << 30  # what every video is given where the machine has it, however many are decoded at once
_UNLIMITED = 1 << 60  # version 1 of control groups says "none" by a number like that
_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# the limit of a control group, what it uses, and the entry of memory.stat for what the system would let go of: 2 and 1
_GROUP_2 = "memory.max", "memory.current", "inactive_file"
_GROUP_1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


class Budget:
    """The memory that one video may take, and what its kept frames take of it."""

    def __init__(self, share: int = 1) -> None:
        """Be that of one of `share` videos that this machine decodes at the same time."""
        self._share = share
        self._most: int | None = None
        self.kept = 0  # bytes

    @property
    def most(self) -> int:
        """Bytes in all, measured when they are first asked for.

        Not by `cached_property`, whose lock, before Python 3.12, a fork copies as another thread holds it.
        """
        if self._most is None:
            self._most = for_one_video(self._share)
        return self._most

    def check(self, path: StoredFile, held: int, what: str) -> None:
        """Make sure that there is room for `held` bytes beside what is kept. Raises: VideoError, naming `what`."""
        if self.kept + held <= self.most:
            return
        fewer = f", one of {self._share} that are decoded at once" if self._share > 1 else ""
        raise VideoError(
            f"{path}: {what} would take {(self.kept + held) / 2**30:.1f} GiB of memory, more than the "
            f"{self.most / 2**30:.1f} GiB that a video may take here now{fewer}; resize or crop it"
        )


def for_one_video(share: int) -> int:
    """Return how many bytes one of `share` videos may take that are decoded at the same time.

    As much as each of them is left to all else: the model, and what decoders take beside pictures.
    """
    free = available()
    if free is None:
        return MOST_BYTES
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "")  # of torchrun: as many runs, each with its decoders
    share *= int(ranks) if ranks.isdigit() else 1
    return min(MOST_BYTES, max(free // (share + 1), min(free, _USUAL_BYTES)))


def available() -> int | None:
    """Return how many bytes this process may still take: the least that the machine and its limits leave.

    Counted are the machine's memory, the control groups that hold this process (containers), and its address space
    (`ulimit -v`). None where the system tells nothing of that.
    """
    left = [*_of_machine(), *_of_groups(), *_of_address_space()]
    return max(0, min(left)) if left else None


def _of_machine() -> Iterator[int]:
    """Yield what programs can have without others being moved to disk; elsewhere than on Linux half of all memory."""
    if match := re.search(r"^MemAvailable:\s*(\d+) kB", _text(_PROC / "meminfo"), re.MULTILINE):
        yield int(match[1]) << 10
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_groups() -> Iterator[int]:
    """Yield what each control group around this process leaves it."""
    for line in _text(_PROC / "self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield from _of_group(_CGROUPS, path, *_GROUP_2)
        elif "memory" in controllers.split(","):
            yield from _of_group(_CGROUPS / "memory", path, *_GROUP_1)


def _of_group(root: Path, path: str, limit: str, used: str, droppable: str) -> Iterator[int]:
    """Yield what a group and those above it leave; inside a container its path may not be there, and the root is it."""
    inner = root / path.lstrip("/")
    for folder in (inner, *inner.parents):
        most, current = _text(folder / limit).strip(), _text(folder / used).strip()
        if most.isdigit() and current.isdigit() and int(most) < _UNLIMITED:
            match = re.search(rf"^{droppable} (\d+)", _text(folder / "memory.stat"), re.MULTILINE)
            yield int(most) - int(current) + (int(match[1]) if match else 0)
        if folder == root:
            return


def _of_address_space() -> Iterator[int]:
    """Yield what `ulimit -v` leaves."""
    match = re.search(r"^Max address space\s+(\d+)", _text(_PROC / "self/limits"), re.MULTILINE)
    pages = _text(_PROC / "self/statm").split()
    if match and pages:
        yield int(match[1]) - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(path: Path) -> str:
    """Return what a file of the system says; nothing where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
