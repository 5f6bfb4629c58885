"""What a video's header says, what its time stamps say, and in which kinds the two disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

import msgspec

from videohub.data.header import END_TOLERANCE, VideoInfo
from videohub.data.orientation import UPRIGHT, Orientation
from videohub.data.stamps import Stamps

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
    info: VideoInfo, stamps: Stamps | None = None, turned: Orientation = UPRIGHT
) -> tuple[Contradiction, ...]:
    """Return every kind in which a video's header contradicts its content, each once.

    Args:
        info: What the header states.
        stamps: What the packets say; None: only the header is known, which may contradict itself.
        turned: What the display matrix of the first picture asks for.
    """
    found: dict[Kind, str] = {}
    for kind, detail in (*_of_stamps(info, stamps), *_of_header(info, stamps)):
        found.setdefault(kind, detail)
    if "edit list" in found:
        found.pop("frame count", None)
    if turned:
        found["turned picture"] = str(turned)
    return tuple(Contradiction(kind, detail) for kind, detail in found.items())


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


Found: TypeAlias = Iterator[tuple[Kind, str]]


def _of_header(info: VideoInfo, stamps: Stamps | None) -> Found:
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
            yield (
                "frame count",
                (
                    f"{info.frames} frames at {_rate(info.average_rate)} are {float(of_frames):.2f} s, "
                    f"{float(stated):.2f} s stated"
                ),
            )
    if info.tag_seconds is not None and info.file_seconds is not None and info.tag_seconds > info.file_seconds:
        tag, file = Fraction(info.tag_seconds), Fraction(info.file_seconds)
        if _differ(tag, file, info):
            yield "stale length tag", f"a tag states {float(tag):.2f} s, the file {float(file):.2f} s"
    if stamps is None and info.start is not None and _is_late(info.start, info):
        yield "first time stamp", _first(info.start, info)


def _of_stamps(info: VideoInfo, stamps: Stamps | None) -> Found:
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
    told, guess = _rate_of_stamps(info, stamps), info.guessed_rate
    if told is None:
        return guess
    return guess if guess and abs(guess - told) <= _SHARE * told else told


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
