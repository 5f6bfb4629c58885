"""AVA as mmaction2 reads it: the annotated moments, with the boxes of a pickle, and images numbered in folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from videohub.data.samples import DataSet, FrameList, KeyFrame, Sample
from videohub.data.sets.ava_files import BEGIN, END, ava_files, ava_truth, detection_of, excluded_moments, fps_of
from videohub.data.sets.folders import listing_of
from videohub.data.sets.frame_lists import folder_of_frames, frame_list_file, read_frame_list
from videohub.data.sets.lists import folder_of, header_of, left_out, note
from videohub.data.sets.proposals import read_proposals
from videohub.errors import DataError
from videohub.metrics.ava_files import read_boxes
from videohub.registry.schema import Record

_IMAGE, _NUMBER = "img_{:05}.jpg", re.compile(r"img_([0-9]{5,7})\.jpg")
_FOLDERS = ("rawframes", "frames", "")  # of the images, below the data set's


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
    last = _video(rows[-1])
    begin, end = names.seconds(last)
    videos = list(dict.fromkeys(map(_video, rows)))
    frames, told = _frames(data, folder, root, record.protocol.split, videos, most=round((end - begin) * fps))
    samples: list[Sample] = []
    beyond: list[str] = []
    for moment in moments:
        video, second = _video(moment), int(moment.rpartition(",")[2])
        centre = round((second - names.seconds(video)[0]) * fps)
        if 1 < len(frames[video]) <= centre:
            beyond.append(moment)
        samples.append(Sample(moment, KeyFrame(frames[video], centre, boxes[moment]), ()))
    notes = (
        *told,
        *_told_of_clips(names, videos, last, round((end - begin) * fps)),
        *_told_of_shift(getattr(record.protocol.frames, "shift", 0)),
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


def _told_of_clips(names: ClipNames, videos: Sequence[str], last: str, most: int) -> tuple[str, ...]:
    """Tell what follows from names of videos if they say different things."""
    clips = [video for video in videos if names.seconds(video) != (BEGIN, END)]
    if not clips:
        return ()
    return (
        *note("videos that begin at the second in their names, whose boxes stand under the name without it", clips),
        f"no clip goes beyond image {most} of its video: the original takes the range of the last row, of {last}",
    )


def _told_of_shift(shift: int) -> tuple[str, ...]:
    """Tell that the original counts images otherwise than the annotations do."""
    where = "after" if shift > 0 else "before"
    return (f"clips lie {abs(shift)} image {where} the annotated moment, as in the original",) if shift else ()


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
