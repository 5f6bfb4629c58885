"""Decode a video once and hand out the frames of every clip of a test, each as soon as its window has passed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from videohub.data.sampling import (
    clip_span,
    clip_starts,
    frame_positions,
    offset_clip_starts,
    pts_window,
    segment_indices,
    spread_indices,
)
from videohub.data.video import DecodedFrame, Video
from videohub.errors import VideoError
from videohub.registry.schema import Clip, Protocol


@dataclass(frozen=True)
class ClipFrames:
    """The frames of one clip, in order of time. The same frame may stand in it several times, and in other clips."""

    number: int
    frames: list[DecodedFrame]


def read_clips(video: Video, protocol: Protocol, clip: Clip) -> Iterator[ClipFrames]:
    """Yield the frames of every clip of a test in one pass over the video, clips in the order in which they end.

    Kinetics (decoder `pts_window`): the window of each clip, in time stamps, follows from what the container states,
    so it is known before decoding. A window takes every decoded frame inside it and the first one beyond it; that one
    closes it, and a frame of the window that the decoder hands out later is lost. Then the frames are put in order of
    time, the clip's are chosen and the others dropped. Decoding stops when the last window has closed. This chooses
    the frames that the original finds by seeking to each clip. In memory are the frames of open windows, and whatever
    the caller keeps.

    Something-Something and Charades (decoder `frame_list`): the original reads images that somebody has taken out of
    the video. Here all decoded frames in order of time are that list, at the video's own frame rate.

    For those, and where the container does not state both frames and duration (Matroska, MPEG-TS), every frame is
    decoded before the first is chosen, and held until the end in the video's own pixel format: about 1.5 bytes per
    pixel, 90 MB per second of 1080p at 30 fps.

    Raises: VideoError if the video is damaged before the last window has closed, or a window holds no frame.
    """
    if protocol.decoder == "frame_list":
        return _from_frame_list(video, protocol, clip)
    if video.info.duration is None or not video.info.frames:
        return _from_whole_video(video, protocol, clip)
    return _from_windows(video, protocol, clip, duration=video.info.duration)


@dataclass(eq=False)
class _Window:
    """A clip that is being collected; of two frames with one time stamp the later stays."""

    number: int
    first_pts: int
    last_pts: int
    frames: dict[int, DecodedFrame] = field(default_factory=dict)

    def take(self, frame: DecodedFrame) -> bool:
        """Collect the frame unless it lies before the window, and return whether the window is now closed."""
        if frame.pts >= self.first_pts:
            self.frames[frame.pts] = frame
        return frame.pts > self.last_pts


def _from_windows(video: Video, protocol: Protocol, clip: Clip, *, duration: int) -> Iterator[ClipFrames]:
    """Collect windows while decoding, and yield each clip as its window closes or the video ends."""
    total = video.info.frames
    span = _span(video, protocol, clip)
    waiting = [
        _Window(number, *pts_window(start, span, duration=duration, num_frames=total))
        for number, start in enumerate(_starts(protocol, total, span))
    ]
    for frame in video.frames():
        for window in [window for window in waiting if window.take(frame)]:
            waiting.remove(window)
            yield ClipFrames(window.number, _choose(window, span, clip, video, protocol))
        if not waiting:
            return
    for window in waiting:  # the video has ended inside them
        yield ClipFrames(window.number, _choose(window, span, clip, video, protocol))


def _choose(window: _Window, span: float, clip: Clip, video: Video, protocol: Protocol) -> list[DecodedFrame]:
    """Pick the clip's frames from those of its window, and let go of the others."""
    if not window.frames:
        raise VideoError(
            f"{video.path}: clip {window.number + 1} of {protocol.clips} holds no frame: none was decoded with a time "
            f"stamp from {window.first_pts} on, though the header states {video.info.frames} frames"
        )
    ordered = [window.frames[pts] for pts in sorted(window.frames)]
    window.frames.clear()
    return [ordered[position] for position in frame_positions(0, span, clip.frames, len(ordered))]


def _from_whole_video(video: Video, protocol: Protocol, clip: Clip) -> Iterator[ClipFrames]:
    """Decode everything, count it, and only then place the clips."""
    by_pts = {frame.pts: frame for frame in video.frames()}
    ordered = [by_pts[pts] for pts in sorted(by_pts)]
    span = _span(video, protocol, clip)
    for number, start in enumerate(_starts(protocol, len(ordered), span)):
        positions = frame_positions(start, span, clip.frames, len(ordered))
        yield ClipFrames(number, [ordered[position] for position in positions])


def _from_frame_list(video: Video, protocol: Protocol, clip: Clip) -> Iterator[ClipFrames]:
    """Decode everything, put it in order of time, and choose by position alone."""
    ordered = sorted(video.frames(), key=lambda frame: frame.pts)
    for number in range(protocol.clips):
        yield ClipFrames(number, [ordered[index] for index in _indices(protocol, clip, number, len(ordered))])


def _indices(protocol: Protocol, clip: Clip, number: int, num_frames: int) -> list[int]:
    """Choose from a list of frames by the protocol's rule; segments always cover all of it, whichever the clip."""
    if protocol.sampling == "segments":
        return segment_indices(num_frames, clip.frames)
    return spread_indices(
        num_frames, frames=clip.frames, sampling_rate=clip.sampling_rate, clip=number, clips=protocol.clips
    )


def _span(video: Video, protocol: Protocol, clip: Clip) -> float:
    """Return how many of this video's frames a clip covers."""
    return clip_span(
        frames=clip.frames,
        sampling_rate=clip.sampling_rate,
        fps=video.info.average_rate,
        target_fps=protocol.target_fps,
    )


def _starts(protocol: Protocol, num_frames: int, span: float) -> list[float]:
    """Place the clips by the protocol's rule."""
    place = offset_clip_starts if protocol.sampling == "offset" else clip_starts
    return place(num_frames, span, protocol.clips)
