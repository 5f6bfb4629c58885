"""Windows along a video: one pass over its frames, each window given as soon as its last frame has come.

The frames of a window are named by their times in seconds, from the first frame of the video on. So a caller says all:
features ask for a window every so many frames, `predict` for one every so many seconds, `detect` for the frames around
each key frame, some of which lie before the first frame of the video or behind the last.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple
from weakref import WeakSet

import numpy as np
import numpy.typing as npt
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from videohub.data import levels
from videohub.data.decoded_images import UPRIGHT, Frame, Picture, check_size, orientation
from videohub.data.geometry import Square, resized_size, squares
from videohub.data.memory import PREPARING, Budget
from videohub.data.pixels import prepare
from videohub.data.samples import StoredFile
from videohub.data.video import open_video
from videohub.data.video_info import Contradiction, FrameClock, contradictions
from videohub.errors import VideoError
from videohub.protocols import Protocol

LONGEST_SHOWN_S = 3600.0  # a frame; where one stays for longer, its video's time stamps are wrong
SHORTEST_S = 0.01  # from one window to the next; fewer are no frames, and would not come to an end

# Of the mean distance of two frames: so much before its stamp a frame counts as shown. Containers round stamps: in
# Matroska frame 2 at 30 a second, which is asked for at 66.667 ms, has the stamp 67.
_EARLY = 1 / 8

_RESIZING = 24  # bytes for a pixel of what comes out: floats, and those of the step before


@dataclass(eq=False)
class TimedFrames:
    """The frames of a video in the order in which they are shown, with their times, for one pass over them."""

    path: StoredFile  # of the file, or what stands for it in messages
    rate: float | None  # frames a second, as the content has it; None of a single picture without a rate
    seconds: float | None  # how long it probably is, before it has been decoded; None if nothing tells
    pictures: Iterator[tuple[float, Picture]]  # ascending, each with the time from which it is shown, from 0
    contradictions: Callable[[], tuple[Contradiction, ...]] = tuple  # of header and content, as far as it was decoded
    end: Callable[[], float | None] = lambda: None  # until when the last picture is shown, where the stamps tell
    budget: Budget = field(default_factory=Budget)

    @property
    def step(self) -> float:
        """Return the mean distance of two frames, in seconds; 0 where there is no rate."""
        return 1 / self.rate if self.rate else 0.0


@dataclass(frozen=True, eq=False)
class Window:
    """The frames of one clip, from which `len(window)` crops are cut on request, as from `Views`.

    Windows that overlap share their frames.
    """

    number: int  # of the windows that were asked for, from 0
    times: npt.NDArray[np.float64]  # (T,): from when on its frames are shown, in seconds
    frames: Sequence[Tensor]  # T of (3, H, W) float32: normalised, resized, and of them what any crop reaches
    offsets: Sequence[Square]  # of each crop in those, in pixels
    size: tuple[int, int]  # (height, width) of a crop, in pixels
    picture: Picture | None = None  # of the frame `needed`, at its own size, if pictures were to be kept
    boxes: Tensor | None = None  # (K, 4): x1, y1, x2, y2 in pixels of the crop, for whoever has some

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self.offsets)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Return the shape of all crops together, (crops, 3, T, H, W)."""
        return (len(self), 3, len(self.frames), *self.size)

    @property
    def device(self) -> torch.device:
        """Return where the frames lie."""
        return self.frames[0].device

    def write(self, crop: int, out: Tensor) -> None:
        """Write one crop to where it is wanted, (3, T, H, W) in any memory format."""
        (top, left, mirrored), (height, width) = self.offsets[crop], self.size
        for place, frame in enumerate(self.frames):
            out[:, place] = frame[:, top : top + height, left : left + width]
        if mirrored:
            out.copy_(out.flip(-1))

    def stack(self) -> Tensor:
        """Return all crops, (crops, 3, T, H, W) float32, a copy."""
        crops = torch.empty(self.shape, dtype=torch.float32, device=self.device)
        for crop in range(len(self)):
            self.write(crop, crops[crop])
        return crops


# --- where frames come from ------------------------------------------------------------------------------------------


@contextmanager
def open_frames(path: StoredFile, *, share: int = 1) -> Iterator[TimedFrames]:
    """Open a video file for one pass over its frames, as its content has them.

    It follows `read_content`: the first true video stream, from its first frame on, pictures upright, at the times
    that `FrameClock` gives them, in the order in which the decoder does. All packets are looked at before the first
    one is decoded. Ask for the contradictions within the `with` block, after the first picture.

    Args:
        share: How many videos are decoded at the same time; each may take so much of the free memory.
    Raises: UsageError if it is no file, VideoError if it is no video that can be read; what `windows` raises as it
        decodes.
    """
    with open_video(path) as video:
        stamps = video.stamps()
    with open_video(path) as video:
        clock, turned = FrameClock(video.info, stamps), UPRIGHT

        def pictures() -> Iterator[tuple[float, Picture]]:
            nonlocal turned
            to_rgb = VideoReformatter()
            for number, picture in enumerate(video.pictures()):
                turned = turned if number else orientation(picture)  # what the first one says, for all
                yield clock.seconds(picture.pts), Frame(picture, to_rgb, video.path, turned)

        rate = float(clock.rate) if clock.rate else None
        yield TimedFrames(
            path=video.path,
            rate=rate,
            seconds=stamps.count / rate if rate else None,
            pictures=pictures(),
            contradictions=lambda: contradictions(video.info, video.stamps(), turned),
            end=clock.end,
            budget=Budget(share),
        )


# --- windows ---------------------------------------------------------------------------------------------------------


def windows(
    frames: TimedFrames,
    times: Iterable[Sequence[float]],
    protocol: Protocol,
    *,
    needed: int = 0,
    keep_picture: bool = False,
    device: torch.device | str = "cpu",
) -> Iterator[Window]:
    """Yield windows in their order, each once its frames have come.

    A frame stands for every time from its own on, up to that of the next; the first one for all before it, and the
    last one for all behind it. Each frame that any window has is converted and prepared once, and no other one is. In
    memory are the frames of open windows, and of those that the caller keeps, however long the video is.

    How long a video is shows when it ends, so the times may go on for ever: the first window whose frame `needed` lies
    behind the end is not given any more, nor are those after it. With `needed=0` windows at the end repeat the last
    frame; with `needed=-1` all of their frames lie within the video. For key frames it is their place in the window.

        with open_frames(Path("long.mp4")) as frames:            # a window every 16 frames at 30 a second
            starts = (k * 16 / 30 for k in itertools.count())
            for window in windows(frames, ([s + j * 2 / 30 for j in range(32)] for s in starts), protocol):
                model.features(window.stack())                   # (crops, 3, 32, H, W)

        around = [[(key + j - 16) / 30 for j in range(0, 32)] for key in key_frames]   # AVA: repeated at both ends
        windows(frames, around, protocol, needed=16)

    Args:
        frames: What to take them from; it is used up.
        times: Of the frames of each window, in seconds, ascending; no window begins before the one in front of it.
        protocol: What is done to the pixels of a frame, and which crops are cut out of it; its rule of frames and its
            number of clips are no matter.
        keep_picture: Whether each window comes with the picture of its frame `needed`, for whoever looks for people.
    Raises: VideoError if the video is damaged or cut short, as soon as that shows: windows given before are of a
        damaged video; if it changes its size, shows a frame for more than an hour, or does not fit into the memory.
        UsageError if the crop is larger than the frame. ValueError if times are not in order.
    """
    preparation = _Preparation(frames.path, protocol, torch.device(device), frames.budget)
    early = frames.step * _EARLY
    waiting = map(_Open, itertools.count(), _ascending(times))
    following = next(waiting, None)  # the window that begins next
    begun: deque[_Open] = deque()

    def fill(window: _Open, shown: _Shown, until: float) -> None:
        """Give a window a picture for all its times before `until`."""
        while (asked := window.next) is not None and asked + early < until:
            if keep_picture and len(window.frames) == needed % len(window.asked):
                window.picture = shown.picture
            window.frames.append(preparation.prepared(shown.picture))
            window.times.append(shown.seconds)

    for shown in _shown(frames):
        for window in begun:
            fill(window, shown, shown.until)
        while True:
            while begun and begun[0].next is None:  # before the next one begins: a picture may be shown for minutes
                yield begun.popleft().full(preparation)
            if following is None or following.asked[0] + early >= shown.until:
                break
            fill(following, shown, shown.until)
            begun.append(following)
            following = next(waiting, None)
        if following is None and not begun:
            return
    while begun or following is not None:  # the video has ended
        if begun:
            window = begun.popleft()
        elif following is not None:
            window, following = following, next(waiting, None)
        asked = window.asked[needed]
        if asked + early >= shown.until and asked > shown.seconds:  # a picture without a rate has no length
            return
        fill(window, shown, math.inf)
        yield window.full(preparation)


class _Shown(NamedTuple):
    """A picture, and from when until when it is shown, in seconds."""

    seconds: float
    until: float
    picture: Picture


def _shown(frames: TimedFrames) -> Iterator[_Shown]:
    """Yield the pictures of a video. Raises: VideoError if there are none, or one stays as no picture does."""
    before: tuple[float, Picture] | None = None
    for following in itertools.chain(frames.pictures, (None,)):
        if before is not None:
            seconds, picture = before
            until = following[0] if following else max(seconds + frames.step, frames.end() or 0.0)
            if until - seconds > LONGEST_SHOWN_S:  # windows without end would show nothing else
                raise VideoError(
                    f"{frames.path}: its time stamps jump by {until - seconds:,.0f} s at {seconds:,.3f} s, expected at "
                    f"most {LONGEST_SHOWN_S:,.0f} s from a frame to the next.\n"
                    "  Stamp it anew, such as by `ffmpeg -i IN -vf setpts=N/FRAME_RATE/TB -an OUT`."
                )
            yield _Shown(seconds, until, picture)
        elif following is None:
            raise VideoError(f"{frames.path}: holds no pictures")
        before = following


def _ascending(times: Iterable[Sequence[float]]) -> Iterator[Sequence[float]]:
    """Yield what is asked for. Raises: ValueError if it does not ascend."""
    before = -math.inf
    for asked in times:
        if not len(asked) or asked[0] < before or any(one > other for one, other in pairwise(asked)):
            raise ValueError(f"times: found {list(asked)!r:.200} after {before:g}, expected them to ascend")
        yield asked
        before = asked[0]


@dataclass(eq=False)
class _Open:
    """A window that has begun, or begins next."""

    number: int
    asked: Sequence[float]
    times: list[float] = field(default_factory=list)
    frames: list[Tensor] = field(default_factory=list)
    picture: Picture | None = None

    @property
    def next(self) -> float | None:
        """Return the first time that has no frame yet."""
        return self.asked[len(self.frames)] if len(self.frames) < len(self.asked) else None

    def full(self, preparation: _Preparation) -> Window:
        """Return the window, once it has all its frames."""
        return Window(
            number=self.number,
            times=np.array(self.times, np.float64),
            frames=self.frames,
            offsets=preparation.offsets,
            size=preparation.crop,
            picture=self.picture,
        )


class _Preparation:
    """Prepares pictures of one size, and watches what those take that somebody still holds."""

    def __init__(self, path: StoredFile, protocol: Protocol, device: torch.device, budget: Budget) -> None:
        """Set up for a protocol's steps and crops; `path` is the video's, for messages."""
        self._path, self._protocol, self._device, self._budget = path, protocol, device, budget
        self._early_steps = levels.split_steps(protocol)[0]  # that need no torch
        self._size = self._resized = (0, 0)
        self._reach = (slice(0), slice(0))  # rows and columns that a crop has
        self._held: WeakSet[Tensor] = WeakSet()
        self._last: tuple[Picture, Tensor] | None = None  # what was prepared last
        self.offsets: list[Square] = []  # of each crop in a prepared frame, in pixels, once there is one
        self.crop = (0, 0)  # height and width of a crop

    def prepared(self, picture: Picture) -> Tensor:
        """Return (3, H, W) float32; of the same picture again, the same tensor.

        Raises: VideoError if the picture has not the size of the first one, or there is too little memory for it;
            UsageError if the protocol's crop is larger than it is.
        """
        if self._last is not None and self._last[0] is picture:
            return self._last[1]
        if not self.offsets:
            self._measure(*picture.size)
        check_size(picture, self._size, self._path)
        self._check_memory(*picture.size)
        try:
            pixels = levels.apply(picture.rgb(), self._early_steps)
            whole = prepare(torch.from_numpy(pixels)[None].to(self._device), self._protocol)[0]
            # a copy, which lets go of the rest, unless it is all
            frame = whole[:, self._reach[0], self._reach[1]].contiguous()
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):  # torch's words for it
                raise
            raise VideoError(f"{self._path}: there is not enough memory for its frames; resize or crop it") from error
        self._held.add(frame)
        self._last = picture, frame
        return frame

    def _measure(self, height: int, width: int) -> None:
        """Find out how large frames become, and what of them the crops reach."""
        self._size, self._resized = (height, width), resized_size(height, width, self._protocol.whole_frame_steps)
        offsets, (high, wide) = squares(*self._resized, self._protocol)
        top, left = min(each.top for each in offsets), min(each.left for each in offsets)
        bottom, right = max(each.top for each in offsets) + high, max(each.left for each in offsets) + wide
        self._reach, self.crop = (slice(top, bottom), slice(left, right)), (high, wide)
        self.offsets = [Square(each.top - top, each.left - left, each.mirrored) for each in offsets]

    def _check_memory(self, height: int, width: int) -> None:
        """Refuse a picture for which there is no room beside the frames that are held. Raises: VideoError."""
        high, wide = self._resized
        resizing = high * wide * (levels.SHRINKING if self._early_steps else _RESIZING)
        held = sum(frame.nbytes for frame in self._held)
        what = f"{len(self._held)} frames in open windows, and one of {width}x{height}, {wide}x{high} once resized,"
        self._budget.check(self._path, height * width * PREPARING + resizing + held, what)
