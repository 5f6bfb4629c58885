"""MultiSports: people in videos of four sports, boxed at every frame of what they do; all of it in one pickle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videohub.data.geometry import Box
from videohub.data.samples import DataSet, KeyFrame, Sample, VideoFile
from videohub.data.sets.box_files import array, detection_of, opened, read_proposals
from videohub.data.sets.lists import folder_holding, folder_of, needed_file, note
from videohub.errors import DataError
from videohub.escaping import quote
from videohub.metrics.ava_files import AvaTruth
from videohub.pickles.unpickler import Array
from videohub.registry.schema import Record

_SPLITS = {"train": "train_videos", "val": "test_videos"}  # the test videos of the pickle are those for validation
_ANNOTATIONS = ("", "annotations", "trainval", "annotations/MultiSports_box", "MultiSports_box")
_VIDEOS = ("trainval", "", "videos/trainval", "videos")
_PREFIX = "multisports_dense_proposals_"  # that mmaction2's tool puts before the publisher's name of the boxes

# Source: the publisher's evaluation, which leaves out the classes of which its test videos have too little.
_NOT_JUDGED = frozenset(
    ("aerobic kick jump", "aerobic off axis jump", "aerobic butterfly jump", "aerobic balance turn", "basketball save",
     "basketball jump ball")
)  # fmt: skip


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read the frames of a split at which somebody is boxed, in the order of the ground truth.

    A sample is `VIDEO,0001`, by the number of the frame from 1. Boxes are those of the detector's file, whether its
    publisher wrote it (`val.recall_96.13.pkl`) or mmaction2's tool did. Videos lie at `trainval/SPORT/NAME.mp4`.
    """
    folder, detection = folder_of(data), detection_of(record)
    if data.is_file() and folder.name == "trainval":
        folder = folder.parent
    places = [folder / place for place in _ANNOTATIONS]
    truth_file = needed_file("ground truth", places, (detection.ground_truth,))
    boxes_file = needed_file("file of boxes", places, (detection.boxes, detection.boxes.removeprefix(_PREFIX)))
    with opened(truth_file) as content:
        truth = _ground_truth(content, str(truth_file), record)
    moments = list(dict.fromkeys(truth.keys))
    boxes, (unsure, unknown) = read_proposals(
        boxes_file, moments, threshold=detection.score_threshold, name_of=_proposal, within=True
    )
    places = [root] if root else [folder / place for place in _VIDEOS]
    start = folder_holding([f"{video}.mp4" for video in truth.videos], places) or places[0]
    sources = {video: VideoFile(start / f"{video}.mp4") for video in truth.videos}
    samples = []
    for moment in moments:
        video, _, number = moment.rpartition(",")
        samples.append(Sample(moment, KeyFrame(sources[video], int(number) - 1, boxes[moment]), ()))
    left = [name for name in truth.labels if name in _NOT_JUDGED]
    return DataSet(samples, truth.judged(), (
        *note("classes that are not judged, as in the original", left),
        *note(f"frames without a box of {detection.score_threshold} or more, where the best one is scored", unsure),
        *note(f"frames that {boxes_file} does not have, where the whole frame is scored", unknown),
    ))  # fmt: skip


@dataclass(frozen=True)
class _Truth:
    """What the pickle says of a split: a row for each box."""

    labels: list[str]
    videos: list[str]
    keys: list[str]  # `video,%04d`
    boxes: list[Box]  # as fractions of the frame
    classes: list[int]

    def judged(self) -> AvaTruth:
        """Return the rows of classes that count; output k is label id k + 1."""
        names = {number + 1: name for number, name in enumerate(self.labels) if name not in _NOT_JUDGED}
        rows = [row for row, number in enumerate(self.classes) if number + 1 in names]
        return AvaTruth(
            names,
            [self.keys[row] for row in rows],
            [self.boxes[row] for row in rows],
            [self.classes[row] + 1 for row in rows],
        )


def _ground_truth(content: Any, where: str, record: Record) -> _Truth:
    """Read `multisports_GT.pkl`: labels, gttubes, nframes, train_videos, test_videos and resolution."""
    split = _SPLITS.get(record.protocol.split)
    if split is None:
        raise DataError(f"{where}: has no split {record.protocol.split}; expected one of {', '.join(_SPLITS)}")
    labels = [_text(name, f"{where}: a label") for name in _field(content, "labels", list, where)]
    if len(set(labels)) != len(labels) or len(labels) != record.num_classes:
        raise DataError(f"{where}: found {len(set(labels))} labels, expected the {record.num_classes} of {record.name}")
    lists = _field(content, split, list, where)
    if not lists or not isinstance(lists[0], list) or not lists[0]:
        raise DataError(f"{where}: {split} is no list of a list of videos")
    videos = [_text(video, f"{where}: a video") for video in lists[0]]
    keys: list[str] = []
    boxes: list[Box] = []
    classes: list[int] = []
    tubes, lengths, sizes = (_field(content, name, dict, where) for name in ("gttubes", "nframes", "resolution"))
    for video in videos:
        here = f"{where}: {quote(video)}"
        if missing := [name for name, of in (("gttubes", tubes), ("nframes", lengths), ("resolution", sizes))
                       if video not in of]:  # fmt: skip
            raise DataError(f"{here} is not in its {missing[0]}")
        height, width = _size(sizes[video], here)
        for number, rows in _rows(tubes[video], len(labels), here):
            frames = rows[:, 0]
            if (frames < 1).any() or (frames > _whole(lengths[video], here)).any() or (frames % 1).any():
                raise DataError(f"{here}: a box at a frame that is none of 1 to {_whole(lengths[video], here)}")
            keys += [f"{video},{frame:04}" for frame in frames.astype(int).tolist()]
            boxes += [(x1 / width, y1 / height, x2 / width, y2 / height) for x1, y1, x2, y2 in rows[:, 1:].tolist()]
            classes += [number] * len(rows)
    if not keys:
        raise DataError(f"{where}: the videos of {split} have no box")
    return _Truth(labels, videos, keys, boxes, classes)


def _rows(tubes: Any, count: int, where: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the class and the rows of each of a video's tubes: frame, x1, y1, x2, y2 in pixels."""
    if not isinstance(tubes, dict):
        raise DataError(f"{where}: its tubes are a {type(tubes).__name__}, expected a dict of lists by class")
    for number, of_class in tubes.items():
        if type(number) is not int or not 0 <= number < count or not isinstance(of_class, list | tuple):
            raise DataError(f"{where}: found tubes of class {quote(number)}, expected lists for 0 to {count - 1}")
        for tube in of_class:
            yield number, array(tube, (5,), f"{where}: a tube of class {number}")


def _field(content: Any, name: str, kind: type, where: str) -> Any:
    if not isinstance(content, dict) or not isinstance(content.get(name), kind):
        raise DataError(f"{where}: has no {name}, expected the {kind.__name__} of MultiSports' ground truth")
    return content[name]


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value or "\n" in value:
        raise DataError(f"{what} is {quote(value)}, expected a name")
    return value


def _whole(value: Any, where: str) -> int:
    """Return a number of Python's or of numpy's."""
    if isinstance(value, Array) and value.value is not None and value.value.shape == ():
        value = np.asarray(value.value).item()
    if type(value) is not int or value < 1:
        raise DataError(f"{where}: found {quote(value)}, expected a number of 1 or more")
    return value


def _size(value: Any, where: str) -> tuple[int, int]:
    """Return height and width."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise DataError(f"{where}: its resolution is {quote(value)}, expected height and width")
    return _whole(value[0], where), _whole(value[1], where)


def _proposal(moment: str) -> str:
    """Bring the names of a moment to one form: the publisher's `NAME,1` and mmaction2's `SPORT/NAME.mp4,0001`."""
    match = re.fullmatch(r"(?:.*/)?(.+?)(?:\.mp4)?,\s*([0-9]{1,9})", moment, re.DOTALL)
    if match is None:
        raise DataError(f"found boxes of {quote(moment)}, expected a video and the number of a frame")
    return f"{match[1]},{int(match[2])}"
