"""Which of the layouts that people keep is there: frames of a list, a folder of frames a video, or video files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from videohub.data.samples import FrameList, Source, VideoFile
from videohub.data.sets.frame_lists import ListedVideo

_TRIED = 100  # videos whose first frame is looked for: a data set may lack some
_IMAGES = (".jpg", ".jpeg", ".png")


def folder_of_frames(videos: Iterable[ListedVideo], places: Iterable[Path]) -> Path | None:
    """Return the first of `places` below which frames of a list lie; None where there are none."""
    names = [video.names.split("\n", 1)[0] for video in videos]
    tried = names[:: max(1, len(names) // _TRIED)]
    return next((place for place in places if any((place / name).is_file() for name in tried)), None)


def listed_frames(videos: Mapping[str, ListedVideo], folder: Path) -> dict[str, Source]:
    """Return the frames of each video of a frame list, whose paths start from `folder`."""
    return {name: FrameList(folder, video.names) for name, video in videos.items()}


def place_of_videos(names: Collection[str], places: Iterable[Path], suffixes: Sequence[str]) -> tuple[Path, str] | None:
    """Return the first of `places` that holds a file `NAME.suffix`, or a folder `NAME`, of any video, and its suffix.

    A folder, of frames, has the suffix "". None where nothing is found.
    """
    for place in filter(Path.is_dir, places if names else ()):
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name in names and entry.is_dir():
                    return place, ""
                name, suffix = os.path.splitext(entry.name)
                if name in names and suffix in suffixes:
                    return place, suffix
    return None


def videos_at(names: Iterable[str], place: Path, suffix: str) -> dict[str, Source]:
    """Return the source of each video at a place that `place_of_videos` found.

    Frames are ordered by the length of their names and then by the name, so that 9 goes before 10. A video without
    frames is given as the file that it is not: like any missing video, it is for the evaluation to count.
    """
    if suffix:
        return {name: VideoFile(place / f"{name}{suffix}") for name in names}
    return {name: _frames_in(place / name) or VideoFile(place / name) for name in names}


def instead_of_list(list_file: Path | None, place: Path, suffix: str, frames: str) -> str:
    """Return a note that tells what is read where there are no listed frames; `frames` says what those would be."""
    why = f"none of the frames that {list_file} names is there" if list_file else "there is no frame list"
    if not suffix:
        return f"{why}: all images in each folder {place / 'ID'} are read"
    return (
        f"{why}: the video files {place / f'ID{suffix}'} are read; the published number was measured on frames {frames}"
    )


def _frames_in(folder: Path) -> FrameList | None:
    """Return the images in a folder."""
    if not folder.is_dir():
        return None
    names = [name for name in os.listdir(folder) if name.lower().endswith(_IMAGES)]
    return FrameList(folder, "\n".join(sorted(names, key=lambda name: (len(name), name)))) if names else None
