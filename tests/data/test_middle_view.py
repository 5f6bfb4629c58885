"""The one view in the middle of a video, whatever a protocol's rule: the same frames by hand, and no more decoded."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from tests.data import barcode
from tests.data.sample_videos import FOUR_FRAMES, protocol
from videohub import protocols as steps
from videohub import registry
from videohub.data.video_info import StampReader
from videohub.data.views import read_content_views
from videohub.errors import VideoError

# Of 41 frames at 30 a second; a clip is 4 frames at every second one, and spans 8 at 30 a second, or 7 from the first
# to the last.
MIDDLES = [
    (steps.Proportional(fps=30.0, past_end="repeat"), [17, 19, 21, 24]),  # from 33 / 2 on
    (steps.Proportional(fps=15.0, past_end="repeat"), [13, 18, 23, 28]),  # spans 16 from 12.5 on
    (steps.Offset(fps=30.0, past_end="repeat"), [16, 18, 20, 23]),  # floor(33 / 2)
    (steps.OffsetFrames(past_end="repeat"), [16, 18, 20, 23]),
    (steps.Timed(fps=30.0, past_end="stretch"), [17, 19, 21, 24]),  # from 16.5 / 30 s to 24.5 / 30 s
    (steps.TimedBeginning(fps=30.0, past_end="stretch", kept=20), [17, 19, 21, 24]),  # of the whole video
    (steps.Segments(past_end="repeat"), [5, 15, 25, 35]),  # of the borders 0, 10, 20, 30, 40
    (steps.Uniform(past_end="repeat"), [5, 15, 25, 35]),
    (steps.Spread(past_end="repeat"), [17, 19, 21, 23]),  # 34 / 2
    (steps.Spread(past_end="loop"), [17, 19, 21, 23]),
    (steps.SpreadDown(past_end="repeat"), [17, 19, 21, 23]),  # 34 / 2
    (steps.SpreadAtRate(fps=30.0, past_end="loop"), [16, 18, 20, 23]),  # floor(33 / 2), then 0, 7/3, 14/3, 7
    (steps.Strided(past_end="loop"), [17, 19, 21, 23]),
    (steps.Dense(positions=2, window=20, past_end="loop"), [17, 19, 21, 23]),
    (steps.Centres(past_end="loop"), [17, 19, 21, 23]),  # of 34 starts, as 8 frames count
    (steps.Resampled(fps=15.0, past_end="refuse"), [14, 18, 22, 26]),  # of 7 of 21, every second one: window 7 of 15
    (steps.Windows(past_end="repeat"), [16, 18, 20, 22]),  # window 8 of 18, of every second frame
    (steps.Interleaved(past_end="repeat"), [5, 15, 25, 35]),  # parts of 10.25, and their middles, rounded down
    (steps.PartWindows(parts=2, past_end="repeat"), [8, 11, 28, 31]),  # of parts of 20: 4 of them, from 8 on
    (steps.SpreadResampled(fps=30.0, past_end="loop"), [16, 18, 20, 22]),  # 33 / 2, rounded down
    (steps.TimedList(past_end="stretch"), [17, 19, 21, 23]),  # from 17 / 30 s to 24 / 30 s
]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return barcode.write(tmp_path_factory.mktemp("videos") / "clip.mp4", 41)


def with_rule(rule, *, clips=2):
    """A protocol by a rule whose views are whole frames, so that their numbers can be read."""
    plain = protocol(crop=None)
    views = steps.ViewGrid(clips=clips, crops=("whole",), order="clip_major")
    return msgspec.structs.replace(plain, frames=rule, views=views)


def middle(path, of_protocol, clip=FOUR_FRAMES):
    one, number = of_protocol.middle_view()
    return read_content_views(path, one, clip, number=number)


def numbers(views):
    (view,) = views.stack()
    return [barcode.number(frame.permute(1, 2, 0).numpy()) for frame in view.transpose(0, 1)]


@pytest.mark.parametrize(("rule", "expected"), MIDDLES, ids=lambda each: getattr(each, "name", None))
def test_the_middle_clip_of_every_rule(video, rule, expected):
    assert numbers(middle(video, with_rule(rule))) == expected


def test_every_rule_has_its_case():
    rules = {type(rule) for rule, _ in MIDDLES} | {steps.Image, steps.KeyFrames}
    assert rules == set(get_args(steps.Frames))


def test_every_record_s_protocol_has_a_middle_view_that_can_be_run():
    for record in registry.default().records.values():
        one, number = record.protocol.middle_view()
        assert list(one.flaws()) == [], record.name
        assert 0 <= number < one.views.clips
        assert one.views.crops in (("centre",), ("whole",))


def test_the_crop_is_the_centre_whichever_the_protocol_has():
    of_segments = protocol(sampling="segments", clips=1)
    assert of_segments.views.crops == ("start",)
    assert of_segments.middle_view()[0].views.crops == ("centre",)
    assert protocol(crops=3).middle_view()[0].views.crops == ("centre",)
    assert protocol(crop=None).middle_view()[0].views.crops == protocol(crop=None).views.crops


@pytest.fixture
def decoded(monkeypatch):
    """The time stamps of all pictures that come out of a decoder."""
    stamps = []
    show = StampReader.show
    monkeypatch.setattr(StampReader, "show", lambda reader, pts: (stamps.append(pts), show(reader, pts))[1])
    return stamps


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("first", [0, 100])
def test_a_long_video_is_entered_shortly_before_its_middle(tmp_path, decoded, b_frames, first):
    path = barcode.write(tmp_path / "long.mp4", 600, b_frames=b_frames, start=first)  # a key frame every 12
    result = middle(path, with_rule(steps.Proportional(fps=30.0, past_end="repeat")))
    assert numbers(result) == [296, 298, 300, 303]  # (600 - 8) / 2
    assert len(decoded) < 75  # 32 frames ahead, at most 12 to a key frame, 8 of the clip, and what comes out late
    assert {each.kind for each in result.contradictions} == ({"first time stamp"} if first else set())


def test_what_was_entered_too_late_is_decoded_from_its_start(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr("videohub.data.video._REORDERED", -100)  # as a false index may lead there
    path = barcode.write(tmp_path / "long.mp4", 600)
    assert numbers(middle(path, with_rule(steps.Proportional(fps=30.0, past_end="repeat")))) == [296, 298, 300, 303]
    assert len(decoded) > 300


def test_where_a_video_cannot_be_entered_it_is_decoded_from_its_start(tmp_path, decoded):
    for name in ("long.avi", "long.h264"):
        path = barcode.write(tmp_path / name, 300)
        assert numbers(middle(path, with_rule(steps.Proportional(fps=30.0, past_end="repeat")))) == [146, 148, 150, 153]
        assert len(decoded) > 150
        decoded.clear()


def test_damage_behind_the_middle_is_no_matter_and_before_it_is(tmp_path):
    path = barcode.write(tmp_path / "clip.mp4", 41)
    content = bytearray(path.read_bytes())
    half = middle(path, with_rule(steps.Proportional(fps=30.0, past_end="repeat")))
    begin, end = content.index(b"mdat") + 4, content.index(b"moov")
    content[end - (end - begin) // 6 : end - 8] = bytes((end - begin) // 6 - 8)
    path.write_bytes(content)
    assert numbers(middle(path, with_rule(steps.Proportional(fps=30.0, past_end="repeat")))) == numbers(half)
    content[begin + 8 : end - 8] = bytes(end - begin - 16)
    path.write_bytes(content)
    with pytest.raises(VideoError, match="damaged after"):
        middle(path, with_rule(steps.Proportional(fps=30.0, past_end="repeat")))
