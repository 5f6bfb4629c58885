"""Charades: frames by a frame list whose rows carry the classes, or the official table and the videos as given out."""

from __future__ import annotations

import re
from pathlib import Path

from videohub.data.samples import DataSet, Sample
from videohub.data.sets.folders import VIDEOS, Videos, instead_of_list, place_of_videos, videos_at
from videohub.data.sets.frame_lists import folder_of_frames, frame_list_file, listed_frames, read_frame_list
from videohub.data.sets.lists import first_file, folder_of, header_of, needed_file, table
from videohub.errors import DataError
from videohub.registry.schema import Record

_NAMES_OF_SPLITS = {"val": "test"}  # Charades has no other
_UNPACKED = ("Charades_v1_480", "Charades_v1", "Charades_v1_rgb")  # folders that the published archives unpack to


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read a split: each video once, with all classes that occur in it; a video may have none.

    Frames are used where a frame list's are there. Where not, and where the official `Charades_v1_test.csv` is named
    or is the only list, a video's classes are those of its `actions`, and its pictures the file `ID.mp4` or all images
    in a folder `ID`. The names of the archives' folders are not in our facts but as the data set is given out.
    """
    folder, split, num_classes = folder_of(data), record.protocol.split, record.num_classes
    starts = [root] if root else [folder, folder / "frames", folder / "videos"]
    starts += [starts[0] / name for name in _UNPACKED]
    official, list_file = _lists(data, folder, split)
    listed, notes = read_frame_list(list_file, num_classes=num_classes) if list_file else ({}, ())
    frames = folder_of_frames(listed.values(), starts)
    classes = _classes_of_videos(official, num_classes) if official and not frames else {}
    videos = place_of_videos(classes, starts, VIDEOS, frames=True)
    if list_file and not videos:
        sources = listed_frames(listed, frames or starts[0])
        return DataSet([Sample(name, sources[name], video.classes) for name, video in listed.items()], notes=notes)
    videos = videos or Videos(starts[0], {}, frozenset(), ".mp4")
    notes, sources = instead_of_list(list_file, videos, "given out", fps=record.dataset.fps), videos_at(classes, videos)
    return DataSet([Sample(name, sources[name], those) for name, those in classes.items()], notes=notes)


def _lists(data: Path, folder: Path, split: str) -> tuple[Path | None, Path | None]:
    """Return the official table and the frame list: the one that was named, or both if they are there, at least one."""
    if data.is_file():
        return (data, None) if {"id", "actions"} <= set(header_of(data)) else (None, data)
    places, name = (folder, folder / "Charades"), f"Charades_v1_{_NAMES_OF_SPLITS.get(split, split)}.csv"
    list_file = frame_list_file(folder, split)
    if list_file is None:
        return needed_file("frame list and no official table", places, (f"frame_lists/{split}.csv", name)), None
    return first_file(places, (name,)), list_file


def _classes_of_videos(file: Path, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Read the official table: `actions` is `c092 11.90 21.20;c147 0.00 12.60`, or empty."""
    classes: dict[str, tuple[int, ...]] = {}
    for number, row in table(file, ("id", "actions")):
        where, actions = f"{file}, line {number}", set()
        for action in filter(None, row["actions"].split(";")):
            code = re.fullmatch(r"c([0-9]{3}) [0-9.]+ [0-9.]+", action.strip())
            if code is None or int(code[1]) >= num_classes:
                raise DataError(
                    f"{where}: the action {action!r}; expected `c000 0.00 1.00`, up to c{num_classes - 1:03}"
                )
            actions.add(int(code[1]))
        if row["id"] in classes:
            raise DataError(f"{where}: video {row['id']} stands a second time; each video must count once")
        classes[row["id"]] = tuple(sorted(actions))
    if not classes:
        raise DataError(f"{file}: the table holds no videos")
    return classes
