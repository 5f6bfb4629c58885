"""Kinetics: lists of `path label`, the annotations that the data set is given out with, or a folder for each class.

Data sets that no other module claims are read here too, so a company's own needs no code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from videohub.data.labels import class_called, class_names, numbers_by_name
from videohub.data.samples import DataSet, ImageFile, Sample, VideoFile
from videohub.data.sets.folders import (
    VIDEOS,
    Videos,
    files_by_stem,
    folders_in,
    listing_of,
    place_of_videos,
    samples_in,
)
from videohub.data.sets.lists import (
    first_file,
    folder_of,
    header_of,
    left_out,
    names_of_lists,
    read_list_of_videos,
    table,
)
from videohub.errors import DataError, UsageError
from videohub.registry.labels import in_words, known
from videohub.registry.schema import Labels, Record

_SPELLINGS = ("val", "validate", "validation")  # of the split, as several releases have it
_TESTED = (*_SPELLINGS, "test")  # splits that stand for each other where one of them alone is there
_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read a list, or what a folder holds: a list (`val.csv`, `test.csv`, `validate.csv`), or a folder for each class.

    A list may also be called as mmaction2 calls it, `kinetics400_val_list_videos.txt`; see `read_list_of_videos`.
    A list whose header names `youtube_id` is an official one, `label,youtube_id,time_start,time_end,split`: names for
    labels, and files `ID_000010_000020.mp4`, as the usual download tools name them. The paths of other lists start from
    `root`, or from the folder that was given or that the given list lies in.
    """
    split = record.protocol.split
    file, notes = _the_list(data, split, (record.dataset.name, *record.dataset.aliases))
    if file is None:
        return _of_class_folders(data if root is None else root, record)
    if len(set(_COLUMNS) & set(header_of(file))) > 1:  # of a list, the first line may hold one of the words
        return _official(file, root, record, notes)
    start = data if data.is_dir() else None
    notes += _numbering(file, record)
    samples = read_list_of_videos(
        file, root=root, start=start, split=split, num_classes=record.num_classes, kind=_kind(record)
    )
    return DataSet(samples, notes=notes)


def _numbering(file: Path, record: Record) -> tuple[str, ...]:
    """Tell how a list's numbers are understood where a network counts the data set's classes in an order of its own."""
    labels = record.labels
    if not isinstance(labels, str) or labels == record.protocol.dataset or record.protocol.dataset not in known():
        return ()
    first = class_names(labels)[0]
    return (f"the numbers in {file} are taken for those of {labels}, in which 0 is {first!r}, as this network counts; "
            "annotations and folders that name classes are safe",)  # fmt: skip


def _kind(record: Record) -> type[VideoFile | ImageFile]:
    return ImageFile if record.protocol.frames.reach == "image" else VideoFile


def _the_list(data: Path, split: str, called: Sequence[str]) -> tuple[Path | None, tuple[str, ...]]:
    """Return the list that is meant, if there is one, and which others were passed over. Raises: UsageError."""
    if data.is_file():
        return data, ()
    places = (data, data / "annotations")
    names = [*_files(split), *names_of_lists(called, split)]
    file = first_file(places, names)
    if file is None:
        _refuse_others(places, split, called)
    others = [place / name for name in names for place in places if (place / name).is_file() and place / name != file]
    notes = tuple(f"{other} is there too; {file} was read" for other in others)
    return file, notes if file is None else (*notes, *_instead(split, file, file.stem))


def _refuse_others(places: Sequence[Path], split: str, called: Sequence[str]) -> None:
    """Say so where a folder has mmaction2's lists of several data sets, as its Kinetics-710 has, or of another one."""
    ending = f"_{split}_list_videos.txt"
    if others := [name for place in places for name in listing_of(place).files if name.endswith(ending)]:
        whole = names_of_lists(called[:1], split)[0]
        raise UsageError(
            f"{places[0]}: found {', '.join(others)}, expected the list of {called[0]}; give one of them, or join them "
            f"into {whole}, with paths that start from one folder"
        )


def _instead(split: str, path: Path, name: str) -> tuple[str, ...]:
    """Return that a list or folder by its name is the other one of those for testing, where it is."""
    is_other = (split == "test" and name in _SPELLINGS) or (split in _SPELLINGS and name == "test")
    return (f"no list or folder of the split {split} is there; {path} was read",) if is_other else ()


def _files(split: str) -> list[str]:
    """Return what a list of a split may be called: those that are there to be tested stand for each other alone."""
    others = ("val", "test", "validate") if split in _TESTED else ()
    return [f"{name}.csv" for name in dict.fromkeys((split, *others))]


def _folders(split: str) -> list[str]:
    """Return what a folder of a split may be called, likewise."""
    return list(dict.fromkeys((split, *(_SPELLINGS if split in _TESTED else ()))))


# --- the official annotations ----------------------------------------------------------------------------------------


def _official(file: Path, root: Path | None, record: Record, notes: tuple[str, ...]) -> DataSet:
    """Read an official list; the videos lie in one folder or in a folder for each class, whichever is there."""
    names, split, folder = class_names(record.labels), record.protocol.split, folder_of(file)
    labels, others = _rows(file, names, _SPELLINGS if split in _SPELLINGS else (split,))
    notes += left_out(f"rows of {file} that are not of the split {split}", others)
    places = [root] if root else [folder, *(folder / name for name in _folders(split))]
    for place in places:
        if folders := _folders_of_classes(place, record.labels):
            paths = _in_folders(labels, {index: folder for folder, index in folders.items()}, place, names)
            break
    else:
        stems = {os.path.splitext(video)[0]: video for video in labels}
        videos = place_of_videos(stems, places, VIDEOS, frames=False) or Videos(places[0], {}, frozenset(), ".mp4")
        paths = {video: videos.path(stem) for stem, video in stems.items()}
    return DataSet([Sample(video, VideoFile(paths[video]), (labels[video],)) for video in labels], notes=notes)


def _in_folders(
    labels: Mapping[str, int], folders: Mapping[int, Path], place: Path, names: Sequence[str]
) -> dict[str, Path]:
    """Return the file of each video `STEM.mp4`, whatever its suffix is, in the folder of its class."""
    there = {index: listing_of(folder).files for index, folder in folders.items()}
    stems = {os.path.splitext(video)[0]: video for video in labels}
    matches = {
        (index, stems[stem]): folders[index] / file
        for index, files in there.items()
        for stem, file in files_by_stem(files, stems, VIDEOS).items()
    }
    return {
        video: matches.get((label, video)) or folders.get(label, place / names[label]) / video
        for video, label in labels.items()
    }


def _rows(file: Path, names: Sequence[str], splits: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the class of each video of a split, and the videos of other splits, if there is a column for it."""
    classes = numbers_by_name(names)
    labels: dict[str, int] = {}
    others: list[str] = []
    for number, row in table(file, _COLUMNS):
        where = f"{file}, line {number}"
        try:
            start, end = int(float(row["time_start"])), int(float(row["time_end"]))
        except (ValueError, OverflowError):  # the latter for an infinite one
            raise DataError(f"{where}: the times are not seconds: {row['time_start']}, {row['time_end']}") from None
        video = f"{row['youtube_id']}_{start:06}_{end:06}.mp4"
        if row.get("split", splits[0]) not in splits:
            others.append(video)
            continue
        if (label := class_called(row["label"], classes)) is None:
            raise DataError(f"{where}: no class is called {row['label']!r}; the first of {len(names)} is {names[0]!r}")
        if video in labels:
            raise DataError(f"{where}: {video} already stands on an earlier line; each video must count once")
        labels[video] = label
    if not labels:
        raise DataError(f"{file}: no row is of the split {splits[0]}")
    return labels, others


# --- a folder for each class -----------------------------------------------------------------------------------------


def _of_class_folders(data: Path, record: Record) -> DataSet:
    """Read the videos in folders that are named for classes."""
    split = record.protocol.split
    places = [data, *(data / name for name in _folders(split))]
    for place in places:
        if folders := _folders_of_classes(place, record.labels):
            samples, notes = samples_in(place, folders, _kind(record), others_are="no class")
            return DataSet(samples, notes=(*notes, *(() if place == data else _instead(split, place, place.name))))
    raise UsageError(
        f"{data}: neither a list ({', '.join(_files(split))}, here or in annotations) nor a folder for each "
        f"class of {in_words(record.labels)}, here or in {', '.join(place.name for place in places[1:])}"
    )


def _folders_of_classes(place: Path, labels: Labels) -> dict[Path, int]:
    """Return the folders that are named for classes, sorted, with their classes; only letters and digits count."""
    below = folders_in(place)
    if not below:  # the names of Kinetics-400 come with torchvision, which takes seconds to import
        return {}
    classes = numbers_by_name(class_names(labels))
    called = {folder: class_called(folder.name, classes) for folder in below}
    folders = {folder: number for folder, number in called.items() if number is not None}
    if len(set(folders.values())) < len(folders):
        twice = next(one for one in folders for other in folders if one != other and folders[one] == folders[other])
        raise DataError(f"{twice}: another folder in {place} is named for the same class")
    return folders
