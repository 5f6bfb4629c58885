"""What lies in the folders of a data set: videos or images by their names, a folder for each class, or for each video.

Each folder is listed once, whatever is looked for, and what systems leave there for themselves is passed over.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from videohub.data.samples import FrameList, ImageFile, Sample, Source, VideoFile
from videohub.data.sets.lists import left_out
from videohub.errors import DataError
from videohub.protocols import Protocol

IMAGES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
VIDEOS = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".3gp", ".ts")


def suffixes_of(protocol: Protocol) -> tuple[str, ...]:
    """Return how the files may end that a protocol takes views from: images or videos, in lower case."""
    return IMAGES if protocol.scored == "image" else VIDEOS


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
    listing = Listing()
    if place.is_dir():
        with os.scandir(place) as entries:
            for entry in entries:
                if not is_leftover(entry.name):
                    (listing.folders if entry.is_dir() else listing.files).append(entry.name)
        listing.files.sort()
        listing.folders.sort()
    return listing


def is_leftover(name: str) -> bool:
    """Say whether a name is hidden or one that a system gives to what is its own."""
    return name.startswith(".") or name.casefold() in _LEFTOVERS


def files_by_stem(files: Sequence[str], stems: Collection[str], suffixes: Sequence[str]) -> dict[str, str]:
    """Return the file of each of `stems` that has one: any of `suffixes`, in lower or upper case, the earlier first."""
    matches: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for file in files:
        stem, suffix = os.path.splitext(file)
        if stem in stems and (lower := suffix.lower()) in suffixes:
            rank = suffixes.index(lower)
            if rank < ranks.get(stem, len(suffixes)):
                matches[stem], ranks[stem] = file, rank
    return matches


# --- a folder for each class -----------------------------------------------------------------------------------------


def folders_in(place: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, but hidden ones; none where there is no such folder."""
    return [place / name for name in listing_of(place).folders]


def samples_in(
    place: Path, folders: Mapping[Path, int], kind: type[VideoFile | ImageFile], *, others_are: str
) -> tuple[list[Sample], tuple[str, ...]]:
    """Return a sample for each file in the folders of classes, sorted by name, and what was left out.

    Files of other suffixes are left out and told, hidden ones ignored.

    Args:
        others_are: What further folders there are in `place`, for a note, such as `no class`.
    Raises: DataError if there is no such file.
    """
    samples, others = list[Sample](), list[str]()
    what, suffixes = ("images", IMAGES) if kind is ImageFile else ("videos", VIDEOS)
    for folder, index in folders.items():
        listing = listing_of(folder)
        for name in listing.files:
            if name.lower().endswith(suffixes):
                samples.append(Sample(f"{folder.name}/{name}", kind(folder / name), (index,)))
            else:
                others.append(f"{folder.name}/{name}")
        others += [f"{folder.name}/{name}/" for name in listing.folders]
    if not samples:
        first = next(iter(folders)).name
        raise DataError(
            f"{place}: its folders of classes, {first} the first, hold no files that end in {', '.join(suffixes)}"
        )
    strange = [folder.name for folder in folders_in(place) if folder not in folders]
    return samples, (
        *left_out(f"folders in {place} that are {others_are}", strange),
        *left_out(f"files in folders of classes that are no {what}", others),
    )


# --- a file or a folder for each video -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Videos:
    """Where the videos of a data set lie: which have a file, and which a folder of frames, by their names."""

    place: Path
    files: dict[str, str]  # name of a video -> of its file
    folders: frozenset[str]
    suffix: str  # of a file that is not there: what most have, "" where most are folders

    def path(self, name: str) -> Path:
        """Return the file of a video, or what it would be called."""
        return self.place / self.files.get(name, f"{name}{self.suffix}")

    def forms(self) -> list[str]:
        """Return how the files are called, `ID.mp4`, the most frequent first."""
        counts = Counter(os.path.splitext(file)[1] for file in self.files.values())
        return [f"ID{suffix}" for suffix, _ in counts.most_common()] or [f"ID{self.suffix}"]


def place_of_videos(
    names: Collection[str], places: Iterable[Path], suffixes: Sequence[str], *, frames: bool
) -> Videos | None:
    """Return where most of the videos lie, of equal places the first; None where no place has any.

    Each place is listed once. Every video is looked for by itself: tools leave several containers side by side.

    Args:
        names: What the videos are called, without a suffix.
        suffixes: Of videos, in lower case; of two files of one name, the one whose suffix stands first is read.
        frames: Whether a folder with a video's name stands for it.
    """
    candidates = (
        [_videos_in(place, frozenset(names), suffixes, frames) for place in dict.fromkeys(places)] if names else []
    )
    most = max(candidates, key=lambda videos: len(videos.files.keys() | videos.folders), default=None)
    return most if most and (most.files or most.folders) else None


def _videos_in(place: Path, names: Collection[str], suffixes: Sequence[str], frames: bool) -> Videos:
    listing = listing_of(place)
    files = files_by_stem(listing.files, names, suffixes)
    folders = frozenset(folder for folder in listing.folders if frames and folder in names)
    counts = Counter(os.path.splitext(file)[1] for file in files.values())
    usual = counts.most_common(1)[0][0] if counts else suffixes[0]
    return Videos(place, files, folders, "" if len(folders) > len(files) else usual)


def videos_at(names: Iterable[str], videos: Videos) -> dict[str, Source]:
    """Return the source of each video at a place that `place_of_videos` found: its frames, else its file.

    Frames are ordered by the length of their names and then by the name, so that 9 goes before 10. A video that has
    neither is given as the file that it is not: like any missing video, it is for the evaluation to count.
    """

    def source(name: str) -> Source:
        frames = _frames_in(videos.place / name) if name in videos.folders else None
        return frames or VideoFile(videos.path(name))

    return {name: source(name) for name in names}


def instead_of_list(list_file: Path | None, videos: Videos, frames: str, *, fps: float | None) -> tuple[str, ...]:
    """Return notes that tell what is read where there are no listed frames; `frames` says what those would be."""
    frames += f" at {fps:g} a second" if fps else ""
    why = f"none of the frames that {list_file} names is there" if list_file else "there is no frame list"
    notes = [f"{why}: all images in each folder {videos.place / 'ID'} are read"] if videos.folders else []
    if videos.files or not videos.folders:
        forms = " or ".join(str(videos.place / form) for form in videos.forms())
        notes.append(f"{why}: the video files {forms} are read; the published number was measured on frames {frames}")
    return tuple(notes)


def _frames_in(folder: Path) -> FrameList | None:
    """Return the images in a folder."""
    names = [name for name in listing_of(folder).files if name.lower().endswith(IMAGES)]
    return FrameList(folder, "\n".join(sorted(names, key=lambda name: (len(name), name)))) if names else None
