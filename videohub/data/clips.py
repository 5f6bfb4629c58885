"""Decode a video and hand out the frames of every clip of its tests, each clip as soon as its last frame has come.

`read_clips` does what the original does with what the header states, `read_content` with what it should have stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from videohub.data.frame_index import FrameIndex
from videohub.data.sampling import (
    clip_span,
    frame_points,
    frame_positions,
    pts_window,
    row_of,
    shown_at,
    timed_indices,
)
from videohub.data.spec import WINDOW_RULES, TestSpec, list_indices
from videohub.data.video import DecodedFrame, Video, changed, open_video
from videohub.data.video_info import REFUSED, Stamps, VideoInfo, contradictions, refusal, true_info
from videohub.errors import VideoError
from videohub.protocols import Protocol, Timed, TimedBeginning

HELD_BYTES = 512 << 20  # of pictures that wait until all are counted; more than that, and decoding twice is cheaper
CONTENT_HELD_BYTES = 64 << 20  # the same (200 pictures of 640 x 480), where nobody says how many are read at once
_MOST_A_PIXEL = 16  # bytes: four floats


@dataclass(frozen=True)
class ClipFrames:
    """The frames of one clip, in order of time. The same frame may stand in it several times, and in other clips."""

    spec: int  # place in the list of specs
    number: int
    frames: list[DecodedFrame]


def read_clips(video: Video, specs: Sequence[TestSpec]) -> Iterator[ClipFrames]:
    """Yield the frames of every clip of tests with the same reach, as the original reads them; clips as they end.

    Kinetics (`time_windows`): the window of each clip, in time stamps, follows from what the container states,
    so it is known before decoding. A window takes every decoded frame inside it and the first one beyond it; that one
    closes it, and a frame of the window that the decoder hands out later is lost. Then the frames are put in order of
    time, the clip's are chosen and the others dropped. One pass over the video is enough, and it stops when the last
    window has closed. This chooses the frames that the original finds by seeking to each clip. In memory are the
    frames of open windows, and whatever the caller keeps. What the header states is believed, a first time stamp other
    than 0 is not subtracted, frames before time 0 are dropped, and of two frames with one time stamp the later stays.

    Something-Something, Charades and others (`frame_list`): the original reads images that somebody has taken out of
    the video. Here all decoded frames in order of time are that list, at the video's own frame rate.

    PyTorchVideo (`time_stamps`): all frames are decoded, and the time stamp of each counts, from the stated start on.

    For those, and where the container states no duration (Matroska), every frame is decoded before the first is chosen.
    Meanwhile they are held in the video's own pixel format, about 1.5 bytes per pixel; where they come to more than
    `HELD_BYTES` (5 seconds of 1080p) they are let go, and the video is decoded a second time for the chosen ones.

    Raises: VideoError if the original refuses such a header, if the video is damaged before the last window has
        closed, a window holds no frame, or the pictures of a window are too large for any machine's memory.
    """
    if specs[0].protocol.frames.reach in ("frame_list", "time_stamps"):
        return _from_all_frames(video, specs, _by_time)
    if reason := refusal(video.info):
        raise VideoError(f"{video.path}: {REFUSED}: {reason}")
    if video.info.duration is None:
        return _from_all_frames(video, specs, _by_time_once)
    return _from_windows(video, specs, video.info, first=0)


def read_content(video: Video, spec: TestSpec, stamps: Stamps) -> Iterator[ClipFrames]:
    """Yield the frames of the clips of a test as the content of a video has them, whatever its header says.

    It is `read_clips` of a copy of the same frames whose header is true. Time begins with the first frame. Which frame
    comes after which is the decoder's to say: stamps may go back, repeat, or be those of the order of storage. Where
    frames come at uneven distances, clips are made of the frames that are shown at their times. `stamps` are those of
    all packets. For a clip alone decoding begins shortly before it, where a video can be entered in the middle.
    Raises: VideoError as `read_clips`, but for headers.
    """
    info = true_info(video.info, stamps)
    if not _windowed(info, spec, stamps):
        return _from_all_frames(video, [spec], None)
    late = any(one.kind == "first time stamp" for one in contradictions(video.info, stamps))
    return _from_windows(video, [spec], info, first=stamps.first or 0 if late else 0)


def read_indexed(video: Video, spec: TestSpec, stamps: Stamps, index: FrameIndex) -> Iterator[ClipFrames] | None:
    """Yield what `read_content` does, of a video whose frames the packets tell: nothing is decoded behind the clips.

    Decoding begins at the key frame before the first of them. None where clips are windows of time.
    Raises: VideoError if the protocol refuses such a video; MiscountedError, at any time, if the packets are wrong.
    """
    numbered = numbered_clips(video.info, spec, stamps, index.times)
    if numbered is None:
        return None
    chosen = [_Chosen(0, number, numbered[number]) for number in spec.numbers]
    return _hand_out(chosen, index.frames(min(min(clip.positions) for clip in chosen)), video)


def numbered_clips(header: VideoInfo, spec: TestSpec, stamps: Stamps, shown: Sequence[int]) -> list[list[int]] | None:
    """Return which of all frames of a video each clip takes where `read_content` places clips by counting frames.

    None where it collects windows of time. `shown` are the time stamps of all frames, ascending.
    """
    info = true_info(header, stamps)
    return None if _windowed(info, spec, stamps) else _placed(info, spec, shown, stamps)


def _windowed(info: VideoInfo, spec: TestSpec, stamps: Stamps) -> bool:
    """Return whether windows of time hold the clips of a video whose header is true; else its frames are counted."""
    if spec.protocol.frames.reach != "time_windows" or not info.frames or info.duration is None:
        return False
    if info.reordered or not stamps.ordered or stamps.uneven:
        return False
    return _span(info, spec) >= 1  # of a shorter one the frame that is shown began before its window


@dataclass(eq=False)
class _Window:
    """A clip that is being collected; of two frames with one time stamp the later stays."""

    spec: int
    number: int
    clips: int  # of its test
    length: int  # frames that the network is given
    span: float  # frames that they cover
    first_pts: int  # in ticks after the time that counts as 0
    last_pts: int
    zero: int  # that time
    frames: dict[int, DecodedFrame] = field(default_factory=dict)

    def take(self, frame: DecodedFrame) -> bool:
        """Collect the frame unless it lies before the window, and return whether the window is now closed."""
        if frame.pts - self.zero >= self.first_pts:
            self.frames[frame.pts] = frame
        return frame.pts - self.zero > self.last_pts


def _from_windows(video: Video, specs: Sequence[TestSpec], info: VideoInfo, *, first: int) -> Iterator[ClipFrames]:
    """Collect windows while decoding, and yield each clip as its window closes or the video ends."""
    waiting = [window for place, spec in enumerate(specs) for window in _windows(info, place, spec, first)]
    frames = video.frames()
    if specs[0].number is not None:
        frames = video.frames_from(min(window.first_pts + window.zero for window in waiting))
    for frame in frames:
        for window in [window for window in waiting if window.take(frame)]:
            waiting.remove(window)
            yield _choose(window, video)
        if not waiting:
            return
        _check_size(max(len(window.frames) for window in waiting), frame, video)
    for window in waiting:  # the video has ended inside them
        yield _choose(window, video)


def _windows(info: VideoInfo, place: int, spec: TestSpec, zero: int) -> Iterator[_Window]:
    """Yield the window of each clip of a test, still empty."""
    assert info.duration is not None
    span = _span(info, spec)
    starts = _starts(spec.protocol, info.frames, span)
    for number in spec.numbers:
        first, last = pts_window(starts[number], span, duration=info.duration, num_frames=info.frames)
        yield _Window(place, number, len(starts), spec.clip.frames, span, first, last, zero)


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
    return ClipFrames(window.spec, window.number, [ordered[position] for position in chosen])


def _check_size(held: int, frame: DecodedFrame, video: Video) -> None:
    """Refuse pictures that would fill the memory; an open window holds all that later ones share with it."""
    width, height, budget = frame.picture.width, frame.picture.height, video.budget
    if held * width * height * _MOST_A_PIXEL + budget.kept > budget.most:  # asking for planes takes 2 % of decoding
        what = f"a clip holds {held} frames and more of {width}x{height} while it is decoded, which"
        budget.check(video.path, held * frame.nbytes, what)


_Stamped: TypeAlias = tuple[int, int]  # time stamp and decoding position of a frame
_Order: TypeAlias = Callable[[Sequence[_Stamped]], list[int]]  # -> positions in the order in which frames count


def counted(frames: Iterable[DecodedFrame], hold: int) -> tuple[list[_Stamped], list[DecodedFrame] | None]:
    """Decode all frames, and return their stamps and, unless they take more than `hold` bytes, themselves."""
    stamps: list[_Stamped] = []
    held: list[DecodedFrame] | None = []
    held_bytes = 0
    for frame in frames:
        stamps.append((frame.pts, frame.position))
        if held is not None:
            held.append(frame)
            held_bytes += frame.nbytes
            held = held if held_bytes <= hold else None
    return stamps, held


def _by_time(stamps: Sequence[_Stamped]) -> list[int]:
    """Put all frames in order of time; those with one time stamp as they were decoded."""
    return [position for _, position in sorted(stamps, key=lambda frame: frame[0])]


def _by_time_once(stamps: Sequence[_Stamped]) -> list[int]:
    """Put frames in order of time as the original does: none before 0, and of one time stamp the later."""
    last = {pts: position for pts, position in stamps if pts >= 0}
    return [last[pts] for pts in sorted(last)]


def _from_all_frames(video: Video, specs: Sequence[TestSpec], order: _Order | None) -> Iterator[ClipFrames]:
    """Decode everything, count it, put it in order, and only then place the clips.

    With an `order`, what the header states counts; without, what it should state, and the order of the decoder.
    """

    def frames(video: Video) -> Iterator[DecodedFrame]:
        return video.frames() if order else video.numbered_frames()

    stamps, held = counted(frames(video), HELD_BYTES if order else CONTENT_HELD_BYTES)
    ordered = order(stamps) if order else [position for _, position in stamps]
    if not ordered:
        raise VideoError(f"{video.path}: all of its {len(stamps)} frames have time stamps before 0")
    pts = {position: stamp for stamp, position in stamps}
    content = None if order else video.read.stamps()
    info = true_info(video.info, content) if content else video.info
    shown = sorted(pts[position] for position in ordered)
    chosen = [
        _Chosen(place, number, [ordered[index] for index in of_clip])
        for place, spec in enumerate(specs)
        for number, of_clip in enumerate(_placed(info, spec, shown, content))
        if number in spec.numbers
    ]
    if held is not None:
        yield from _hand_out(chosen, held, video)
        return
    with open_video(video.path) as again:
        yield from _hand_out(chosen, frames(again), video)


def _placed(info: VideoInfo, spec: TestSpec, shown: Sequence[int], content: Stamps | None) -> list[list[int]]:
    """Return which of the ordered frames each clip takes; `shown` are their time stamps, ascending.

    Where the `content` counts, and not the header, a clip spans a frame or more, while the original's rule steps back
    in time where it spans less; and it is placed by times where these are uneven, not by numbers.
    """
    protocol, clip, available = spec.protocol, spec.clip, len(shown)
    if protocol.frames.reach == "time_stamps":
        return _timed(info, spec, shown, content)
    if protocol.frames.reach == "frame_list":
        rate = info.rate
        return list_indices(protocol, clip, available, float(rate) if rate else None)
    span = _span(info, spec)
    starts = _starts(protocol, available, span)
    span = max(span, 1) if content else span
    times = shown if content and content.uneven else ()
    if len(times) < 2:
        return [frame_positions(start, span, clip.frames, available) for start in starts]
    return [shown_at(frame_points(start, span, clip.frames, available), times) for start in starts]


def _timed(info: VideoInfo, spec: TestSpec, shown: Sequence[int], content: Stamps | None) -> list[list[int]]:
    """Return which frames each clip of so many seconds takes; see `_placed`.

    For the original the video begins where the header says, or at 0 if it does not; it takes that off the stated
    duration, which is without it already. By its content, a video begins with its first frame.
    """
    if content and not content.ordered:
        step = 1 / (info.rate * info.time_base) if info.rate else 1
        shown = [round(number * step) for number in range(len(shown))]
    start = shown[0] if content else info.start or 0
    length = shown[-1] - start
    if info.duration is not None:
        length = info.duration if content else info.duration - start
    indices = partial(timed_indices, shown, start=start, length=length, tick=info.time_base)
    frames, rate, clips = spec.clip.frames, spec.clip.sampling_rate, spec.protocol.views.clips
    rule = spec.protocol.frames
    assert isinstance(rule, Timed)  # all that go by time stamps are
    if isinstance(rule, TimedBeginning):
        (kept,) = indices(seconds=rule.kept / rule.fps, frames=rule.kept, clips=1)
        return [row_of(kept, frames=frames, sampling_rate=rate, clip=number, clips=clips) for number in range(clips)]
    return indices(seconds=frames * rate / rule.fps, frames=frames, clips=clips)


@dataclass(frozen=True)
class _Chosen:
    """A clip by the decoding positions of its frames."""

    spec: int
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
            _check_size(len(held), frame, video)
        while waiting and waiting[0].end <= frame.position:
            clip = waiting.pop(0)
            yield ClipFrames(clip.spec, clip.number, [held[position] for position in clip.positions])
            needed = {position for clip in waiting for position in clip.positions}
            held = {position: frame for position, frame in held.items() if position in needed}
        if not waiting:
            return
    raise changed(video.path)


def _span(info: VideoInfo, spec: TestSpec) -> float:
    """Return how many of this video's frames a clip covers; a single frame has no rate, and none is needed."""
    return clip_span(
        frames=spec.clip.frames,
        sampling_rate=spec.clip.sampling_rate,
        fps=info.average_rate or spec.protocol.fps or 1,
        target_fps=spec.protocol.fps,
    )


def _starts(protocol: Protocol, num_frames: int, span: float) -> list[float]:
    """Place the clips by the protocol's rule."""
    return WINDOW_RULES[type(protocol.frames)](num_frames, span, protocol.views.clips)
