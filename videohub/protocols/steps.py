"""Which frames a test takes, and what is done to their pixels: names and numbers alone, `videohub.data` does it.

The types are written out at once (no `from __future__ import annotations`): msgspec would compile each one's text at
the start of every process.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from videohub.value_types import Count

Rate: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]  # frames per second
Reach: TypeAlias = Literal["time_windows", "time_stamps", "frame_list", "key_frame", "image"]
Spacing: TypeAlias = Literal["span", "stride", "parts", "given"]


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
    """Which frames each clip takes; its subclasses are all there are, and each says its spacing and its middle clip."""

    # how frames are found: by what the header says of time, by the time stamps of all, by number in a list, around one
    reach: ClassVar[Reach] = "frame_list"
    # how the frames of a clip lie, in tests, in training and in windows: spread over frames x rate, both ends included;
    # exactly `sampling_rate` apart; in equal parts of the whole video; around a moment or of an image, which are given
    spacing: ClassVar[Spacing]
    # Of how many clips which one stands in the middle of the video, as one clip would: by itself a rule may place its
    # single clip at the beginning, or place none. The second of two starts at half the free length.
    middle_clip: ClassVar[tuple[int, int]]

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
        """Return a rule, a number of clips, and which of these stands in the middle of the video."""
        return self, *self.middle_clip


class Proportional(FrameRule, frozen=True, tag="proportional"):
    """Clip i of n starts at i / n of the free length, so the last one stops short of the end (PySlowFast, Kinetics)."""

    reach: ClassVar[Reach] = "time_windows"
    spacing: ClassVar[Spacing] = "span"
    middle_clip: ClassVar[tuple[int, int]] = (2, 1)
    fps: Rate  # a clip lasts as long as at this rate, whatever the video's own
    past_end: Literal["repeat"]


class Offset(FrameRule, frozen=True, tag="offset"):
    """As `proportional`, but clips start in whole steps of 1 / (n - 1), so the last one nearly reaches the end."""

    reach: ClassVar[Reach] = "time_windows"
    spacing: ClassVar[Spacing] = "span"
    middle_clip: ClassVar[tuple[int, int]] = (1, 0)
    fps: Rate
    past_end: Literal["repeat"]


class OffsetFrames(FrameRule, frozen=True, tag="offset_frames"):
    """As `offset`, of all frames that there are, whatever the video's rate (UniFormer, Kinetics)."""

    spacing: ClassVar[Spacing] = "span"
    middle_clip: ClassVar[tuple[int, int]] = (1, 0)
    past_end: Literal["repeat"]


class Parts(FrameRule, frozen=True):
    """What rules have in common that take a frame of each of as many equal parts as a clip has frames."""

    spacing: ClassVar[Spacing] = "parts"
    middle_clip: ClassVar[tuple[int, int]] = (1, 0)

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return the number of frames: from fewer, some are taken twice."""
        return frames


class Segments(Parts, frozen=True, tag="segments"):
    """The middle frame of each of as many equal parts as a clip has frames (PySlowFast, Something-Something)."""

    past_end: Literal["repeat"]


class Uniform(Parts, frozen=True, tag="uniform"):
    """Nearly the same by another rounding (mmaction2's UniformSample); clip i of n lies i + 1 of n + 1 into each part.

    The whole frames of that way count, from the nearest one to where a part begins. A single clip takes the middle.
    """

    past_end: Literal["repeat"]


class ExactStride(FrameRule, frozen=True):
    """What rules have in common whose frames lie `sampling_rate` apart and who count a clip from the first to the last.

    Others whose frames do count a step beyond the last, as their originals do.
    """

    spacing: ClassVar[Spacing] = "stride"

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return the distance from the first frame to the last, both counted."""
        return (frames - 1) * sampling_rate + 1


class Spread(ExactStride, frozen=True, tag="spread"):
    """The first clip starts at the beginning, the last ends at the end, exact stride (PySlowFast Charades, mmaction2).

    A single clip stands in the middle.
    """

    middle_clip: ClassVar[tuple[int, int]] = (3, 1)
    past_end: Literal["repeat", "loop"]


class SpreadDown(ExactStride, frozen=True, tag="spread_down"):
    """As `spread`, with starts rounded down (VMZ)."""

    middle_clip: ClassVar[tuple[int, int]] = (3, 1)
    past_end: Literal["repeat"]


class SpreadAtRate(FrameRule, frozen=True, tag="spread_at_rate"):
    """As `spread`, with strides that last as long as at `fps`, and starts in whole steps (mmaction2, target_fps)."""

    spacing: ClassVar[Spacing] = "span"
    middle_clip: ClassVar[tuple[int, int]] = (3, 1)
    fps: Rate
    past_end: Literal["loop"]


class Strided(FrameRule, frozen=True, tag="strided"):
    """Clip i of n starts at i / n of all frames, exact stride, round the end (video-nonlocal-net)."""

    spacing: ClassVar[Spacing] = "stride"
    past_end: Literal["loop"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the middle of clips that are spread: of its own, the second of two starts in the middle."""
        return Spread(past_end=self.past_end).middle()


class Dense(FrameRule, frozen=True, tag="dense"):
    """From each of `positions` starts, clips that share out `window` frames (mmaction2's DenseSampleFrames)."""

    spacing: ClassVar[Spacing] = "stride"
    positions: Count
    window: Count  # frames
    past_end: Literal["loop"]

    def middle(self) -> tuple[FrameRule, int, int]:
        """Return the middle of clips that are spread: of its own, a start's first clip lies before its middle."""
        return Spread(past_end=self.past_end).middle()


class Centres(ExactStride, frozen=True, tag="centres"):
    """Clip i of n starts in the centre of the i-th of n equal parts of where one may, exact stride (mmaction2 0.x).

    Clips of one frame do so in its later versions, too (TSN).
    """

    middle_clip: ClassVar[tuple[int, int]] = (1, 0)
    past_end: Literal["repeat", "loop"]


class Resampled(ExactStride, frozen=True, tag="resampled"):
    """n of all windows at another frame rate, the last ends at the end, exact stride (torchvision: of 1)."""

    middle_clip: ClassVar[tuple[int, int]] = (3, 1)
    fps: Rate
    past_end: Literal["refuse"]


class Timed(FrameRule, frozen=True, tag="timed"):
    """Clip i of n starts at i / n of the free time; of all frames within it, evenly spaced ones (PyTorchVideo 0.1.5).

    0.1.0 to 0.1.3, of 2021, when its numbers were printed, have clips at the same times, which may hold a frame more at
    either end; code after 0.1.5 divides by n - 1.
    """

    reach: ClassVar[Reach] = "time_stamps"
    spacing: ClassVar[Spacing] = "span"
    middle_clip: ClassVar[tuple[int, int]] = (2, 1)
    fps: Rate  # a clip lasts as long as at this rate, whatever the video's own
    past_end: Literal["stretch"]


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

    middle_clip: ClassVar[tuple[int, int]] = (2, 1)
    past_end: Literal["stretch"]


class Windows(ExactStride, frozen=True, tag="windows"):
    """Of the frames at the exact stride from the first on, n windows; the last ends with them (VideoMAE, Kinetics)."""

    middle_clip: ClassVar[tuple[int, int]] = (3, 1)
    past_end: Literal["repeat"]  # the last of those frames


class Interleaved(Parts, frozen=True, tag="interleaved"):
    """A frame of each of as many equal parts as a clip has frames; clip i of n takes it at i / n (VideoMAE, SSv2; TSM).

    A single clip takes the middle of each part.
    """

    past_end: Literal["repeat"]


class SpreadResampled(FrameRule, frozen=True, tag="spread_resampled"):
    """At another frame rate: n clips, exact stride, whose starts share out what frames x rate leave (Scenic)."""

    spacing: ClassVar[Spacing] = "stride"
    middle_clip: ClassVar[tuple[int, int]] = (3, 1)
    fps: Rate
    past_end: Literal["loop"]


class PartWindows(FrameRule, frozen=True, tag="part_windows"):
    """The frames in the middle of each of `parts` equal parts of the video, one after the other, are one clip (V-JEPA).

    In its own test they are drawn from where they fit in their part; from parts that are shorter, they overlap.
    """

    spacing: ClassVar[Spacing] = "parts"
    middle_clip: ClassVar[tuple[int, int]] = (1, 0)
    parts: Count
    past_end: Literal["repeat"]

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return how many frames one part takes."""
        return frames // self.parts * sampling_rate


class KeyFrames(FrameRule, frozen=True, tag="keyframe"):
    """The frames around a moment (AVA), and the boxes of the people in it."""

    reach: ClassVar[Reach] = "key_frame"
    spacing: ClassVar[Spacing] = "given"
    middle_clip: ClassVar[tuple[int, int]] = (1, 0)
    fps: Rate  # of the frame lists: second s is frame (s - 900) * fps
    shift: int  # frames from there to the middle of the clip
    boxes: Literal["clipped", "as_given"]  # cut to the frame, one ratio for both axes; or not, and one for each
    past_end: Literal["repeat"]


class Image(FrameRule, frozen=True, tag="image"):
    """An image, as a clip of one frame."""

    reach: ClassVar[Reach] = "image"
    spacing: ClassVar[Spacing] = "given"
    middle_clip: ClassVar[tuple[int, int]] = (1, 0)

    def span(self, frames: int, sampling_rate: int) -> int:
        """Return 1: the image."""
        return 1


Frames: TypeAlias = (
    Proportional | Offset | OffsetFrames | Segments | Uniform | Spread | SpreadDown | SpreadAtRate | Strided | Dense
    | Centres | Resampled | Timed | TimedBeginning | TimedList | Windows | Interleaved | SpreadResampled | PartWindows
    | KeyFrames | Image
)  # fmt: skip

# --- what is done to their pixels ------------------------------------------------------------------------------------

_Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]
Arithmetic: TypeAlias = Literal[
    "torch_float", "torch_uint8", "tensorflow_uint8", "opencv_uint8", "pillow_bilinear", "pillow_bicubic"
]
ON_THE_CPU = ("opencv_uint8", "pillow_bilinear", "pillow_bicubic")  # done to each picture as it is decoded
WHOLE_LEVELS = ("torch_uint8", "tensorflow_uint8", *ON_THE_CPU)  # from 0..255 to 0..255, rounded


class PixelStep(Value, frozen=True, tag_field="step"):
    """One thing that is done to RGB frames, which come as levels from 0 to 255."""

    @property
    def name(self) -> str:
        """The step, as a registry file calls it."""
        return str(type(self).__struct_config__.tag)

    def in_words(self) -> str:
        """Return the step and its numbers, such as `divide by 255`."""
        return f"{self.name.replace('_', ' ')} {', '.join(fields_in_words(self))}".rstrip()


class Divide(PixelStep, frozen=True, tag="divide"):
    """Divide every value."""

    by: _Positive


class Normalise(PixelStep, frozen=True, tag="normalise"):
    """Subtract a mean and divide by a deviation, each of a channel."""

    mean: tuple[float, float, float]
    std: tuple[_Positive, _Positive, _Positive]


class ReverseChannels(PixelStep, frozen=True, tag="reverse_channels"):
    """RGB becomes BGR."""


class Mirror(PixelStep, frozen=True, tag="mirror"):
    """Left and right change places."""


class ResizeShortSide(PixelStep, frozen=True, tag="resize_short_side"):
    """Resize so that the short side has so many pixels; the long side follows, rounded.

    `floor`: of long / short x pixels (PySlowFast); `truncate`: of pixels x long / short (torchvision, Pillow);
    `half_up`: of long x (pixels / short) (mmaction2).
    """

    pixels: Count
    long_side: Literal["floor", "truncate", "half_up"]
    arithmetic: Arithmetic


class Resize(PixelStep, frozen=True, tag="resize"):
    """Resize to a fixed size, whatever the shape was."""

    height: Count
    width: Count
    arithmetic: Arithmetic


class Crop(PixelStep, frozen=True, tag="crop"):
    """Cut squares out of the frame: those that `views.crops` names.

    By whose arithmetic they are placed: of PySlowFast the centre rounds up and the end touches the edge; of mmaction2
    it rounds down and the end is twice as far; its TenCrop counts in quarters; of torchvision it rounds half to even;
    of VideoMAE it rounds down and the end touches the edge; of TSM they count in quarters, along the width alone.
    """

    size: Count
    arithmetic: Literal["pyslowfast", "mmaction2", "mmaction2_ten", "torchvision", "tsm", "videomae"]


Pixels: TypeAlias = Divide | Normalise | ReverseChannels | Mirror | ResizeShortSide | Resize | Crop
