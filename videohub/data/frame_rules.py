"""The frames that a protocol's rule takes: which function of `sampling.py` it is, and what happens past the end."""

from __future__ import annotations

from collections.abc import Callable

from videohub import protocols as steps
from videohub.data.sampling import (
    centred_indices,
    clip_starts,
    dense_indices,
    interleaved_indices,
    offset_clip_starts,
    offset_indices,
    part_window_indices,
    resampled_indices,
    segment_indices,
    spread_at_rate_indices,
    spread_down_indices,
    spread_indices,
    spread_resampled_indices,
    strided_indices,
    timed_list_indices,
    uniform_indices,
    window_indices,
)
from videohub.errors import VideoError
from videohub.protocols import FrameRule, Protocol
from videohub.registry.schema import Clip

WINDOW_RULES: dict[type[FrameRule], Callable[[int, float, int], list[float]]] = {
    steps.Proportional: clip_starts,
    steps.Offset: offset_clip_starts,
}


def _each(of_one: Callable[..., list[int]]) -> Callable[..., list[list[int]]]:
    """Return what applies a rule of one clip to every clip."""

    def of_all(rule: FrameRule, num_frames: int, clip: Clip, clips: int, fps: float | None) -> list[list[int]]:
        return [
            of_one(num_frames, frames=clip.frames, sampling_rate=clip.sampling_rate, clip=number, clips=clips)
            for number in range(clips)
        ]

    return of_all


def _segments(_: steps.Segments, num_frames: int, clip: Clip, clips: int, fps: float | None) -> list[list[int]]:
    return [segment_indices(num_frames, clip.frames)] * clips  # all of the video, whichever the clip


def _dense(rule: steps.Dense, num_frames: int, clip: Clip, clips: int, fps: float | None) -> list[list[int]]:
    return [
        dense_indices(
            num_frames,
            frames=clip.frames,
            sampling_rate=clip.sampling_rate,
            clip=number,
            clips=clips,
            positions=rule.positions,
            window=rule.window,
        )
        for number in range(clips)
    ]


def _each_at_rate(of_one: Callable[..., list[int]]) -> Callable[..., list[list[int]]]:
    """Return what applies a rule of one clip, at a frame rate of its own, to every clip."""

    def of_all(
        rule: steps.SpreadAtRate | steps.SpreadResampled, num_frames: int, clip: Clip, clips: int, fps: float | None
    ) -> list[list[int]]:
        return [
            of_one(
                num_frames,
                frames=clip.frames,
                sampling_rate=clip.sampling_rate,
                clip=number,
                clips=clips,
                ratio=fps / rule.fps if fps else 1,  # images carry no rate; the originals take each of them then
            )
            for number in range(clips)
        ]

    return of_all


def _resampled(rule: steps.Resampled, num_frames: int, clip: Clip, clips: int, fps: float | None) -> list[list[int]]:
    return resampled_indices(num_frames, frames=clip.frames, clips=clips, fps=fps or rule.fps, new_fps=rule.fps)


def _part_windows(
    rule: steps.PartWindows, num_frames: int, clip: Clip, clips: int, fps: float | None
) -> list[list[int]]:
    of_all = part_window_indices(
        num_frames, frames=clip.frames, sampling_rate=clip.sampling_rate, parts=rule.parts
    )  # in the middle, whichever the clip
    return [of_all] * clips


LIST_RULES: dict[type[FrameRule], Callable[..., list[list[int]]]] = {
    steps.Segments: _segments,
    steps.Uniform: _each(uniform_indices),
    steps.OffsetFrames: _each(offset_indices),
    steps.TimedList: _each(timed_list_indices),
    steps.Spread: _each(spread_indices),
    steps.SpreadDown: _each(spread_down_indices),
    steps.SpreadAtRate: _each_at_rate(spread_at_rate_indices),
    steps.SpreadResampled: _each_at_rate(spread_resampled_indices),
    steps.Windows: _each(window_indices),
    steps.Interleaved: _each(interleaved_indices),
    steps.Strided: _each(strided_indices),
    steps.Dense: _dense,
    steps.Centres: _each(centred_indices),
    steps.Resampled: _resampled,
    steps.PartWindows: _part_windows,
}


def list_indices(protocol: Protocol, clip: Clip, num_frames: int, fps: float | None = None) -> list[list[int]]:
    """Return the frames of every clip of a test among all frames of a video, (clips, T), by the protocol's rule.

    Args:
        fps: Frame rate of the video, in frames per second; None where nothing tells it.
    Raises: VideoError if the rule refuses a video that is too short.
    """
    rule = protocol.frames
    indices = LIST_RULES[type(rule)](rule, num_frames, clip, protocol.views.clips, fps)
    if not indices:
        raise VideoError(f"its {num_frames} frames are fewer than a clip takes; {rule.name} sampling {steps.SKIPS}")
    if getattr(rule, "past_end", "repeat") == "loop":
        return [[index % num_frames for index in of_clip] for of_clip in indices]
    return [[min(index, num_frames - 1) for index in of_clip] for of_clip in indices]
