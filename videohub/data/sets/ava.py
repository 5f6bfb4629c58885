"""AVA: the people that a detector found at each second of fifteen minutes, and the boxes by which they are judged.

Or, as mmaction2 reads it: the annotated moments, with the boxes of a pickle, and images numbered in folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from videohub.data.geometry import Box
from videohub.data.samples import DataSet, FrameList, KeyFrame, Sample
from videohub.data.sets.box_files import (
    ava_files,
    ava_truth,
    detection_of,
    excluded_moments,
    fps_of,
    read_proposals,
)
from videohub.data.sets.folders import listing_of
from videohub.data.sets.frame_lists import folder_of_frames, frame_list_file, read_frame_list
from videohub.data.sets.lists import folder_of, header_of, left_out, lines, note
from videohub.errors import DataError
from videohub.escaping import encodable
from videohub.metrics.ava_files import read_boxes
from videohub.registry.schema import Record

BEGIN, END = 900, 1800  # the frames begin and end at these seconds of the film
_SECONDS = range(902, 1799)  # that are annotated
_IMAGE, _NUMBER = "img_{:05}.jpg", re.compile(r"img_([0-9]{5,7})\.jpg")
_FOLDERS = ("rawframes", "frames", "")  # of the images, below the data set's

_Moments: TypeAlias = dict[int, dict[tuple[str, ...], Box]]  # second -> boxes, by their text


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read the key frames of a split: every annotated second at which the detector is sure enough of somebody.

    Videos stand in the order of the frame list, their seconds in that of time, the boxes of one in that of the file.
    The files that the protocol names are looked for by their full names: those of two detectors are told apart by
    their folder alone. Excluded moments are left out of the samples and of the ground truth. A key frame beyond the
    end of its list is kept and told: the original takes the last frame in its place.
    Where the protocol asks about the annotated moments, see `read_annotated`.
    """
    if detection_of(record).moments == "annotated":
        return read_annotated(data, root=root, record=record, names=FILMS)
    folder, split, fps = folder_of(data), record.protocol.split, fps_of(record)
    listing = data if data.is_file() else frame_list_file(folder, split)
    files = ava_files(folder, record, {"frame_list": (listing, f"frame_lists/{split}.csv")})
    listed, notes = read_frame_list(files["frame_list"])
    starts = [root] if root else [folder, folder / "frames"]
    frames = folder_of_frames(listed.values(), starts) or starts[0]
    excluded, threshold = excluded_moments(files), detection_of(record).score_threshold
    detections, outside = _detections(files["boxes"], threshold)
    samples: list[Sample] = []
    beyond: list[str] = []
    for video, rows in listed.items():
        source = FrameList(frames, rows.names)
        length = len(source)
        for second, boxes in sorted(detections.get(video, {}).items()):
            if (name := encodable(f"{video},{second:04}")) in excluded:
                continue
            centre = round((second - BEGIN) * fps)
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
    return DataSet(samples, ava_truth(files, excluded, record), notes)


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
        if not all(-0.5 < corner < 1.5 for corner in (x1, y1, x2, y2)):  # detectors leave the frame by a little
            raise DataError(f"{file}, line {number}: a box {','.join(texts)}; expected fractions of the frame, 0 to 1")
        if second in _SECONDS:
            detections.setdefault(video, {}).setdefault(second, {}).setdefault(tuple(texts), (x1, y1, x2, y2))
        else:
            outside.append(f"{video},{second:04}")
    return detections, outside


# --- as mmaction2 reads it -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClipNames:
    """What the names of a data set's videos say."""

    seconds: Callable[[str], tuple[int, int]]  # of the film, at which a video's frames begin and end
    proposal: Callable[[str], str]  # what a file of boxes calls a moment
    within: bool  # whether the original refuses boxes that leave the frame


FILMS = ClipNames(seconds=lambda video: (BEGIN, END), proposal=str, within=True)


def read_annotated(data: Path, *, root: Path | None, record: Record, names: ClipNames) -> DataSet:
    """Read the moments at which the ground truth has a row, whatever its class, in the order of the rows.

    Images are those of a frame list, or `VIDEO/img_00001.jpg` and on, in `rawframes`. No clip goes beyond the image
    that the last row's video may have. Rows at excluded moments are not scored and count as not found.
    Source: AVADataset, AVAKineticsDataset and ava_eval of mmaction2.
    """
    folder, detection, fps = folder_of(data), detection_of(record), fps_of(record)
    files = ava_files(folder, record)
    excluded, rows = excluded_moments(files), read_boxes(files["ground_truth"]).keys
    moments = [key for key in dict.fromkeys(rows) if key not in excluded]
    if not moments:
        raise DataError(f"{files['ground_truth']}: no row at a moment that is not excluded")
    boxes, (unsure, unknown) = read_proposals(
        files["boxes"], moments, threshold=detection.score_threshold, name_of=names.proposal, within=names.within
    )
    last, videos = _video(rows[-1]), list(dict.fromkeys(map(_video, rows)))
    begin, end = names.seconds(last)
    most = round((end - begin) * fps)
    frames, remarks = _frames(data, folder, root, record.protocol.split, videos, most=most)
    samples, beyond = list[Sample](), list[str]()
    for moment in moments:
        video, second = _video(moment), int(moment.rpartition(",")[2])
        centre = round((second - names.seconds(video)[0]) * fps)
        if 1 < len(frames[video]) <= centre:
            beyond.append(moment)
        samples.append(Sample(moment, KeyFrame(frames[video], centre, boxes[moment]), ()))
    if clips := [video for video in videos if names.seconds(video) != (BEGIN, END)]:
        remarks += note(
            "videos that begin at the second in their names, whose boxes stand under the name without it", clips
        )
        remarks += (
            f"no clip goes beyond image {most} of its video: the original takes the range of the last row, of {last}",
        )
    if shift := getattr(record.protocol.frames, "shift", 0):  # the original counts images otherwise than annotations do
        where = "after" if shift > 0 else "before"
        remarks += (f"clips lie {abs(shift)} image {where} the annotated moment, as in the original",)
    notes = (
        *remarks,
        *note(f"moments without a box of {detection.score_threshold} or more, where the best one is scored", unsure),
        *note(f"moments that {files['boxes']} does not have, where the whole frame is scored", unknown),
        *left_out(
            "excluded moments, whose rows of the ground truth count as not found, as in the original",
            [key for key in dict.fromkeys(rows) if key in excluded],
        ),
        *note("key frames beyond the end of their images, whose last one is shown; the original fails there", beyond),
    )
    return DataSet(samples, ava_truth(files, frozenset(), record), notes)


def _video(moment: str) -> str:
    """Return the video of a moment, `video,%04d`."""
    return moment.rpartition(",")[0]


def _frames(
    data: Path, folder: Path, root: Path | None, split: str, videos: Sequence[str], *, most: int
) -> tuple[dict[str, FrameList], tuple[str, ...]]:
    """Return the first images of each video, at most so many, by a frame list if there is one, and what is odd."""
    file = frame_list_file(folder, split)
    if data.is_file() and data.suffix == ".csv" and len(header_of(data)) == 1:  # no commas: none of the annotations
        file = data
    starts = [root] if root else [folder / name for name in _FOLDERS]
    if file is None:
        start = next((start for start in starts if any((start / video).is_dir() for video in videos)), starts[0])
        return {video: FrameList(start, _numbered(start, video, most)) for video in videos}, ()
    listed, notes = read_frame_list(file)
    start = folder_of_frames(listed.values(), starts) or starts[-1]
    names = {video: "\n".join(rows.names.split("\n")[:most]) for video, rows in listed.items()}
    unlisted = [video for video in videos if video not in names]
    frames = {video: FrameList(start, names.get(video) or f"{video}/{_IMAGE.format(1)}") for video in videos}
    return frames, (*notes, *note(f"videos that {file} does not name, whose images are missing", unlisted))


def _numbered(start: Path, video: str, most: int) -> str:
    """Return the names of a video's images, from number 1 up to the last that is there: those between are needed."""
    numbers = [int(match[1]) for file in listing_of(start / video).files if (match := _NUMBER.fullmatch(file))]
    last = min(max(numbers, default=1), most)
    return "\n".join(f"{video}/{_IMAGE.format(number)}" for number in range(1, max(last, 1) + 1))
