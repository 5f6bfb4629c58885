"""What a video says of itself: its header, its time stamps, where the two disagree, and when each frame is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

from videohub.log import log

if TYPE_CHECKING:  # the decoder is not needed to compare figures
    import av

    from videohub.data.decoded_images import Orientation

# Headers round: the stated end of a whole file may lie this many frames after the end of its last packet.
END_TOLERANCE = 2

REFUSED = "the original's reader refuses it"  # how the reason begins that such a video fails with


@dataclass(frozen=True)
class VideoInfo:
    """What the container states about a video stream; nothing here has been checked by decoding.

    `frames` is 0 and `duration` None where the container does not say (Matroska states neither, MPEG-TS no count).
    `duration` and `start` count ticks of `time_base`; rates are in frames per second, and None where there is none.
    """

    frames: int
    average_rate: Fraction | None
    duration: int | None
    time_base: Fraction
    width: int
    height: int
    guessed_rate: Fraction | None = None  # what FFmpeg makes of the codec's rate and the first stamps
    start: int | None = None  # when the stream begins, as the container states it
    tag_seconds: float | None = None  # the stream's length, as a tag beside it has it (Matroska)
    file_seconds: float | None = None  # the length of the whole file, sound included
    cover: bool = False  # the stream is a cover picture
    cover_first: bool = False  # the file's first video stream is one
    reordered: bool = False  # frames are stored in another order than they are shown in, and no stamp tells which

    @property
    def rate(self) -> Fraction | None:
        """Return the average rate, or the guessed one where that is missing."""
        return self.average_rate or self.guessed_rate


def refusal(info: VideoInfo) -> str | None:
    """Return why the original's reader of video files ends with an error, whatever the file holds; None if it does not.

    Source: it takes the first video stream, makes a number of its average rate, and divides its duration, if it has
    one, by its count of frames.
    """
    what = "its first video stream, a cover picture," if info.cover else "its header"
    if info.average_rate is None:
        return f"{what} states no frame rate on average"
    if info.duration is not None and not info.frames:
        return f"{what} states a duration and 0 frames, by which the original divides"
    return None


EVEN_WITHIN = 2  # steps


@dataclass(frozen=True)
class Stamps:
    """What a stream's own time stamps say; times are ticks of its time base, None where no packet has a stamp."""

    count: int = 0  # pictures
    cut_away: int = 0  # further pictures, which an edit list takes away
    unstamped: int = 0  # pictures without any time stamp
    repeated: int = 0  # pictures with the time stamp of another one
    backward: int = 0  # places where time begins again
    shuffled: int = 0  # pictures that came out of the decoder behind one with a later time stamp
    first: int | None = None  # the earliest time stamp
    last: int | None = None  # the latest one
    end: int | None = None  # where the latest picture ends
    step: Fraction | None = None  # mean distance of one picture to the next, in ticks; None for fewer than two
    uneven: bool = False  # some picture lies more than `EVEN_WITHIN` steps from where even distances would have it
    complete: bool = True  # all of the file was looked at, and nothing is missing

    @property
    def ordered(self) -> bool:
        """Whether the stamps tell which picture comes after which."""
        return not (self.unstamped or self.repeated or self.backward)


class StampReader:
    """Collects the stamps of a stream: of packets as they come out of the container, of pictures out of the decoder.

    Packets tell about pictures that nobody decodes. Where all are decoded the pictures count, for a packet may hold a
    field of one, or a picture that is never shown.
    """

    def __init__(self) -> None:
        self.reached = 0  # where the latest picture so far ends, in ticks
        self._packets: list[int | None] = []
        self._pictures: list[int | None] = []
        self._all_decoded = False
        self._cut_away = self._backward = 0
        self._end: int | None = None  # of the pictures that are shown
        self._before: int | None = None  # the decoding stamp of the last packet
        self._forward = self._steps = 0  # ticks that they went on by, and in how many steps

    def take(self, packet: av.Packet[Any]) -> None:
        """Look at one packet; those without content announce the end of the stream and say nothing."""
        if not packet.size:
            return
        shown = packet.pts if packet.pts is not None else packet.dts
        end = None if shown is None else shown + (packet.duration or 0)
        self.reached = max(self.reached, end or 0)
        if packet.is_discard:
            self._cut_away += 1
            return
        if end is not None:
            self._end = end if self._end is None else max(self._end, end)
        self._packets.append(shown)
        if (decoded := packet.dts) is None:
            return
        if self._before is not None:
            if decoded < self._before:
                self._backward += 1
            else:
                self._forward, self._steps = self._forward + decoded - self._before, self._steps + 1
        self._before = decoded

    def show(self, pts: int | None) -> None:
        """Look at the stamp of a picture as it comes out of the decoder, which knows the order of pictures."""
        self._pictures.append(pts)

    def close(self) -> None:
        """Take note that all packets have been decoded."""
        self._all_decoded = True

    def stamps(self) -> Stamps:
        """Return what all so far comes to."""
        every = self._pictures if self._all_decoded else self._packets
        times = sorted(time for time in every if time is not None)
        unstamped, repeated = len(every) - len(times), len(times) - len(set(times))
        first, last = (times[0], times[-1]) if times else (None, None)
        step = None
        if not self._backward and len(times) > 1:
            step = Fraction(times[-1] - times[0], len(times) - 1)
        elif self._steps:
            step = Fraction(self._forward, self._steps)
        shown = [time for time in self._pictures if time is not None]
        return Stamps(
            count=len(every),
            cut_away=self._cut_away,
            unstamped=unstamped,
            repeated=repeated,
            backward=self._backward,
            shuffled=sum(later < earlier for earlier, later in pairwise(shown)),
            first=first,
            last=last,
            end=self._end,
            step=step or None,
            uneven=bool(step) and not (self._backward or repeated or unstamped) and _is_uneven(times),
        )


def _is_uneven(times: Sequence[int]) -> bool:
    """Return whether even distances between the first and the last picture would misplace some in between."""
    length, steps = times[-1] - times[0], len(times) - 1
    return any(
        abs((time - times[0]) * steps - number * length) > EVEN_WITHIN * length for number, time in enumerate(times)
    )


Kind: TypeAlias = Literal[
    "cover picture first",
    "no frame rate",
    "frame rate",
    "no frame count",
    "frame count",
    "edit list",
    "duration",
    "stale length tag",
    "first time stamp",
    "time goes back",
    "frames out of order",
    "repeated time stamps",
    "no time stamps",
    "uneven time stamps",
    "turned picture",
]

KINDS: tuple[Kind, ...] = get_args(Kind)

_SHARE = Fraction(2, 100)  # by which lengths and rates may differ: headers round, and frames are dropped or doubled
_ABOVE = Fraction(11, 10)  # an average rate cannot exceed the rate of the closest frames; FFmpeg's guess may waver


class Contradiction(msgspec.Struct, frozen=True):
    """One thing in which the header and the content of a video disagree."""

    kind: Kind
    detail: str  # with the figures

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


def contradictions(
    info: VideoInfo, stamps: Stamps | None = None, turned: Orientation | None = None
) -> tuple[Contradiction, ...]:
    """Return every kind in which a video's header contradicts its content, each once.

    Args:
        stamps: What the packets say; None: only the header is known, which may contradict itself.
        turned: What the display matrix of the first picture asks for; None: nothing is known of it.
    """
    details: dict[Kind, str] = {}
    for kind, detail in (*_of_stamps(info, stamps), *_of_header(info, stamps)):
        details.setdefault(kind, detail)
    if "edit list" in details:
        details.pop("frame count", None)
    if turned:
        details["turned picture"] = str(turned)
    return tuple(Contradiction(kind, detail) for kind, detail in details.items())


def tell_contradictions(name: str, kinds: Sequence[Contradiction]) -> None:
    """Say in one line in what a video's header contradicts its content, which is followed; nothing if in nothing."""
    if kinds:
        log.warning("%s: the header contradicts the content, which is followed: %s", name, "; ".join(map(str, kinds)))


def tell_single_picture(name: str, frames: int) -> None:
    """Say in one line that a clip of so many frames was made of one picture."""
    log.warning("%s: a single picture, which stands for all %d frames of a clip", name, frames)


def true_info(info: VideoInfo, stamps: Stamps) -> VideoInfo:
    """Return the header as it would be if it were true: what the stamps contradict is replaced by what they say.

    A header that they do not contradict is returned as it is. A count or a length that is not stated stays unstated.
    """
    kinds = {one.kind for one in contradictions(info, stamps)}
    rate = info.average_rate
    if rate is None or stamps.unstamped or kinds & {"frame rate", "uneven time stamps"}:
        rate = _true_rate(info, stamps)
    if not kinds & {"frame count", "duration", "edit list"}:
        return replace(info, average_rate=rate)
    length = None if stamps.first is None or stamps.end is None else stamps.end - stamps.first
    return replace(info, average_rate=rate, frames=info.frames and stamps.count, duration=length or None)


class FrameClock:
    """Gives the times of a video's frames, one after the other as the decoder gives them.

    Time stamps count where they tell the order of the frames. Where they repeat, go back or are missing, and from the
    first frame on that comes out of the decoder behind a later one (its stamps are those of the order of storage),
    frames come at even distances.
    """

    def __init__(self, info: VideoInfo, stamps: Stamps) -> None:
        true = true_info(info, stamps)
        self.rate: Fraction | None = true.average_rate  # frames a second
        self.first = 0  # time stamp of the first frame, in ticks
        self._tick, self._step = float(info.time_base), float(1 / self.rate) if self.rate else 0.0
        self._counted = not stamps.ordered or true.reordered
        self._end = stamps.end
        self._position, self._before = 0, -1.0

    def seconds(self, pts: int | None) -> float:
        """Return from when on the next frame is shown, in seconds from the first one; `pts` is its stamp, in ticks."""
        if self._position == 0:
            self.first = pts or 0
        seconds = 0.0
        if pts is not None and not self._counted:
            seconds = (pts - self.first) * self._tick
            self._counted = seconds <= self._before
        if pts is None or self._counted:
            seconds = max(self._position * self._step, self._before)
        self._position, self._before = self._position + 1, seconds
        return seconds

    def end(self) -> float | None:
        """Return until when the last frame is shown, in seconds from the first one; None where no stamp tells."""
        return None if self._counted or self._end is None else (self._end - self.first) * self._tick


_Disagreements: TypeAlias = Iterator[tuple[Kind, str]]


def _of_header(info: VideoInfo, stamps: Stamps | None) -> _Disagreements:
    """Yield what the header alone tells."""
    if info.cover_first:
        yield "cover picture first", "the first video stream is a cover picture"
    if info.average_rate is None:
        other = f", though {_rate(info.guessed_rate)} is found elsewhere" if info.guessed_rate else ""
        yield "no frame rate", f"no average rate is stated{other}"
    elif (guess := info.guessed_rate) and info.average_rate > _ABOVE * guess and not (stamps and stamps.step):
        yield "frame rate", f"{_rate(info.average_rate)} stated, {_rate(guess)} guessed from the first frames"
    if info.duration is not None and info.duration <= 0:
        yield "duration", f"{float(info.duration * info.time_base):.2f} s stated"
    elif info.duration is not None and not info.frames:
        yield "no frame count", f"{float(info.duration * info.time_base):.2f} s stated, and no number of frames"
    elif info.duration is not None and info.average_rate:
        of_frames, stated = info.frames / info.average_rate, info.duration * info.time_base
        if _differ(of_frames, stated, info):
            of_all = f"{info.frames} frames at {_rate(info.average_rate)} are {float(of_frames):.2f} s"
            yield "frame count", f"{of_all}, {float(stated):.2f} s stated"
    if info.tag_seconds is not None and info.file_seconds is not None and info.tag_seconds > info.file_seconds:
        tag, file = Fraction(info.tag_seconds), Fraction(info.file_seconds)
        if _differ(tag, file, info):
            yield "stale length tag", f"a tag states {float(tag):.2f} s, the file {float(file):.2f} s"
    if stamps is None and info.start is not None and _is_late(info.start, info):
        yield "first time stamp", _first(info.start, info)


def _of_stamps(info: VideoInfo, stamps: Stamps | None) -> _Disagreements:
    """Yield what the stamps tell, as far as they make sense."""
    if stamps is None:
        return
    if stamps.unstamped:
        yield "no time stamps", f"{stamps.unstamped} of {stamps.count} frames have none"
    if stamps.backward:
        times = f"{stamps.backward} times" if stamps.backward > 1 else "once"
        yield "time goes back", f"time stamps begin again {times}"
    elif stamps.repeated:
        yield "repeated time stamps", f"{stamps.repeated} of {stamps.count} frames have that of another one"
    elif stamps.shuffled:
        yield "frames out of order", "time stamps are not in the order in which frames are to be shown"
    if stamps.first is not None and _is_late(stamps.first, info):
        yield "first time stamp", _first(stamps.first, info)
    if not stamps.complete:
        return  # what is missing is damage, and no contradiction
    if stamps.cut_away and info.frames and abs(info.frames - stamps.count) > END_TOLERANCE:
        yield "edit list", f"{info.frames} frames stated, {stamps.count} are shown"
    elif info.frames and abs(info.frames - stamps.count) > END_TOLERANCE:
        yield "frame count", f"{info.frames} frames stated, {stamps.count} are there"
    if stamps.backward or stamps.first is None or stamps.end is None:
        return
    length = (stamps.end - stamps.first) * info.time_base
    if info.frames and info.duration is not None and _differ(stated := info.duration * info.time_base, length, info):
        yield "duration", f"{float(stated):.2f} s stated, the frames last {float(length):.2f} s"
    end = stamps.end * info.time_base
    if info.tag_seconds is not None and _differ(Fraction(info.tag_seconds), end, info):
        yield "stale length tag", f"a tag states {info.tag_seconds:.2f} s, the frames end at {float(end):.2f} s"
    if stamps.uneven:
        yield "uneven time stamps", "frames come at varying distances"
    if (stated_rate := info.average_rate) and (true := _rate_of_stamps(info, stamps)):
        span = (stamps.count - 1) / true
        if _differ(stamps.count / stated_rate, length, info) and _differ((stamps.count - 1) / stated_rate, span, info):
            yield "frame rate", f"{_rate(stated_rate)} stated, the time stamps tell {_rate(true)}"


def _rate_of_stamps(info: VideoInfo, stamps: Stamps) -> Fraction | None:
    return 1 / (stamps.step * info.time_base) if stamps.step else None


def _true_rate(info: VideoInfo, stamps: Stamps) -> Fraction | None:
    """Return the rate that the stamps tell; FFmpeg's guess is rounder, where it is the same."""
    rate, guess = _rate_of_stamps(info, stamps), info.guessed_rate
    if rate is None:
        return guess
    return guess if guess and abs(guess - rate) <= _SHARE * rate else rate


def _differ(one: Fraction, other: Fraction, info: VideoInfo) -> bool:
    """Return whether two lengths in seconds differ by more than rounding: two frames and two per cent."""
    frame = 1 / info.rate if info.rate else Fraction(0)
    if info.average_rate and info.guessed_rate and info.guessed_rate < info.average_rate:
        frame = 1 / info.guessed_rate
    return abs(one - other) > max(END_TOLERANCE * frame, _SHARE * max(one, other))


def _is_late(first: int, info: VideoInfo) -> bool:
    """Return whether a first time stamp is half a frame or more from 0, so that clips begin at other frames."""
    return bool(info.rate) and abs(first) * info.time_base * 2 >= 1 / (info.rate or 1)


def _first(first: int, info: VideoInfo) -> str:
    return f"the first frame is shown at {float(first * info.time_base):.2f} s"


def _rate(rate: Fraction | None) -> str:
    return f"{round(float(rate or 0), 2):g} frames a second"
