"""What the packets of a video stream say about it: how many pictures, when, and whether their stamps make sense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Protocol

EVEN_WITHIN = 2  # steps


class Packet(Protocol):
    """The part of a demuxed packet that tells about time."""

    pts: int | None
    dts: int | None
    duration: int | None
    size: int

    @property
    def is_discard(self) -> bool:
        """Whether an edit list takes this picture away."""


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

    def take(self, packet: Packet) -> None:
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
