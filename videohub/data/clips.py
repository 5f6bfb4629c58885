"""Decode a video and hand out the frames of every clip of its tests, each clip as soon as its last frame has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from videohub.data.frame_store import MOST_BYTES
from videohub.data.recipes import Recipe
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
_MOST_A_PIXEL = 16  # bytes: four floats


@dataclass(frozen=True)
class ClipFrames:
    """The frames of one clip, in order of time. The same frame may stand in it several times, and in other clips."""

    recipe: int  # place in the list of recipes
    number: int
    frames: list[DecodedFrame]


def read_clips(video: Video, recipes: Sequence[Recipe]) -> Iterator[ClipFrames]:
    """Yield the frames of every clip of one or more tests with the same decoder, clips in the order in which they end.

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
    if recipes[0].protocol.decoder == "frame_list" or video.info.duration is None or not video.info.frames:
        return _from_all_frames(video, recipes)
    return _from_windows(video, recipes, duration=video.info.duration)


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

    recipe: int
    number: int
    clips: int  # of its test
    length: int  # frames that the network is given
    span: float  # frames that they cover
    first_pts: int
    last_pts: int
    frames: dict[int, DecodedFrame] = field(default_factory=dict)

    def take(self, frame: DecodedFrame) -> bool:
        """Collect the frame unless it lies before the window, and return whether the window is now closed."""
        if frame.pts >= self.first_pts:
            self.frames[frame.pts] = frame
        return frame.pts > self.last_pts


def _from_windows(video: Video, recipes: Sequence[Recipe], *, duration: int) -> Iterator[ClipFrames]:
    """Collect windows while decoding, and yield each clip as its window closes or the video ends."""
    waiting = [window for place, recipe in enumerate(recipes) for window in _windows(video, place, recipe, duration)]
    for frame in video.frames():
        for window in [window for window in waiting if window.take(frame)]:
            waiting.remove(window)
            yield _choose(window, video)
        if not waiting:
            return
        _check_size(max(len(window.frames) for window in waiting), frame, video)
    for window in waiting:  # the video has ended inside them
        yield _choose(window, video)


def _windows(video: Video, place: int, recipe: Recipe, duration: int) -> Iterator[_Window]:
    """Yield the window of each clip of a test, still empty."""
    total, span = video.info.frames, _span(video, recipe)
    starts = _starts(recipe.protocol, total, span)
    for number, start in enumerate(starts):
        first, last = pts_window(start, span, duration=duration, num_frames=total)
        yield _Window(place, number, len(starts), recipe.clip.frames, span, first, last)


def _choose(window: _Window, video: Video) -> ClipFrames:
    """Pick the clip's frames from those of its window, and let go of the others."""
    if not window.frames:
        raise VideoError(
            f"{video.path}: clip {window.number + 1} of {window.clips} holds no frame: none was decoded with a time "
            f"stamp from {window.first_pts} on, though the header states {video.info.frames} frames"
        )
    ordered = [window.frames[pts] for pts in sorted(window.frames)]
    window.frames.clear()
    chosen = frame_positions(0, window.span, window.length, len(ordered))
    return ClipFrames(window.recipe, window.number, [ordered[position] for position in chosen])


def _check_size(held: int, frame: DecodedFrame, video: Video) -> None:
    """Refuse a window that would fill the machine's memory; an open one holds all that later ones share with it."""
    if held * frame.picture.width * frame.picture.height * _MOST_A_PIXEL <= MOST_BYTES:
        return  # asking a picture for its planes, frame after frame, takes 2 % of what decoding takes
    if held * frame.nbytes > MOST_BYTES:
        raise VideoError(
            f"{video.path}: a clip holds {held} frames and more of {frame.picture.width}x{frame.picture.height} while "
            f"it is decoded, above the {MOST_BYTES / 2**30:.0f} GiB that one video may take; resize it"
        )


def _from_all_frames(video: Video, recipes: Sequence[Recipe]) -> Iterator[ClipFrames]:
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
    chosen = [
        _Chosen(place, number, positions)
        for place, recipe in enumerate(recipes)
        for number, positions in enumerate(_placed(video, recipe, stamps))
    ]
    if held is not None:
        yield from _hand_out(chosen, held, video)
        return
    with open_video(video.path) as again:
        yield from _hand_out(chosen, again.frames(), video)


def _placed(video: Video, recipe: Recipe, stamps: list[tuple[int, int]]) -> list[list[int]]:
    """Return the decoding positions of each clip's frames, given the (pts, position) of every frame."""
    protocol, clip = recipe.protocol, recipe.clip
    if protocol.decoder == "frame_list":
        ordered = [position for _, position in sorted(stamps)]
        indices = [indices_in_list(protocol, clip, number, len(ordered)) for number in range(protocol.clips)]
    else:
        ordered = [position for _, position in sorted(dict(stamps).items())]  # of one time stamp the later stays
        span = _span(video, recipe)
        starts = _starts(protocol, len(ordered), span)
        indices = [frame_positions(start, span, clip.frames, len(ordered)) for start in starts]
    return [[ordered[index] for index in of_clip] for of_clip in indices]


@dataclass(frozen=True)
class _Chosen:
    """A clip by the decoding positions of its frames."""

    recipe: int
    number: int
    positions: list[int]

    @property
    def end(self) -> int:
        return max(self.positions)


def _hand_out(chosen: list[_Chosen], frames: Iterable[DecodedFrame], video: Video) -> Iterator[ClipFrames]:
    """Yield each clip once its last frame has come; hold what the others still need."""
    waiting = sorted(chosen, key=lambda clip: clip.end)
    needed = {position for clip in chosen for position in clip.positions}
    held: dict[int, DecodedFrame] = {}
    for frame in frames:
        if frame.position in needed:
            held[frame.position] = frame
        while waiting and waiting[0].end <= frame.position:
            clip = waiting.pop(0)
            yield ClipFrames(clip.recipe, clip.number, [held[position] for position in clip.positions])
            needed = {position for clip in waiting for position in clip.positions}
            held = {position: frame for position, frame in held.items() if position in needed}
        if not waiting:
            return
    raise VideoError(f"{video.path}: fewer frames came out of it than when it was decoded before; did it change?")


def _span(video: Video, recipe: Recipe) -> float:
    """Return how many of this video's frames a clip covers."""
    return clip_span(
        frames=recipe.clip.frames,
        sampling_rate=recipe.clip.sampling_rate,
        fps=video.info.average_rate,
        target_fps=recipe.protocol.target_fps,
    )


def _starts(protocol: Protocol, num_frames: int, span: float) -> list[float]:
    """Place the clips by the protocol's rule."""
    place = offset_clip_starts if protocol.sampling == "offset" else clip_starts
    return place(num_frames, span, protocol.clips)
