"""Every rule for frames says all that is asked of it: its clips in a test, in training, in the middle, in a window."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import get_args

import msgspec
import pytest

from tests.data.sample_videos import protocol
from tests.data.test_middle_view import MIDDLES
from videohub import protocols as steps
from videohub.data.clips import numbered_clips
from videohub.data.sampling import clip_span, frame_positions, segment_borders
from videohub.data.single_clip import clip_indices
from videohub.data.spec import LIST_RULES, SOURCES, WINDOW_RULES, TestSpec, list_indices
from videohub.data.video_info import Stamps, VideoInfo
from videohub.errors import UsageError, VideoError
from videohub.prediction.timeline import clip_times
from videohub.registry.schema import Clip

# the first 120 frames at 30 a second, in which four clips fit
BEGINNING = steps.TimedBeginning(fps=30.0, past_end="stretch", kept=120)
OF_VIDEOS = [BEGINNING if isinstance(rule, steps.TimedBeginning) else rule for rule, _ in MIDDLES]
GIVEN = [steps.KeyFrames(fps=30.0, shift=0, boxes="clipped", past_end="repeat"), steps.Image()]
SIX_APART, ADJACENT = Clip(frames=4, sampling_rate=6), Clip(frames=4, sampling_rate=1)
FRAMES = 240  # of a video, so that every clip fits at both rates
RATES = (30, 60)
of_videos = pytest.mark.parametrize("rule", OF_VIDEOS, ids=lambda rule: rule.in_words())


def with_rule(rule: steps.FrameRule, clips: int) -> steps.Protocol:
    views = steps.ViewGrid(clips=clips, crops=("centre",), order="clip_major")
    return msgspec.structs.replace(protocol(), frames=rule, views=views)


def clip_of(rule: steps.FrameRule) -> Clip:
    """Return a clip that the rule is asked for; rows of kept frames are only known of adjacent ones."""
    return ADJACENT if isinstance(rule, steps.TimedBeginning) else SIX_APART


def every_rule(of: type[steps.Value] = steps.FrameRule) -> set[type[steps.Value]]:
    """Return all structs below one that a registry file can name."""
    below = {kind for kind in of.__subclasses__() if kind.__module__ == of.__module__}
    named = {kind for kind in below if kind.__struct_config__.tag != kind.__name__}  # others have no name of their own
    return named.union(*map(every_rule, below))


def clips_of_test(rule: steps.FrameRule, rate: int, frames: int = FRAMES) -> list[list[int]]:
    """Return the frames of each of four clips of a test."""
    of, clip = with_rule(rule, 4), clip_of(rule)
    if rule.reach == "frame_list":
        return list_indices(of, clip, frames, float(rate))
    if rule.reach == "time_windows":
        span = clip_span(frames=clip.frames, sampling_rate=clip.sampling_rate, fps=rate, target_fps=of.fps)
        starts = WINDOW_RULES[type(rule)](frames, span, 4)
        return [frame_positions(start, span, clip.frames, frames) for start in starts]
    header = VideoInfo(frames, Fraction(rate), frames, Fraction(1, rate), 64, 48)
    clips = numbered_clips(header, TestSpec(of, clip), Stamps(count=frames), range(frames))
    assert clips is not None
    return clips


def apart(clip: list[int]) -> list[int]:
    """Return the distances between frames, going round the end."""
    return [(after - before) % FRAMES for before, after in itertools.pairwise(clip)]


@pytest.mark.parametrize(("base", "union"), [(steps.FrameRule, steps.Frames), (steps.PixelStep, steps.Pixels)])
def test_all_steps_are_in_their_union_and_among_the_names_of_the_package(base, union):
    assert every_rule(base) == set(get_args(union))
    assert {kind.__name__ for kind in every_rule(base)} <= set(steps.__all__)
    assert all(getattr(steps, kind.__name__) is kind for kind in every_rule(base))


def test_every_rule_for_frames_is_tried_here():
    assert {type(rule) for rule in [*OF_VIDEOS, *GIVEN]} == every_rule()


@pytest.mark.parametrize("kind", sorted(every_rule(), key=lambda kind: kind.__name__))
def test_a_rule_says_how_its_frames_lie_and_has_its_function(kind):
    assert kind.spacing in get_args(steps.Spacing)
    assert hasattr(kind, "middle_clip") or kind.middle is not steps.FrameRule.middle
    assert kind.reach in SOURCES
    assert (kind in LIST_RULES) == (kind.reach == "frame_list")
    assert (kind.spacing == "given") == (kind.reach in ("key_frame", "image"))
    if kind.reach in ("time_windows", "time_stamps"):
        assert kind.spacing == "span"  # `single_clip` spreads its frames


@of_videos
@pytest.mark.parametrize("rate", RATES)
def test_a_clip_in_training_and_in_a_window_is_spaced_as_those_of_the_test(rule, rate):
    """As far from one frame to the next: exactly or, where frames are spread over others, but for one by rounding."""
    asked, of = clip_of(rule), with_rule(rule, 4)
    of_test = clips_of_test(rule, rate)
    training = [clip_indices(of, asked, FRAMES, float(rate), lambda draw=draw: draw) for draw in (0.0, 0.3, 0.999)]
    middle = clip_indices(of, asked, FRAMES, float(rate))
    window = [round(time * rate) for time in clip_times(of, asked, 0.0, FRAMES / rate, rate)]
    for clip in [*of_test, *training, middle, window]:
        assert len(clip) == asked.frames
        assert 0 <= min(clip) <= max(clip) < FRAMES
        if rule.spacing == "stride" and rule.past_end != "stretch":
            assert apart(clip) == apart(of_test[0])
        elif rule.spacing != "parts":
            assert max(abs(one - other) for one, other in zip(apart(clip), apart(of_test[0]), strict=True)) <= 1
        else:
            in_parts(clip, getattr(rule, "parts", asked.frames))


def in_parts(clip: list[int], parts: int) -> None:
    """Hold that each frame lies in its part of the video, whose borders may belong to both sides."""
    borders = segment_borders(FRAMES, parts)
    for position, frame in enumerate(clip):
        part = position * parts // len(clip)
        assert borders[part] - 1 <= frame <= borders[part + 1] + 1


@of_videos
@pytest.mark.parametrize("rate", RATES)
def test_the_middle_clip_and_that_of_a_window_lie_in_the_middle(rule, rate):
    """Originals count a clip's end differently, by one distance at most, and round its start."""
    of, asked = with_rule(rule, 4), clip_of(rule)
    times = clip_times(of, asked, 0.0, FRAMES / rate, rate)
    for clip in (clip_indices(of, asked, FRAMES, float(rate)), [time * rate for time in times]):
        distance = max(apart(clip))
        assert abs((clip[0] + clip[-1]) / 2 - (FRAMES - 1) / 2) <= distance / 2 + 1


@of_videos
def test_past_the_end_training_does_what_the_test_does(rule):
    """Of 5 frames: it is refused by both, or both take frames that there are."""

    def outcome(clips_of) -> str:
        try:
            clips = clips_of()
        except VideoError as error:
            return str(error)
        return "taken" if all(0 <= frame < 5 for clip in clips for frame in clip) else "beyond the end"

    of_test = outcome(lambda: clips_of_test(rule, 30, frames=5))
    drawn = [outcome(lambda draw=draw: [clip_indices(with_rule(rule, 4), clip_of(rule), 5, 30.0, lambda: draw)])
             for draw in (0.0, 0.999)]  # fmt: skip
    assert drawn == [of_test] * 2
    assert of_test == "taken" or rule.past_end == "refuse"


@pytest.mark.parametrize("rule", GIVEN, ids=lambda rule: rule.name)
@pytest.mark.parametrize("draw", [None, lambda: 0.5])
def test_a_rule_whose_frames_are_given_takes_no_clip_of_a_video(rule, draw):
    with pytest.raises(UsageError, match="a video and a list of frames are none"):
        clip_indices(with_rule(rule, 1), Clip(frames=1, sampling_rate=1), 30, 30.0, draw)


def test_a_rule_that_does_not_say_how_its_frames_lie_is_an_error_wherever_it_is_asked():
    class Silent(steps.FrameRule, frozen=True, tag="silent"):
        past_end: str = "repeat"

    silent = with_rule(Silent(), 2)
    with pytest.raises(AttributeError, match="spacing"):
        clip_indices(silent, SIX_APART, FRAMES, 30.0, lambda: 0.5)
    with pytest.raises(AttributeError, match="spacing"):
        clip_times(silent, SIX_APART, 0.0, 2.0, 30)
    with pytest.raises(AttributeError, match="middle_clip"):
        silent.middle_view()
