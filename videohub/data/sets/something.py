"""Something-Something V2: classes from its JSON files; frames by a frame list, or the videos as they are given out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from videohub.data.samples import DataSet, Sample, Source, VideoFile
from videohub.data.sets.folders import VIDEOS, Videos, instead_of_list, place_of_videos, videos_at
from videohub.data.sets.frame_lists import folder_of_frames, frame_list_file, listed_frames, read_frame_list
from videohub.data.sets.lists import (
    first_character,
    first_file,
    folder_of,
    json_of,
    left_out,
    lines,
    names_of_lists,
    needed_file,
    read_list_of_videos,
)
from videohub.errors import DataError
from videohub.registry.schema import Record

_NAMES_OF_SPLITS = {"val": "validation"}
_UNPACKED = "20bn-something-something-v2"  # the folder that the published parts unpack to


class _Annotation(msgspec.Struct, frozen=True):
    """One video of the validation file; the fields that are not named here are not needed."""

    id: str | int
    template: str


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read a split; samples stand in the order of its annotation file, whichever layout holds the pictures.

    Lists are looked for in the folder and in its `labels` and `frame_lists`. Frames are used where a frame list or a
    folder of images for each video is there, video files (`ID.webm`, or `ID.mp4`) where not. The class is that of the
    template; a frame list's own column is empty in the published files and not looked at.
    The short names of the lists and the folder `labels` are not in our facts, but as the data set is given out today.
    Where the list of `path label` that mmaction2 makes of them is named, or is the only one, it is read in their place.
    """
    folder, split = folder_of(data), record.protocol.split
    places = (folder, folder / "labels", folder / "annotations")
    if listing := _list_of_videos(data, places, split, (record.dataset.name, *record.dataset.aliases)):
        return DataSet(read_list_of_videos(listing, root=root, start=None, split=split, num_classes=record.num_classes,
                                           kind=VideoFile))  # fmt: skip
    given = first_character(data) if data.is_file() else None  # JSON's "[" and "{", or a frame list's first letter
    labels = (
        data
        if given == "{"
        else needed_file("list of classes", places, ("something-something-v2-labels.json", "labels.json"))
    )
    annotations = (
        data if given == "[" else needed_file(f"list of the {split} videos", places, _names_of_annotations(split))
    )
    classes = _classes_of_videos(annotations, _classes(labels, record.num_classes), labels)
    frame_list = data if given and given not in "[{" else None
    sources, notes = _sources(frame_list, folder, root, split, classes, record.dataset.fps)
    samples = [Sample(video, sources[video], (index,)) for video, index in classes.items() if video in sources]
    if not samples:
        raise DataError(f"{annotations}: no video of it is in the frame list; its first one is {next(iter(classes))}")
    return DataSet(samples, notes=notes)


def _list_of_videos(data: Path, places: Sequence[Path], split: str, called: Sequence[str]) -> Path | None:
    """Return a list of `path label`, if one was named, or lies where no annotations do."""
    if data.is_file():
        begins = next((line for _, line in lines(data)), "")
        return None if begins.lstrip()[:1] in ("[", "{", "") or begins.startswith("original_vid") else data
    if first_file(places, _names_of_annotations(split)):
        return None
    return first_file(places, names_of_lists(called, split))


def _names_of_annotations(split: str) -> tuple[str, str]:
    stem = _NAMES_OF_SPLITS.get(split, split)
    return f"something-something-v2-{stem}.json", f"{stem}.json"


def _classes(file: Path, num_classes: int) -> dict[str, int]:
    """Read the class of each template."""
    classes = json_of(file, dict[str, str | int])
    for template, index in classes.items():
        if not re.fullmatch("[0-9]{1,9}", str(index)) or int(index) >= num_classes:
            raise DataError(f"{file}: {template!r} has the class {index!r}; expected 0 to {num_classes - 1}")
    return {template: int(index) for template, index in classes.items()}


def _classes_of_videos(file: Path, classes: dict[str, int], labels: Path) -> dict[str, int]:
    """Read the class of each video."""
    indices: dict[str, int] = {}
    for annotation in json_of(file, list[_Annotation]):
        video, template = str(annotation.id), annotation.template.replace("[", "").replace("]", "")
        if template not in classes:
            raise DataError(f"{file}: video {video} has the template {annotation.template!r}, which {labels} lacks")
        if video in indices:
            raise DataError(f"{file}: video {video} stands twice; each video must count once")
        indices[video] = classes[template]
    if not indices:
        raise DataError(f"{file}: the list holds no videos")
    return indices


def _sources(
    named: Path | None, folder: Path, root: Path | None, split: str, videos: dict[str, int], fps: float | None
) -> tuple[dict[str, Source], tuple[str, ...]]:
    """Return what each video is read from, by the layout that is there, and what that means for the samples.

    `named` is the frame list, if it was given by name.
    """
    starts = [root] if root else [folder, folder / "frames", folder / "videos"]
    list_file = named or frame_list_file(folder, split)
    listed, notes = read_frame_list(list_file) if list_file else ({}, ())
    frames = folder_of_frames(listed.values(), starts)
    if frames or named:  # who names the list means its frames
        place = None
    else:
        places = [*starts, *(start / _UNPACKED for start in starts)]
        place = place_of_videos(videos, places, (".webm", *VIDEOS), frames=True)
    if list_file and not place:
        return listed_frames(listed, frames or starts[0]), (*notes, *_differences(list_file, listed, videos))
    place = place or Videos(starts[0], {}, frozenset(), ".webm")
    return videos_at(videos, place), instead_of_list(list_file, place, "extracted", fps=fps)


def _differences(list_file: Path, listed: Collection[str], videos: Collection[str]) -> list[str]:
    """Tell which videos only the frame list or only the annotations have; the original leaves them out in silence."""
    unlisted = [video for video in videos if video not in listed]
    unknown = [video for video in listed if video not in videos]
    return [
        *left_out(f"of {len(videos)} annotated videos those that {list_file} does not name", unlisted),
        *left_out(f"of {len(listed)} videos of {list_file} those without an annotation", unknown),
    ]
