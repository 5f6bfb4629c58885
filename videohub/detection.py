"""What the people in a video do: boxes around them, the clip around each moment, and a network that names actions."""

from __future__ import annotations

import bisect
import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from videohub import metrics
from videohub.data.annotated_video import (
    COLOURS,
    Canvas,
    annotate_video,
    check_is_another,
    checked_target,
    draw_box,
    draw_label,
)
from videohub.data.decoded_images import Picture
from videohub.data.geometry import Box, boxes_in_pixels
from videohub.data.inputs import VideoInput, input_name, video_source
from videohub.data.labels import names_of
from videohub.data.person_boxes import Rows, Units, as_pixels, key_frames
from videohub.data.samples import StoredFile
from videohub.data.sampling import keyframe_indices
from videohub.data.video_info import tell_contradictions
from videohub.data.windows import SHORTEST_S, TimedFrames, Window, open_frames, windows
from videohub.detectors import Detector, check_name, load_detector, people_in
from videohub.errors import UsageError
from videohub.evaluation.batches import Batches, check_finite, device_of, prepares_on
from videohub.evaluation.kept_memory import kept_memory
from videohub.loading import ChosenModel, chosen_model
from videohub.log import log
from videohub.protocols import KeyFrames
from videohub.registry.labels import Given
from videohub.registry.schema import Record

THRESHOLD = 0.5  # of an action
EVERY = 1.0  # seconds from one key frame to the next, as in AVA

_ENDLESS = sys.maxsize  # frames of a list whose length shows when the video ends
_MOST_NAMES = 5  # of a box that is drawn


@dataclass(frozen=True)
class Detection:
    """Somebody, at a moment of a video, seen to do one thing; who does several things has several of these.

    `time` is in seconds from the first frame; `box` is x1, y1, x2, y2 in pixels of the frame as it is seen, upright and
    at its own size, from its upper left corner; `score` is how probable the model finds the action, from 0 to 1, and
    `index` the action's number among its outputs.
    """

    time: float
    box: Box
    action: str
    score: float
    index: int


def detect(
    video: VideoInput,
    name_or_model: str | Record | nn.Module,
    *,
    boxes: Rows | None = None,
    detector: str | Detector | None = None,
    units: Units = "pixels",
    every: float | None = None,
    threshold: float = THRESHOLD,
    person_threshold: float | None = None,
    annotate: str | Path | None = None,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    device: str | torch.device = "cpu",
    fps: float | None = None,
) -> list[Detection]:
    """Return what the people in a video do at its key frames, in order of time; for each box, the likeliest first.

    The clip around a key frame is taken as the record's protocol says, with frames that lie as far apart as in the
    data set (AVA: 30 a second), the first or last one repeated at the ends of the video. What counts is the content of
    the video, as with `predict`; one pass over it, and no more in memory than the clips that are open.

    Args:
        video: A video file, or whatever else `predict` takes.
        name_or_model: A record whose network names what people in boxes do, or such a model.
        boxes: Where people are: a csv or JSON file, or rows of time, x1, y1, x2, y2 and perhaps a score; see
            `data.person_boxes.key_frames`. Their moments are the key frames. Those behind the end of the video are left
            out, and one line says so.
        detector: Who finds people, in place of boxes: "torchvision", which is Faster R-CNN with torchvision's weights,
            or a network that is called like torchvision's, in evaluation mode.
        units: Of the boxes: "pixels" of the upright frame, or "fractions" of it.
        every: With a detector: seconds from one key frame to the next, from the first frame on; None: 1.
        threshold: Actions that are less probable are left out.
        person_threshold: Boxes that are less sure are left out, if they have a score; None: as in the record's
            protocol, 0.8 for most.
        annotate: The file of a copy of the video to write, .mp4, .mov or .mkv, with boxes and actions drawn over it,
            each for as long as its key frame is the nearest, and not longer than `every` (boxes that are given: 1
            second). Boxes without an action are drawn without a name.
        checkpoint: A file of one's own instead of the record's URL; see `load`. Not beside a model.
        labels: What the outputs are called; None: as the model's record says.
        device: Where to run a model or a detector that is loaded here.
        fps: Frames a second of frames in memory; see `predict`.
    Raises: UsageError, also for a model that does not take boxes; DataError for boxes that make no sense; VideoError,
        and what `load` raises.
    """
    for name, value in (("threshold", threshold), ("person_threshold", person_threshold)):
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{name}: found {value}, expected 0 to 1")
    chosen = chosen_model(name_or_model, verb="detect", checkpoint=checkpoint, labels=labels, device=device)
    record = chosen.record
    rule = _rule_of(record)
    names_of(record)  # before any frame, and before any download: most mistakes show here
    out = None if annotate is None else checked_target(annotate)
    if person_threshold is None:
        person_threshold = record.protocol.detection.score_threshold if record.protocol.detection else 0.0
    people = _people(boxes, detector, units=units, every=every, threshold=person_threshold, device=chosen.device)
    with video_source(video, record.protocol, fps=fps) as source:
        if out is not None:
            check_is_another(out, source.file)
        with open_frames(source.file) as frames:
            seen = list(_seen(frames, people, chosen, rule, threshold))
            tell_contradictions(input_name(video), frames.contradictions())
        _tell(input_name(video), seen, people, threshold)
        if out is not None:
            _annotate(source.file, seen, out, reach=people.reach)
    return [detection for moment in seen for actions in moment.actions for detection in actions]


# --- where people are ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _People:
    """At which moments of a video to look, and where people are then."""

    moments: Iterable[float]  # the key frames, in seconds, ascending; those of a detector are without end
    boxes: Callable[[float, Picture], list[Box]]  # where people are in the picture of a key frame, in its pixels
    every: float | None = None  # seconds from one key frame to the next, with a detector

    @property
    def reach(self) -> float:
        """Seconds before and after a moment for which it stands in a picture."""
        return (self.every or EVERY) / 2

    def count(self, seconds: float | None) -> int | None:
        """Return how many key frames a video of so many seconds probably has."""
        if self.every is None:
            return len([*self.moments])
        return None if seconds is None else math.ceil(seconds / self.every)

    def behind(self, seen: int) -> Sequence[float]:
        """Return the moments with people for which the video was too short, once so many key frames were seen."""
        return [*self.moments][seen:] if self.every is None else ()


def _people(
    boxes: Rows | None,
    detector: str | Detector | None,
    *,
    units: Units,
    every: float | None,
    threshold: float,
    device: torch.device,
) -> _People:
    """Return who says where people are. Raises: UsageError unless it is boxes or a detector; DataError."""
    if (boxes is None) == (detector is None):
        raise UsageError(
            f"detect: found {'neither boxes nor a detector' if boxes is None else 'boxes and a detector'}, expected "
            'one of them: boxes=, or a file of them after --boxes; or detector="torchvision" (--detector torchvision), '
            "which finds people"
        )
    if boxes is not None:
        if every is not None:
            raise UsageError(f"every: found {every} beside boxes, expected none: their moments are the key frames")
        given = key_frames(boxes, units=units, threshold=threshold)

        def placed(moment: float, picture: Picture) -> list[Box]:
            height, width = picture.size
            return as_pixels(given[moment], units=units, height=height, width=width)

        return _People(given, placed)
    if every is not None and not SHORTEST_S <= every < math.inf:
        raise UsageError(f"every: found {every}, expected seconds, at least {SHORTEST_S}")
    if isinstance(detector, str):
        check_name(detector)
    elif isinstance(detector, nn.Module):
        device = next((each.device for each in detector.parameters()), torch.device("cpu"))
    elif callable(detector):
        device = torch.device("cpu")
    else:
        raise UsageError(f'detector: found a {type(detector).__name__}, expected "torchvision" or a network')
    seconds, named = every or EVERY, detector

    @cache
    def network() -> Detector:  # one that is only named is loaded once there is a picture to look at
        return load_detector(named, device=device) if isinstance(named, str) else named

    def found(_: float, picture: Picture) -> list[Box]:
        return people_in(picture.rgb(), network(), threshold=threshold, device=device)

    return _People((number * seconds for number in itertools.count()), found, seconds)


# --- what they do ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Moment:
    """A key frame: its people, and what each of them is seen to do."""

    time: float
    boxes: Sequence[Box]
    actions: Sequence[Sequence[Detection]]  # of each box


def _rule_of(record: Record) -> KeyFrames:
    """Return which frames lie around a key frame. Raises: UsageError if the record's network takes no boxes."""
    rule = record.protocol.frames
    if not isinstance(rule, KeyFrames) or not metrics.of(record.protocol.metric).by_box:
        raise UsageError(
            f"{record.name}: this network says what whole clips show; detect needs one that takes boxes, which "
            "`videohub list --task detection` lists.\n  `videohub predict` takes this one."
        )
    return rule


def _seen(
    frames: TimedFrames, people: _People, chosen: ChosenModel, rule: KeyFrames, threshold: float
) -> Iterator[_Moment]:
    """Yield every key frame of a video that lies in it; the model is loaded here, when the video has been opened."""
    model, record = chosen.ready()
    device = device_of(model)
    batches = Batches(model, record.protocol, "fp32")
    names = names_of(record)
    background = record.model.background_outputs
    entries = _looked_at(frames, people, record, rule, prepares_on(device))
    total = people.count(frames.seconds)
    with (
        closing(entries),
        kept_memory(device),
        tqdm(total=total, desc=record.name, unit="key frame", leave=False, disable=None) as bar,
    ):
        for moment, scores in batches.scored(entries):
            bar.update()
            if scores is not None:
                check_finite(scores, f"{frames.path}, {moment.time:g} s", batches.precision)
                scores[:, :background] = -1  # nobody is seen to do that, however low the threshold
                yield replace(moment, actions=[_actions(moment.time, *each, names, threshold)
                                               for each in zip(moment.boxes, scores, strict=True)])  # fmt: skip
            else:
                yield moment


def _looked_at(
    frames: TimedFrames, people: _People, record: Record, rule: KeyFrames, device: torch.device
) -> Generator[tuple[_Moment, Window | None], None, None]:
    """Yield each key frame and the window around it with the boxes in it; nothing to look at where nobody is."""
    clip, asked = record.clip, deque[float]()

    def times() -> Iterator[list[float]]:
        for moment in people.moments:
            asked.append(moment)
            indices = keyframe_indices(round(moment * rule.fps) + rule.shift, frames=clip.frames,
                                       sampling_rate=clip.sampling_rate, num_frames=_ENDLESS)  # fmt: skip
            yield [index / rule.fps for index in indices]

    for window in windows(frames, times(), record.protocol, needed=clip.frames // 2, device=device, keep_picture=True):
        moment, picture = asked.popleft(), window.picture
        assert picture is not None, "they are kept"
        boxes = people.boxes(moment, picture)
        if not boxes:
            yield _Moment(moment, (), ()), None
            continue
        height, width = picture.size
        fractions = [(x1 / width, y1 / height, x2 / width, y2 / height) for x1, y1, x2, y2 in boxes]
        scaled = torch.from_numpy(boxes_in_pixels(fractions, height, width, record.protocol))
        yield _Moment(moment, boxes, ()), replace(window, boxes=scaled.to(device), picture=None)


def _actions(
    time: float, box: Box, scores: npt.NDArray[np.float32], names: Sequence[str], threshold: float
) -> list[Detection]:
    """Return what somebody is seen to do, the likeliest first."""
    likely = [index for index in np.argsort(-scores, kind="stable").tolist() if scores[index] >= threshold]
    return [Detection(time, box, names[index], float(scores[index]), index) for index in likely]


def _tell(name: str, seen: Sequence[_Moment], people: _People, threshold: float) -> None:
    """Say what is not among the rows and might be missed."""
    if behind := people.behind(len(seen)):
        log.warning("%s: %d of %d moments with boxes lie behind its end and are left out, the first at %g s", name,
                    len(behind), len(seen) + len(behind), behind[0])  # fmt: skip
    boxes = sum(len(moment.boxes) for moment in seen)
    if not boxes:
        log.warning("%s: nobody at any of its %d key frames", name, len(seen))
    elif idle := sum(not actions for moment in seen for actions in moment.actions):
        log.warning("%s: %d of %d boxes are without an action of %g or more", name, idle, boxes, threshold)


# --- drawn over the video --------------------------------------------------------------------------------------------


def _annotate(path: StoredFile, seen: Sequence[_Moment], out: Path, *, reach: float) -> None:
    """Write a copy of the video in which each key frame's boxes and actions are drawn while it is the nearest one."""
    times = [moment.time for moment in seen]

    def draw(canvas: Canvas, seconds: float) -> None:
        place = bisect.bisect(times, seconds)
        near = min(seen[max(0, place - 1) : place + 1], key=lambda moment: abs(moment.time - seconds), default=None)
        if near is None or abs(near.time - seconds) > reach:
            return
        # counted from the left, so that a person mostly keeps their colour
        people = sorted(zip(near.boxes, near.actions, strict=True), key=lambda person: person[0])
        for colour, (box, _) in zip(itertools.cycle(COLOURS), people):
            draw_box(canvas, box, colour=colour)
        for colour, (box, actions) in zip(itertools.cycle(COLOURS), people):
            lines = [f"{each.action} {each.score:.2f}" for each in actions[:_MOST_NAMES]]
            draw_label(canvas, box, lines, colour=colour)

    with tqdm(desc=out.name, unit="frame", leave=False, disable=None) as bar:
        annotate_video(path, out, draw, progress=bar.update)
