"""Decode a video and hand out the frames of every clip of a test, each clip as soon as its last frame has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from videohub.data.frame_store import MOST_BYTES
from videohub.data.sampling import (
    clip_span,
    clip_starts,
    frame_positions,
    offset_clip_starts,
    pts_window,
    segment_indices,
    spread_indices,
)
from videohub.data.video import DecodedFrame, Video, open_video
from videohub.errors import VideoError
from videohub.registry.schema import Clip, Protocol

HELD_BYTES = 512 << 20  # of pictures that wait until all are counted; more than that, and decoding twice is cheaper


@dataclass(frozen=True)
class ClipFrames:
    """The frames of one clip, in order of time. The same frame may stand in it several times, and in other clips."""

    number: int
    frames: list[DecodedFrame]


def read_clips(video: Video, protocol: Protocol, clip: Clip) -> Iterator[ClipFrames]:
    """Yield the frames of every clip of a test, clips in the order in which they end.

    Kinetics (decoder `pts_window`): the window of each clip, in time stamps, follows from what the container states,
    so it is known before decoding. A window takes every decoded frame inside it and the first one beyond it; that one
    closes it, and a frame of the window that the decoder hands out later is lost. Then the frames are put in order of
    time, the clip's are chosen and the others dropped. One pass over the video is enough, and it stops when the last
    window has closed. This chooses the frames that the original finds by seeking to each clip. In memory are the
    frames of open windows, and whatever the caller keeps.

    Something-Something and Charades (decoder `frame_list`): the original reads images that somebody has taken out of
    the video. Here all decoded frames in order of time are that list, at the video's own frame rate.

    For those, and where the container does not state both frames and duration (Matroska, MPEG-TS), every frame is
    decoded before the first is chosen. Meanwhile they are held in the video's own pixel format, about 1.5 bytes per
    pixel; where they come to more than `HELD_BYTES` (5 seconds of 1080p) they are let go, and the video is decoded a
    second time for the chosen ones.

    Raises: VideoError if the video is damaged before the last window has closed, a window holds no frame, or the
        pictures of a window are too large for any machine's memory.
    """
    if protocol.decoder == "frame_list" or video.info.duration is None or not video.info.frames:
        return _from_all_frames(video, protocol, clip)
    return _from_windows(video, protocol, clip, duration=video.info.duration)


def indices_in_list(protocol: Protocol, clip: Clip, number: int, num_frames: int) -> list[int]:
    """Choose the frames of one clip from a list; segments always cover all of it, whichever the clip."""
    if protocol.sampling == "segments":
        return segment_indices(num_frames, clip.frames)
    return spread_indices(
        num_frames, frames=clip.frames, sampling_rate=clip.sampling_rate, clip=number, clips=protocol.clips
    )


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
        _check_size(max(len(window.frames) for window in waiting), frame, video)
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


def _check_size(held: int, frame: DecodedFrame, video: Video) -> None:
    """Refuse a window that would fill the machine's memory; an open one holds all that later ones share with it."""
    if held * frame.nbytes > MOST_BYTES:
        raise VideoError(
            f"{video.path}: a clip holds {held} frames and more of {frame.picture.width}x{frame.picture.height} while "
            f"it is decoded, above the {MOST_BYTES / 2**30:.0f} GiB that one video may take; resize it"
        )


def _from_all_frames(video: Video, protocol: Protocol, clip: Clip) -> Iterator[ClipFrames]:
    """Decode everything, count it, put it in order of time, and only then place the clips."""
    stamps: list[tuple[int, int]] = []  # pts, position
    held: list[DecodedFrame] | None = []
    held_bytes = 0
    for frame in video.frames():
        stamps.append((frame.pts, frame.position))
        if held is not None:
            held.append(frame)
            held_bytes += frame.nbytes
            held = held if held_bytes <= HELD_BYTES else None
    if protocol.decoder == "frame_list":
        ordered = [position for _, position in sorted(stamps)]
        indices = [indices_in_list(protocol, clip, number, len(ordered)) for number in range(protocol.clips)]
    else:
        ordered = [position for _, position in sorted(dict(stamps).items())]  # of one time stamp the later stays
        span = _span(video, protocol, clip)
        starts = _starts(protocol, len(ordered), span)
        indices = [frame_positions(start, span, clip.frames, len(ordered)) for start in starts]
    chosen = [[ordered[index] for index in of_clip] for of_clip in indices]
    if held is not None:
        yield from _hand_out(chosen, held, video)
        return
    with open_video(video.path) as again:
        yield from _hand_out(chosen, again.frames(), video)


def _hand_out(chosen: list[list[int]], frames: Iterable[DecodedFrame], video: Video) -> Iterator[ClipFrames]:
    """Yield each clip, given by decoding positions, once its last frame has come; hold what the others still need."""
    ends = [max(positions) for positions in chosen]
    waiting = sorted(range(len(chosen)), key=lambda number: ends[number])
    needed = {position for positions in chosen for position in positions}
    held: dict[int, DecodedFrame] = {}
    for frame in frames:
        if frame.position in needed:
            held[frame.position] = frame
        while waiting and ends[waiting[0]] <= frame.position:
            number = waiting.pop(0)
            yield ClipFrames(number, [held[position] for position in chosen[number]])
            needed = {position for number in waiting for position in chosen[number]}
            held = {position: frame for position, frame in held.items() if position in needed}
        if not waiting:
            return
    raise VideoError(f"{video.path}: fewer frames came out of it than when it was decoded before; did it change?")


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
