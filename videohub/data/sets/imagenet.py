"""ImageNet-1k: a folder for each WordNet id, sorted ids being the classes, or a list of `path label`."""

from __future__ import annotations

import re
from pathlib import Path

from videohub.data.samples import DataSet, ImageFile
from videohub.data.sets.folders import folders_in, samples_in
from videohub.data.sets.lists import first_file, read_list
from videohub.errors import DataError, UsageError
from videohub.registry.schema import Record


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read the images of a folder `n01440764/*.JPEG` …, also one folder down in `val`, or of a list.

    A class is the position of its WordNet id among all of them, so a folder must have all 1000: which number the ids of
    a part would have is in no file of ours. In a list, labels are those numbers; the 1 … 1000 of the challenge's own
    kit stand in another order and only their last, 1000, can be told to be wrong.
    """
    split, classes = record.protocol.split, record.num_classes
    if data.is_file():
        return DataSet(read_list(data, root=root, num_classes=classes, kind=ImageFile))
    places = [root] if root else [data, data / split]
    for place in places:
        folders = [folder for folder in folders_in(place) if re.fullmatch(r"n[0-9]{8}", folder.name)]
        if folders:
            if len(folders) != classes:
                raise DataError(
                    f"{place}: {len(folders)} folders are named for WordNet ids; the number of a class is its position "
                    f"among all {classes}, so a part cannot be numbered. Give a list of `path label` instead."
                )
            classes_of = {folder: index for index, folder in enumerate(folders)}
            samples, notes = samples_in(place, classes_of, ImageFile, others_are="no WordNet ids")
            return DataSet(samples, notes=notes)
    if file := first_file((data,), (f"{split}.csv", f"{split}.txt")):
        return DataSet(read_list(file, root=root, num_classes=classes, kind=ImageFile))
    looked = "".join(f"\n  {place / 'n01440764'}" for place in places)
    raise UsageError(
        f"{data}: neither folders named for WordNet ids nor a list ({split}.csv, {split}.txt); looked for{looked}\n"
        "  Images that lie in one folder must be sorted into such folders, or named by a list of `path label`."
    )
