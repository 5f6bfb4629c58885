"""Which frames a view is made of: where clips start, and which frames they take. Pure arithmetic, no files.

Kinetics (files): `clip_span`, then `clip_starts` or `offset_clip_starts`, then `pts_window`, then `frame_positions`.
Frame lists: `segment_indices` (Something-Something), `spread_indices` (Charades), `keyframe_indices` (AVA).
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


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


def segment_indices(num_frames: int, frames: int) -> list[int]:
    """Return the middle frame of each of `frames` equal segments of a video: one clip covers all of it.

    Source: the reference Something-Something protocol; the segments' borders are rounded half to even.
    """
    length = (num_frames - 1) / frames
    borders = [round(length * segment) for segment in range(frames + 1)]
    return [(borders[segment] + borders[segment + 1]) // 2 for segment in range(frames)]


def spread_indices(num_frames: int, *, frames: int, sampling_rate: int, clip: int, clips: int) -> list[int]:
    """Return the frames of one clip of several that are spread from the first frame to the last.

    Args:
        num_frames: Length of the video; positions beyond the end repeat the last frame.
        frames: Frames of the clip.
        sampling_rate: Exact distance between them, in frames of the source.
        clip: Number of the clip, from 0.
        clips: How many there are; at least 2, for the rule spreads them by `clips - 1`.
    Raises: ValueError if `clips` is below 2.
    Source: the reference Charades protocol; starts are rounded half to even.
    """
    if clips < 2:
        raise ValueError(f"spread sampling needs at least 2 clips, not {clips}")
    span = (frames - 1) * sampling_rate + 1
    start = round(max(num_frames - span, 0) / (clips - 1) * clip)
    return [min(start + position * sampling_rate, num_frames - 1) for position in range(frames)]


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
    """Return `count` float32 points from `first` to `last`, rounded as torch.linspace does: from the nearer end."""
    low, high = np.float32(first), np.float32(last)
    if count == 1:
        return np.array([low])
    step = (high - low) / np.float32(count - 1)
    order = np.arange(count, dtype=np.float32)
    return np.where(order < count // 2, low + step * order, high - step * order[::-1])
