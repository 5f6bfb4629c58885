"""Data sets that are no list but a folder for each class, with the class's videos or images in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from videohub.data.samples import ImageFile, Sample, VideoFile
from videohub.data.sets.listing import listing_of
from videohub.data.sets.notes import left_out
from videohub.errors import DataError


def folders_in(place: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, but hidden ones; none where there is no such folder."""
    return [place / name for name in listing_of(place).folders]


def samples_in(
    folders: Mapping[Path, int], kind: type[VideoFile | ImageFile], suffixes: Sequence[str]
) -> tuple[list[Sample], tuple[str, ...]]:
    """Return a sample for each file in the folders of classes, sorted by name, and what was left out.

    Args:
        folders: The class of each folder.
        kind: What the files are.
        suffixes: Ends of the names of such files, in lower case. Others are left out and told, hidden ones ignored.
    Raises: DataError if there is no such file.
    """
    samples: list[Sample] = []
    others: list[str] = []
    for folder, index in folders.items():
        found = listing_of(folder)
        for name in found.files:
            if name.lower().endswith(tuple(suffixes)):
                samples.append(Sample(f"{folder.name}/{name}", kind(folder / name), (index,)))
            else:
                others.append(f"{folder.name}/{name}")
        others += [f"{folder.name}/{name}/" for name in found.folders]
    if not samples:
        first = next(iter(folders))
        raise DataError(
            f"{first.parent}: its folders of classes, {first.name} the first, hold no files that end in "
            + ", ".join(suffixes)
        )
    what = "videos" if kind is VideoFile else "images"
    return samples, left_out(f"files in folders of classes that are no {what}", others)
