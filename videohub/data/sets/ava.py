"""AVA: the people that a detector found at each second of fifteen minutes, and the boxes by which they are judged."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from videohub.data.samples import DataSet, FrameList, KeyFrame, Sample
from videohub.data.sets.annotated import FILMS, read_annotated
from videohub.data.sets.ava_files import BEGIN, ava_files, ava_truth, detection_of, excluded_moments, fps_of
from videohub.data.sets.frame_lists import folder_of_frames, frame_list_file, read_frame_list
from videohub.data.sets.lists import folder_of, left_out, lines, note
from videohub.errors import DataError
from videohub.escaping import encodable
from videohub.registry.schema import Record

_SECONDS = range(902, 1799)  # that are annotated

_Box: TypeAlias = tuple[float, float, float, float]
_Moments: TypeAlias = dict[int, dict[tuple[str, ...], _Box]]  # second -> boxes, by their text


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
    files, fps = _files(data, record), fps_of(record)
    listed, notes = read_frame_list(files["frame_list"])
    starts = [root] if root else [folder_of(data), folder_of(data) / "frames"]
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


def _files(data: Path, record: Record) -> dict[str, Path]:
    """Return the frame list and the files of the protocol."""
    split = record.protocol.split
    listing = data if data.is_file() else frame_list_file(folder_of(data), split)
    return ava_files(folder_of(data), record, {"frame_list": (listing, f"frame_lists/{split}.csv")})


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
