"""Which frames a test takes: names and numbers alone, `videohub.data` does it; `pixel_steps.py` has what follows.

The types are written out at once (no `from __future__ import annotations`): msgspec would compile each one's text at
the start of every process.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from videohub.value_types import Count

Rate: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]  # frames per second
Reach: TypeAlias = Literal["time_windows", "time_stamps", "frame_list", "key_frame", "image"]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a record: immutable, and nothing in it is unknown to the schema."""


def fields_in_words(value: Value) -> list[str]:
    return [f"{name.replace('_', ' ')} {plain_words(getattr(value, name))}" for name in value.__struct_fields__]


def plain_words(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(plain_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


# --- which frames ----------------------------------------------------------------------------------------------------
SKIPS = "skips such a video"  # what the reason says with which a video fails that is too short for its rule

# `past_end`: a clip that is longer than the video repeats its last frame, loops to its first, stretches the frames that
# there are over its length, or refuses the video.


class FrameRule(Value, frozen=True, tag_field="rule"):
    """Which frames each clip takes; its subclasses are all there are."""

    # how frames are found: by what the header says of time, by the time stamps of all, by number in a list, around one
    reach: ClassVar[Reach] = "frame_list"
    whole_video: ClassVar[bool] = False  # whether a clip's frames come from equal parts of all of the video
    exact_stride: ClassVar[bool] = False  # whether they lie `sampling_rate` apart, and are not spread over a span

    @property
    def name(self) -> str:
        """The rule, as a registry file calls it."""
        return str(type(self).__struct_config__.tag)

    def in_words(self) -> str:
        """Return the rule and its numbers, such as `proportional, fps 30, past end repeat`."""
        return ", ".join([self.name, *fields_in_words(self)])

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return how many frames one clip covers, at the rule's own frame rate if it has one."""
        return frames * sampling_rate

    def middle(self) -> "tuple[FrameRule, int, int]":
        """Return a rule, a number of clips, and which of these stands in the middle of the video, as one clip would.

        By itself a rule may place its single clip at the beginning, or place none.
        """
        return self, 1, 0


class Proportional(FrameRule, frozen=True, tag="proportional"):
    """Clip i of n starts at i / n of the free length, so the last one stops short of the end (PySlowFast, Kinetics)."""

    reach: ClassVar[Reach] = "time_windows"
    fps: Rate  # a clip lasts as long as at this rate, whatever the video's own
    past_end: Literal["repeat"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of two clips, which starts at half the free length."""
        return self, 2, 1


class Offset(FrameRule, frozen=True, tag="offset"):
    """As `proportional`, but clips start in whole steps of 1 / (n - 1), so the last one nearly reaches the end."""

    reach: ClassVar[Reach] = "time_windows"
    fps: Rate
    past_end: Literal["repeat"]


class OffsetFrames(FrameRule, frozen=True, tag="offset_frames"):
    """As `offset`, of all frames that there are, whatever the video's rate (UniFormer, Kinetics)."""

    past_end: Literal["repeat"]


class Segments(FrameRule, frozen=True, tag="segments"):
    """The middle frame of each of as many equal parts as a clip has frames (PySlowFast, Something-Something)."""

    whole_video: ClassVar[bool] = True
    past_end: Literal["repeat"]

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return the number of frames: from fewer, some are taken twice."""
        return frames


class Uniform(FrameRule, frozen=True, tag="uniform"):
    """Nearly the same by another rounding (mmaction2's UniformSample); clip i of n lies i + 1 of n + 1 into each part.

    The whole frames of that way count, from the nearest one to where a part begins. A single clip takes the middle.
    """

    whole_video: ClassVar[bool] = True
    past_end: Literal["repeat"]

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return the number of frames: from fewer, some are taken twice."""
        return frames


class ExactStride(FrameRule, frozen=True):
    """What rules have in common whose frames lie `sampling_rate` apart and who count a clip from the first to the last.

    Others whose frames do count a step beyond the last, as their originals do.
    """

    exact_stride: ClassVar[bool] = True

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return the distance from the first frame to the last, both counted."""
        return (frames - 1) * sampling_rate + 1


class Spread(ExactStride, frozen=True, tag="spread"):
    """The first clip starts at the beginning, the last ends at the end, exact stride (PySlowFast Charades, mmaction2).

    A single clip stands in the middle.
    """

    past_end: Literal["repeat", "loop"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of three clips."""
        return self, 3, 1


class SpreadDown(ExactStride, frozen=True, tag="spread_down"):
    """As `spread`, with starts rounded down (VMZ)."""

    past_end: Literal["repeat"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of three clips."""
        return self, 3, 1


class SpreadAtRate(FrameRule, frozen=True, tag="spread_at_rate"):
    """As `spread`, with strides that last as long as at `fps`, and starts in whole steps (mmaction2, target_fps)."""

    fps: Rate
    past_end: Literal["loop"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of three clips."""
        return self, 3, 1


class Strided(FrameRule, frozen=True, tag="strided"):
    """Clip i of n starts at i / n of all frames, exact stride, round the end (video-nonlocal-net)."""

    exact_stride: ClassVar[bool] = True
    past_end: Literal["loop"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of three clips that are spread: the second of two starts in the middle."""
        return Spread(past_end=self.past_end), 3, 1


class Dense(FrameRule, frozen=True, tag="dense"):
    """From each of `positions` starts, clips that share out `window` frames (mmaction2's DenseSampleFrames)."""

    exact_stride: ClassVar[bool] = True
    positions: Count
    window: Count  # frames
    past_end: Literal["loop"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of three clips that are spread: a start's first clip lies before its middle."""
        return Spread(past_end=self.past_end), 3, 1


class Centres(ExactStride, frozen=True, tag="centres"):
    """Clip i of n starts in the centre of the i-th of n equal parts of where one may, exact stride (mmaction2 0.x).

    Clips of one frame do so in its later versions, too (TSN).
    """

    past_end: Literal["repeat", "loop"]


class Resampled(FrameRule, frozen=True, tag="resampled"):
    """n of all windows of consecutive frames at another frame rate, the last ends at the end (torchvision)."""

    exact_stride: ClassVar[bool] = True
    fps: Rate
    past_end: Literal["refuse"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of three clips."""
        return self, 3, 1


class Timed(FrameRule, frozen=True, tag="timed"):
    """Clip i of n starts at i / n of the free time; of all frames within it, evenly spaced ones (PyTorchVideo).

    So its reader did in 2021, when its numbers were printed; today's divides by n - 1.
    """

    reach: ClassVar[Reach] = "time_stamps"
    fps: Rate  # a clip lasts as long as at this rate, whatever the video's own
    past_end: Literal["stretch"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of two clips, which starts at half the free length."""
        return self, 2, 1


class TimedBeginning(Timed, frozen=True, tag="timed_beginning"):
    """Of all frames in the first seconds, evenly spaced ones; of these, clip i of n is a row from i / n on (Omnivore).

    Its clips see no more of a longer video.
    """

    kept: Count  # so many of them, `fps` a second; beyond the last, a clip repeats it

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return a rule for the whole video, whose clips last as long."""
        return Timed(fps=self.fps, past_end=self.past_end).middle()


class TimedList(ExactStride, frozen=True, tag="timed_list"):
    """As `timed`, of a list of images, which are taken for 30 a second (PyTorchVideo, Charades)."""

    past_end: Literal["stretch"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of two clips, which starts at half the free length."""
        return self, 2, 1


class Windows(ExactStride, frozen=True, tag="windows"):
    """Of the frames at the exact stride from the first on, n windows; the last ends with them (VideoMAE, Kinetics)."""

    past_end: Literal["repeat"]  # the last of those frames

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of three clips."""
        return self, 3, 1


class Interleaved(FrameRule, frozen=True, tag="interleaved"):
    """A frame of each of as many equal parts as a clip has frames; clip i of n takes it at i / n (VideoMAE, SSv2; TSM).

    A single clip takes the middle of each part.
    """

    whole_video: ClassVar[bool] = True
    past_end: Literal["repeat"]

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return the number of frames: from fewer, some are taken twice."""
        return frames

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return a single clip."""
        return self, 1, 0


class SpreadResampled(FrameRule, frozen=True, tag="spread_resampled"):
    """At another frame rate: n clips, exact stride, whose starts share out what frames x rate leave (Scenic)."""

    exact_stride: ClassVar[bool] = True
    fps: Rate
    past_end: Literal["loop"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the second of three clips."""
        return self, 3, 1


class PartWindows(FrameRule, frozen=True, tag="part_windows"):
    """The frames in the middle of each of `parts` equal parts of the video, one after the other, are one clip (V-JEPA).

    In its own test they are drawn from where they fit in their part; from parts that are shorter, they overlap.
    """

    whole_video: ClassVar[bool] = True
    parts: Count
    past_end: Literal["repeat"]

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return how many frames one part takes."""
        return frames // self.parts * sampling_rate


class KeyFrames(FrameRule, frozen=True, tag="keyframe"):
    """The frames around a moment (AVA), and the boxes of the people in it."""

    reach: ClassVar[Reach] = "key_frame"
    fps: Rate  # of the frame lists: second s is frame (s - 900) * fps
    shift: int  # frames from there to the middle of the clip
    boxes: Literal["clipped", "as_given"]  # cut to the frame, one ratio for both axes; or not, and one for each
    past_end: Literal["repeat"]


class Image(FrameRule, frozen=True, tag="image"):
    """An image, as a clip of one frame."""

    reach: ClassVar[Reach] = "image"

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return 1: the image."""
        return 1


Frames: TypeAlias = (
    Proportional
    | Offset
    | OffsetFrames
    | Segments
    | Uniform
    | Spread
    | SpreadDown
    | SpreadAtRate
    | Strided
    | Dense
    | Centres
    | Resampled
    | Timed
    | TimedBeginning
    | TimedList
    | Windows
    | Interleaved
    | SpreadResampled
    | PartWindows
    | KeyFrames
    | Image
)
