"""Which of the layouts that people keep is there: frames of a list, a folder of frames a video, or video files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videohub.data.samples import FrameList, Source, VideoFile
from videohub.data.sets.frame_lists import ListedVideo
from videohub.data.sets.listing import IMAGES, files_by_stem, listing_of

_TRIED = 100  # videos whose first frame is looked for: a data set may lack some


def folder_of_frames(videos: Iterable[ListedVideo], places: Iterable[Path]) -> Path | None:
    """Return the first of `places` below which frames of a list lie; None where there are none."""
    names = [video.names.split("\n", 1)[0] for video in videos]
    tried = names[:: max(1, len(names) // _TRIED)]
    return next((place for place in places if any((place / name).is_file() for name in tried)), None)


def listed_frames(videos: Mapping[str, ListedVideo], folder: Path) -> dict[str, Source]:
    """Return the frames of each video of a frame list, whose paths start from `folder`."""
    return {name: FrameList(folder, video.names) for name, video in videos.items()}


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
        places: Folders.
        suffixes: Of videos, in lower case; of two files of one name, the one whose suffix stands first is read.
        frames: Whether a folder with a video's name stands for it.
    """
    found = [_videos_in(place, frozenset(names), suffixes, frames) for place in dict.fromkeys(places)] if names else []
    most = max(found, key=lambda videos: len(videos.files.keys() | videos.folders), default=None)
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


def instead_of_list(list_file: Path | None, videos: Videos, frames: str) -> tuple[str, ...]:
    """Return notes that tell what is read where there are no listed frames; `frames` says what those would be."""
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
