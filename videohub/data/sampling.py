"""Which frames a view is made of: where clips start, and which frames they take. Pure arithmetic, no files.

By time (Kinetics): `clip_span`, then `clip_starts` or `offset_clip_starts`, then `pts_window`, then `frame_positions`.
By the time stamps of all frames (PyTorchVideo): `timed_indices`. Around a moment (AVA): `keyframe_indices`. By number
in a list of all frames: the rest, which `spec.py` calls alike. They are given the length of the video, the frames of a
clip, the distance between them in frames of the source, the number of the clip from 0, and how many clips there are;
the indices that they return may go beyond the end.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from videohub.errors import VideoError


def clip_span(*, frames: int, sampling_rate: int, fps: Fraction | float, target_fps: float | None) -> float:
    """Return how many frames of the source one clip covers, as a real number.

    Args:
        frames: Frames that the network is given.
        sampling_rate: Distance between them, in frames at `target_fps`.
        fps: Average frame rate of the source, in frames per second.
        target_fps: Frame rate that the sampling rate refers to; None takes the source's frames as they are.
    Source: the reference test protocol, `frames * sampling_rate / 30 * fps`: 64 frames at 30 fps are 53.33 at 25.
    """
    if target_fps is None:
        return float(frames * sampling_rate)
    return frames * sampling_rate / target_fps * float(fps)


def clip_starts(num_frames: int, span: float, clips: int) -> list[float]:
    """Return where each clip of a multi-view test begins, in frames of the source.

    Args:
        num_frames: Length of the video.
        span: Frames that one clip covers, from `clip_span`.
        clips: Number of clips, spread evenly.
    Returns: `clips` start positions, ascending from 0; all 0 where the video is shorter than `span`.
    Raises: ValueError if `clips` is below 1.
    Source: the reference test protocol, `start = (num_frames - span) * i / clips`, which stops short of the end.
    """
    _check_clips(clips)
    room = max(num_frames - span, 0)
    return [room * clip / clips for clip in range(clips)]


def offset_clip_starts(num_frames: int, span: float, clips: int) -> list[float]:
    """Return where each clip begins when the last one is to reach (nearly) the end: whole, equal steps.

    Args and Raises: as `clip_starts`.
    Returns: `clips` whole numbers; a single clip stands in the middle.
    Source: the reference test protocol with offset sampling, `start = i * floor((num_frames - span) / (clips - 1))`.
    """
    _check_clips(clips)
    room = max(num_frames - span, 0)
    if clips == 1:
        return [float(math.floor(room / 2))]
    return [float(clip * math.floor(room / (clips - 1))) for clip in range(clips)]


def pts_window(start: float, span: float, *, duration: int, num_frames: int) -> tuple[int, int]:
    """Return the first and last time stamp of a clip, both included, in ticks of the stream.

    Args:
        start: Where the clip begins, in frames.
        span: Frames that it covers.
        duration: Length of the stream in ticks, as the container states it.
        num_frames: Frames of the stream, as the container states them.
    Source: the reference decoder: ticks per frame are `duration / num_frames`; a first time stamp other than 0 is
        not subtracted.
    """
    ticks = duration / num_frames
    return int(start * ticks), int((start + span - 1) * ticks)


def frame_positions(start: float, span: float, frames: int, available: int) -> list[int]:
    """Return which of the available frames a clip takes: evenly spaced, both ends included, rounded down.

    Args:
        start: Where the clip begins among the available frames; 0 where they are the clip's own window.
        span: Frames that it covers.
        frames: Frames to take.
        available: Frames at hand; positions beyond the last one repeat it.
    Raises: ValueError if `available` or `frames` is below 1.
    Source: the reference sampling, `trunc(clamp(linspace(start, start + span - 1, frames), 0, available - 1))` in
        float32. At 30 fps, 8 frames at rate 8 are 0, 9, ..., 63.
    """
    return [int(point) for point in frame_points(start, span, frames, available)]


def frame_points(start: float, span: float, frames: int, available: int) -> list[float]:
    """Return where a clip's frames lie among the available ones, before `frame_positions` rounds them down."""
    if available < 1 or frames < 1:
        raise ValueError(f"cannot take {frames} frames from {available}")
    return [float(point) for point in np.clip(_linspace(start, start + span - 1, frames), 0, available - 1)]


def timed_indices(
    stamps: Sequence[int], *, start: int, length: int, tick: Fraction, seconds: float, frames: int, clips: int
) -> list[list[int]]:
    """Return the frames of clips that last so many seconds, among all frames in order of time: (clips, frames).

    Args:
        stamps: Time stamps of all frames, ascending, in ticks.
        start: When the video begins, in ticks: as the container states it, which need not be its first stamp.
        length: Of the video, in ticks.
        tick: In seconds.
        seconds: Length of a clip; of a shorter video each clip takes all. What the float is exactly counts: 2.6 is a
            trifle more than 13/5, so that the frame shown at 13/5 s is still in such a clip from 0 on.
        frames: Frames of a clip; they are evenly spaced among those whose stamps lie in it, both ends included.
        clips: Number of clips, spread evenly from the beginning, so that the last one stops short of the end.
    Raises: VideoError if there is no frame in a clip.
    Source: PyTorchVideo 0.1.5 by PyAV (ConstantClipsPerVideoSampler, EncodedVideo and UniformTemporalSubsample), in
        exact fractions: a clip goes from the first stamp at or after its start up to, but not including, the first at
        or after its end. 0.1.0 to 0.1.3 round both ends down to ticks in float64 and take a stamp at the end, too;
        code after 0.1.5 spreads clips over n - 1.
    """
    duration = Fraction(seconds)
    free = max(length * tick - duration, Fraction(0))
    chosen = []
    for number in range(clips):
        begin = free * number / clips
        first, beyond = (
            bisect.bisect_left(stamps, start + math.ceil(time / tick)) for time in (begin, begin + duration)
        )
        if first == beyond:
            raise VideoError(f"clip {number + 1} of {clips} holds no frame: none is shown from {float(begin):.2f} s on "
                             f"for {seconds:.2f} s")  # fmt: skip
        chosen.append([first + position for position in frame_positions(0, beyond - first, frames, beyond - first)])
    return chosen


def shown_at(places: Iterable[float], stamps: Sequence[int]) -> list[int]:
    """Return the frames that are shown when those at these places would be if all were shown equally long.

    `stamps` are those of all frames, at least two, ascending.
    """
    step = Fraction(stamps[-1] - stamps[0], len(stamps) - 1)
    halves = (stamps[0] + Fraction(place) * step + Fraction(1, 2) for place in places)
    return [bisect.bisect_right(stamps, half) - 1 for half in halves]


def row_of(kept: Sequence[int], *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the frames of one clip that is a row of those kept of a video, from `clip / clips` of them on.

    Source: Omnivore's inference: of 160 frames of 10 seconds, clips of 32 start 40 apart.
    """
    start = len(kept) * clip // clips
    return [kept[min(start + position * sampling_rate, len(kept) - 1)] for position in range(frames)]


def timed_list_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the frames of one clip that lasts as long as its frames at 30 a second, of a list that is so taken.

    Source: PyTorchVideo's Charades and FrameVideo as they were in 2021, in float64: both ends of a clip are rounded to
        whole frames, half to even, and the frames within are spread over it.
    """
    seconds, length = ((frames - 1) * sampling_rate + 1) / 30, num_frames / 30
    start = max(length - seconds, 0) / clips * clip
    first, beyond = round(30 * start), round(30 * min(start + seconds, length))
    return [first + position for position in frame_positions(0, beyond - first, frames, beyond - first)]


def segment_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the middle frame of each of `frames` equal segments of a video, whichever the clip: it covers all of it.

    Source: the reference Something-Something protocol; the segments' borders are rounded half to even.
    """
    borders = segment_borders(num_frames, frames)
    return [(borders[segment] + borders[segment + 1]) // 2 for segment in range(frames)]


def segment_borders(num_frames: int, frames: int) -> list[int]:
    """Return where `frames` equal segments of a video begin and end, `frames + 1` frame numbers; see above."""
    length = (num_frames - 1) / frames
    return [round(length * segment) for segment in range(frames + 1)]


def spread_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the frames of one clip of several that are spread from the first frame to the last; one is in the middle.

    Source: the reference Charades protocol and mmaction2's SampleFrames; starts are rounded half to even.
    """
    room = max(num_frames - ((frames - 1) * sampling_rate + 1), 0)
    start = room // 2 if clips == 1 else round(room / (clips - 1) * clip)
    return [start + position * sampling_rate for position in range(frames)]


def spread_down_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the same, with starts rounded down; the first of a single clip.

    Source: Caffe2's reader of videos, `floor(clip * room / (clips - 1))` in float32, which VMZ tests with. It reads no
        video that is shorter than a clip.
    """
    room = max(num_frames - ((frames - 1) * sampling_rate + 1), 0)
    start = int(np.float32(clip) * (np.float32(room) / np.float32(max(clips - 1, 1))))
    return [start + position * sampling_rate for position in range(frames)]


def uniform_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return a frame of each of `frames` parts of a video, for each clip at another place of the part.

    Source: mmaction2's UniformSample and the loaders of UniFormer, UniFormerV2 and InternVideo2, in float64.
    """
    length = (num_frames - 1) / frames
    return [round(length * part) + int(length / (clips + 1) * (clip + 1)) for part in range(frames)]


def offset_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the frames of one clip that starts where `offset_clip_starts` says and is spread over its span.

    Source: UniFormer's test of Kinetics by decord, as `frame_positions` of all frames.
    """
    span = frames * sampling_rate
    return frame_positions(offset_clip_starts(num_frames, span, clips)[clip], span, frames, num_frames)


def centred_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the frames of a clip that starts in the centre of one of `clips` parts of all starts.

    Source: SampleFrames of mmaction2 before 1.0, and later of single frames: a clip counts `frames * sampling_rate`.
        In this order: of 60 frames, part 12 of 25 has its centre at 29, where exactness has 30.
    """
    length = max(num_frames - frames * sampling_rate + 1, 0) / clips
    start = int(clip * length + length / 2)
    return [start + position * sampling_rate for position in range(frames)]


def dense_indices(
    num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int, positions: int, window: int
) -> list[int]:
    """Return the frames of one of the clips that lie densely around each of `positions` starts.

    Args:
        window: Frames that the clips of one start share out among their own starts.
    Source: mmaction2's DenseSampleFrames.
    """
    each = clips // positions
    base, offset = divmod(clip, each)
    last = max(1, num_frames - window + 1) - 1
    first = math.floor(_evenly(last, positions)[base]) + offset * (window // each)
    return [first % num_frames + position * sampling_rate for position in range(frames)]


def spread_at_rate_indices(
    num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int, fps: float, new_fps: float
) -> list[int]:
    """Return the frames of one clip whose stride lasts as long as `sampling_rate` frames at `new_fps` a second.

    Source: mmaction2's SampleFrames with `target_fps`, in float64; starts go in whole steps and mostly miss the end.
    """
    span = max(1, frames * sampling_rate * (fps / new_fps))
    start = clip * math.floor(max(num_frames - span, 0) / (clips - 1))
    return [start + math.floor(offset) for offset in _evenly(span - 1, frames)]


def strided_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the frames of one clip that starts at `clip / clips` of all.

    Source: video-nonlocal-net's test, `int(num_frames / clips * clip)`.
    """
    start = int(num_frames / clips * clip)
    return [start + position * sampling_rate for position in range(frames)]


def resampled_indices(
    num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int, fps: float, new_fps: float
) -> list[int]:
    """Return the frames of one of all windows, once the video is resampled; none if it holds no whole window.

    Args:
        fps: Frame rate of the source, in frames per second.
        new_fps: That of the resampled video.
    Source: torchvision's VideoClips and UniformClipSampler: starts are `floor(linspace(0, windows - 1, clips))` in
        float32; a single clip is the first window. Its frames are consecutive, `sampling_rate` 1.
    """
    step = fps / new_fps
    if step.is_integer():
        resampled = list(range(0, num_frames, int(step)))
    else:
        count = math.floor(num_frames * (new_fps / fps))
        resampled = np.floor(np.arange(count, dtype=np.float32) * np.float32(step)).astype(int).tolist()
    span = (frames - 1) * sampling_rate + 1
    windows = len(resampled) - span + 1
    if windows < 1:
        return []
    start = int(_linspace(0, windows - 1, clips)[clip])
    return resampled[start : start + span : sampling_rate]


def window_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the frames of one of several windows of the frames that lie `sampling_rate` apart, from the first on.

    Where those are fewer than a window holds, the last of them is repeated.
    Source: VideoMAE's test of Kinetics, `int(clip * (count - frames) / (clips - 1))`; a single one is in the middle.
    """
    count = len(range(0, num_frames, sampling_rate))
    room = max(count - frames, 0)
    start = room // 2 if clips == 1 else int(clip * (room / (clips - 1)))
    return [min(start + position, count - 1) * sampling_rate for position in range(frames)]


def interleaved_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return a frame of each of `frames` equal parts of a video, for each clip at another place of the part.

    Source: VideoMAE's test of Something-Something, whose two clips take `int(part * x)` and `int(part / 2 + part * x)`;
        TSM's two are the same in the other order, and its single clip takes the latter.
    """
    part = num_frames / frames
    offset = part / 2 if clips == 1 else part * clip / clips
    return [int(offset + part * number) for number in range(frames)]


def spread_resampled_indices(
    num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int, fps: float, new_fps: float
) -> list[int]:
    """Return the frames of one clip, once the video is resampled; past its end they go on at its beginning.

    Args:
        fps, new_fps: As for `resampled_indices`; frame j of the resampled video is frame `int(j * (fps / new_fps))`.
    Source: DMVR's sample_linspace_sequence, `int(linspace(0, count - frames * sampling_rate, clips))` in float32; of a
        single clip, half of that. How the originals were resampled is not stated.
    """
    ratio = fps / new_fps
    resampled = [int(number * ratio) for number in range(math.ceil(num_frames / ratio))]
    room = max(len(resampled) - frames * sampling_rate, 0)
    start = room // 2 if clips == 1 else int(_linspace(0, room, clips)[clip])
    return [resampled[(start + position * sampling_rate) % len(resampled)] for position in range(frames)]


def part_window_indices(
    num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int, parts: int
) -> list[int]:
    """Return the frames of a window of each of `parts` equal parts of a video, one after the other, whichever the clip.

    Args:
        frames: Frames of all windows together.
        sampling_rate: What a window covers, in frames of the source for each of its frames.
    Source: V-JEPA's evaluation, in float64: `linspace(start, start + span, frames)`, cut to the span. It draws where
        the windows of longer parts start, in tests, too; here they are in the middle. Windows of other parts begin
        `(num_frames - span) // (parts - 1)` apart, and what they lack is their last frame but one.
    """
    each = frames // parts
    span, length = each * sampling_rate, num_frames // parts
    if length > span:
        starts = [(length - span) // 2 + part * length for part in range(parts)]
        offsets = [min(point, span - 1) for point in _evenly(span, each)]
    else:
        apart = (num_frames - span) // (parts - 1) if num_frames > span else 0
        starts = [part * apart for part in range(parts)]
        last = min(span, num_frames) - 1
        points = [*_evenly(last, last // sampling_rate), *[last] * (each - last // sampling_rate)]
        offsets = [min(point, max(last - 1, 0)) for point in points]
    return [start + int(offset) for start in starts for offset in offsets]


def keyframe_indices(centre: int, *, frames: int, sampling_rate: int, num_frames: int) -> list[int]:
    """Return the frames around a key frame, which becomes position `frames / 2` of the clip.

    Args:
        centre: Index of the key frame in the frame list, or beyond its end; AVA: `(second - 900) * 30`.
        frames: Frames of the clip.
        sampling_rate: Exact distance between them.
        num_frames: Length of the frame list; positions outside it repeat its first or last frame.
    Source: the reference AVA protocol.
    """
    half = frames * sampling_rate // 2
    return [min(max(index, 0), num_frames - 1) for index in range(centre - half, centre + half, sampling_rate)]


def _check_clips(clips: int) -> None:
    """Refuse a test without clips."""
    if clips < 1:
        raise ValueError(f"a test needs at least 1 clip, not {clips}")


def _linspace(first: float, last: float, count: int) -> np.ndarray:
    """Return `count` float32 points from `first` to `last` as torch.linspace has them: from the nearer end.

    It multiplies and adds with one rounding, as the vector units of processors do.
    """
    low, high = np.float32(first), np.float32(last)
    if count == 1:
        return np.array([low])
    step = float((high - low) / np.float32(count - 1))
    order = np.arange(count, dtype=np.float64)
    points = np.where(order < count // 2, float(low) + step * order, float(high) - step * order[::-1])
    return points.astype(np.float32)


def _evenly(last: float, count: int) -> list[float]:
    """Return `count` float64 points from 0 to `last`, as numpy.linspace has them."""
    return [float(point) for point in np.linspace(0, last, count)]
