"""Files of a data set that hold the same bytes: by size, then by their ends, then whole, so that few are read."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from videohub.preflight.index import Index
from videohub.preflight.targets import Target, in_threads

_BLOCK = 1 << 16


def copies(targets: Iterable[Target], index: Index) -> list[list[Target]]:
    """Return groups of files that hold the same bytes. Lists of frames are not compared.

    A file that cannot be read is in no group; the look at it has said so.
    """
    files = [target for target in targets if target.stamp and target.stamp.size and target.job.kind != "frames"]
    by_size: dict[int, list[Target]] = defaultdict(list)
    for target in files:
        by_size[target.stamp.size if target.stamp else 0].append(target)
    groups = _split([group for group in by_size.values() if len(group) > 1], lambda target: _ends(target, index))
    return _split(groups, lambda target: _whole(target, index))


def _split(groups: Sequence[Sequence[Target]], feature: Callable[[Target], str]) -> list[list[Target]]:
    """Split groups by a feature, and let go of files that are alone with theirs, or have none."""
    members = [(number, target) for number, group in enumerate(groups) for target in group]
    values = in_threads(feature, [target for _, target in members])
    parts: dict[tuple[int, str], list[Target]] = defaultdict(list)
    for (number, target), value in zip(members, values, strict=True):
        if value:
            parts[number, value].append(target)
    return [part for part in parts.values() if len(part) > 1]


def _ends(target: Target, index: Index) -> str:
    """Return the digest of the first and the last block, or nothing."""
    if (entry := index.entry(target)) and entry.ends:
        return entry.ends
    digest = hashlib.sha256()
    try:
        with open(os.fsdecode(target.job.path), "rb") as file:
            digest.update(file.read(_BLOCK))
            file.seek(-min(_BLOCK, file.seek(0, os.SEEK_END)), os.SEEK_END)
            digest.update(file.read(_BLOCK))
    except OSError:
        return ""
    index.keep(target, ends=digest.hexdigest())
    return digest.hexdigest()


def _whole(target: Target, index: Index) -> str:
    """Return the digest of a whole file, or nothing."""
    if (entry := index.entry(target)) and entry.whole:
        return entry.whole
    digest = hashlib.sha256()
    try:
        with open(os.fsdecode(target.job.path), "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return ""
    index.keep(target, whole=digest.hexdigest())
    return digest.hexdigest()
