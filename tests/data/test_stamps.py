"""What packets and pictures say together, where they are not as many as each other."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from videohub.data.contradictions import contradictions, true_info
from videohub.data.header import VideoInfo
from videohub.data.stamps import StampReader


@dataclass
class Packet:
    """A packet of one tick's length."""

    pts: int | None
    dts: int | None
    duration: int | None = 1
    size: int = 1
    is_discard: bool = False


UNCOUNTED = VideoInfo(0, Fraction(25), None, Fraction(1, 50), 96, 64, guessed_rate=Fraction(25))


def test_two_fields_in_packets_of_their_own_are_one_picture():
    reader = StampReader()
    for field in range(100):  # 50 a second; the second field of each picture has no stamp to be shown at
        reader.take(Packet(None if field % 2 else field, field))
        if field % 2:
            reader.show(field - 1)
    reader.close()
    stamps = reader.stamps()
    assert (stamps.count, stamps.step, stamps.unstamped) == (50, 2, 0)
    assert contradictions(UNCOUNTED, stamps) == ()
    assert true_info(UNCOUNTED, stamps) == UNCOUNTED


def test_pictures_that_are_never_shown_do_not_count():
    reader = StampReader()
    for number in range(100):
        reader.take(Packet(2 * number, 2 * number))
        reader.show(2 * number)
        if number % 10 == 0:
            reader.take(Packet(2 * number + 1, 2 * number + 1))  # what later ones are predicted from
    assert reader.stamps().count == 110  # as far as packets tell
    reader.close()
    assert (reader.stamps().count, contradictions(UNCOUNTED, reader.stamps())) == (100, ())


def test_a_stream_without_a_packet_says_nothing():
    stamps = StampReader().stamps()
    assert (stamps.count, stamps.first, stamps.step, stamps.ordered) == (0, None, None, True)
    assert contradictions(UNCOUNTED, stamps) == ()
