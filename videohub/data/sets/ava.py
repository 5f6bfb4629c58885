"""AVA: the people that a detector found at each second of fifteen minutes, and the boxes by which they are judged."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np

from videohub.data.samples import DataSet, FrameList, KeyFrame, Sample
from videohub.data.sets.frame_lists import folder_of_frames, frame_list_file, read_frame_list
from videohub.data.sets.lists import first_file, folder_of, left_out, lines, note
from videohub.errors import DataError, UsageError
from videohub.escaping import encodable
from videohub.metrics.ava_files import AvaTruth, read_boxes, read_exclusions, read_label_map
from videohub.protocols import Detection
from videohub.registry.schema import Record

_SECONDS = range(902, 1799)  # that are annotated
_BEGIN = 900  # the frames begin at this second of the film
_PLACES = ("", "annotations", "annotation", "ava_annotations")

_Box: TypeAlias = tuple[float, float, float, float]
_Moments: TypeAlias = dict[int, dict[tuple[str, ...], _Box]]  # second -> boxes, by their text


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read the key frames of a split: every annotated second at which the detector is sure enough of somebody.

    Videos stand in the order of the frame list, their seconds in that of time, the boxes of one in that of the file.
    The files that the protocol names are looked for by their full names: those of two detectors are told apart by
    their folder alone. Excluded moments are left out of the samples and of the ground truth. A key frame beyond the
    end of its list is kept and told: the original takes the last frame in its place.
    """
    files, fps = _files(data, record), _fps(record)
    listed, notes = read_frame_list(files["frame_list"])
    starts = [root] if root else [folder_of(data), folder_of(data) / "frames"]
    frames = folder_of_frames(listed.values(), starts) or starts[0]
    excluded, threshold = read_exclusions(files["exclusions"]), _detection(record).score_threshold
    detections, outside = _detections(files["boxes"], threshold)
    samples: list[Sample] = []
    beyond: list[str] = []
    for video, rows in listed.items():
        source = FrameList(frames, rows.names)
        length = len(source)
        for second, boxes in sorted(detections.get(video, {}).items()):
            if (name := encodable(f"{video},{second:04}")) in excluded:
                continue
            centre = round((second - _BEGIN) * fps)
            if centre >= length:
                beyond.append(name)
            samples.append(Sample(name, KeyFrame(source, centre, tuple(boxes.values())), ()))
    if not samples:
        raise DataError(f"{files['boxes']}: no box of {threshold} or more in the videos of {files['frame_list']}")
    notes += left_out(f"boxes outside the seconds {_SECONDS[0]} to {_SECONDS[-1]}", outside)
    notes += left_out(
        f"videos with boxes that {files['frame_list']} does not name, though their ground truth counts",
        [video for video in detections if video not in listed],
    )
    notes += note(
        f"videos without a box of {threshold} or more", [video for video in listed if video not in detections]
    )
    notes += note("key frames beyond the end of their frame list", beyond)
    return DataSet(samples, _truth(files, excluded, record.num_classes), notes)


def _detection(record: Record) -> Detection:
    """Return what the protocol says of boxes and judgement."""
    if record.protocol.detection is None:
        raise DataError(f"{record.name}: protocol {record.protocol.name} names neither boxes nor ground truth")
    return record.protocol.detection


def _fps(record: Record) -> float:
    """Return at how many frames a second the frames were extracted."""
    if record.dataset.fps is None:
        raise DataError(f"{record.dataset.name}: its entry lacks `fps`, the rate at which its frames were extracted")
    return record.dataset.fps


def _files(data: Path, record: Record) -> dict[str, Path]:
    """Return the frame list and the four files of the protocol, or tell of all that are missing at once."""
    folder, detection, split = folder_of(data), _detection(record), record.protocol.split
    places = [folder / place for place in _PLACES]
    names = {
        "boxes": detection.boxes,
        "label_map": detection.label_map,
        "exclusions": detection.exclusions,
        "ground_truth": detection.ground_truth,
    }
    files = {what: first_file(places, (name,)) for what, name in names.items()}
    files["frame_list"] = data if data.is_file() else frame_list_file(folder, split)
    names["frame_list"] = f"frame_lists/{split}.csv"
    if missing := [names[what] for what, file in files.items() if file is None]:
        raise UsageError(
            f"{folder}: files of protocol {record.protocol.name} are missing:"
            + "".join(f"\n  {name}" for name in missing)
            + "\n  looked for them in "
            + ", ".join(str(place) for place in places)
        )
    return {what: file for what, file in files.items() if file is not None}


def _detections(file: Path, threshold: float) -> tuple[dict[str, _Moments], list[str]]:
    """Read rows `video,second,x1,y1,x2,y2,,score` at or above a threshold, and which of them lie outside the seconds.

    Rows whose coordinates are the same text at one second are one box, as in the original.
    """
    detections: dict[str, _Moments] = {}
    outside: list[str] = []
    for number, line in lines(file):
        if not line.strip():
            continue
        try:
            video, time, *texts, _, person = line.split(",")
            x1, y1, x2, y2 = map(float, texts)
            second, score = int(time), float(person)
        except ValueError:
            raise DataError(
                f"{file}, line {number}: expected video,second,x1,y1,x2,y2,,score, found {line[:200]!r}"
            ) from None
        if not score >= threshold:  # nor is what is not a number
            continue
        if not -0.5 < min(x1, y1, x2, y2) <= max(x1, y1, x2, y2) < 1.5:  # detectors leave the frame by a little
            raise DataError(f"{file}, line {number}: a box {','.join(texts)}; expected fractions of the frame, 0 to 1")
        if second in _SECONDS:
            detections.setdefault(video, {}).setdefault(second, {}).setdefault(tuple(texts), (x1, y1, x2, y2))
        else:
            outside.append(f"{video},{second:04}")
    return detections, outside


def _truth(files: dict[str, Path], excluded: frozenset[str], num_classes: int) -> AvaTruth:
    """Read the rows of the ground truth that count: of classes that the label map lists, at moments not excluded."""
    names = read_label_map(files["label_map"])
    if not 1 <= min(names) <= max(names) <= num_classes:
        raise DataError(
            f"{files['label_map']}: the ids run from {min(names)} to {max(names)}; the record has 1 to {num_classes}"
        )
    rows = read_boxes(files["ground_truth"], labels=names, excluded=excluded)
    if not rows.keys:
        raise DataError(f"{files['ground_truth']}: no box of a class that {files['label_map']} lists")
    boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in np.asarray(rows.boxes).tolist()]
    return AvaTruth(names, list(rows.keys), boxes, np.asarray(rows.labels).tolist())
