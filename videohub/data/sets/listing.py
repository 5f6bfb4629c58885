"""What lies in a folder, but what systems leave there for themselves; one listing a folder, whatever is looked for."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

IMAGES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
VIDEOS = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".3gp", ".ts")

# Of Windows, macOS archives, network disks and file systems, in lower case. Others of theirs begin with a dot.
_LEFTOVERS = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "__macosx", "@eadir",
     "#recycle", "@recycle", "lost+found")
)  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """The names in a folder, sorted: files (links that lead nowhere among them), and folders."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def listing_of(place: Path) -> Listing:
    """Return what lies in a folder, but hidden names (`._a.jpg`, `.DS_Store`) and a system's (`Thumbs.db`, `@eaDir`).

    Nothing where there is no such folder. Raises: OSError if it may not be looked into.
    """
    found = Listing()
    if place.is_dir():
        with os.scandir(place) as entries:
            for entry in entries:
                if not is_leftover(entry.name):
                    (found.folders if entry.is_dir() else found.files).append(entry.name)
        found.files.sort()
        found.folders.sort()
    return found


def is_leftover(name: str) -> bool:
    """Say whether a name is hidden or one that a system gives to what is its own."""
    return name.startswith(".") or name.casefold() in _LEFTOVERS


def files_by_stem(files: Sequence[str], stems: Collection[str], suffixes: Sequence[str]) -> dict[str, str]:
    """Return the file of each of `stems` that has one: any of `suffixes`, in lower or upper case, the earlier first."""
    found: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for file in files:
        stem, suffix = os.path.splitext(file)
        if stem in stems and (lower := suffix.lower()) in suffixes:
            rank = suffixes.index(lower)
            if rank < ranks.get(stem, len(suffixes)):
                found[stem], ranks[stem] = file, rank
    return found
