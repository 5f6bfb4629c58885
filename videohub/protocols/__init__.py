"""What a published number was measured with, as steps: names and numbers alone. `videohub.data` has their functions.

Which frames (`FrameRule`), what is done to their pixels and in which order (`PixelStep`), which views are cut from
them, and how the scores of views become one.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec

from videohub.protocols.steps import (
    ON_THE_CPU,
    SKIPS,
    WHOLE_LEVELS,
    Centres,
    Crop,
    Dense,
    Divide,
    FrameRule,
    Frames,
    Image,
    Interleaved,
    KeyFrames,
    Mirror,
    Normalise,
    Offset,
    OffsetFrames,
    PartWindows,
    Pixels,
    PixelStep,
    Proportional,
    Reach,
    Resampled,
    Resize,
    ResizeShortSide,
    ReverseChannels,
    Segments,
    Spacing,
    Spread,
    SpreadAtRate,
    SpreadDown,
    SpreadResampled,
    Strided,
    Timed,
    TimedBeginning,
    TimedList,
    Uniform,
    Value,
    Windows,
    fields_in_words,
    plain_words,
)  # fmt: skip
from videohub.value_types import Activation, Count

__all__ = [
    "ON_THE_CPU", "PLACES", "SKIPS", "WHOLE_LEVELS", "Centres", "Crop", "Dense", "Detection", "Divide", "Flaw",
    "FrameRule", "Frames", "Image", "Interleaved", "KeyFrames", "Mirror", "Normalise", "Offset", "OffsetFrames",
    "PartWindows", "PixelStep", "Pixels", "Place", "Proportional", "Protocol", "Reach", "Resampled", "Resize",
    "ResizeShortSide", "ReverseChannels", "ScoreRule", "Segments", "Spacing", "Spread", "SpreadAtRate", "SpreadDown",
    "SpreadResampled", "Strided", "Timed", "TimedBeginning", "TimedList", "Uniform", "Value", "ViewGrid", "Windows",
]  # fmt: skip

Flaw: TypeAlias = tuple[tuple[str | int, ...], str, str]  # the steps to a field, what is wrong with it, and advice

# --- which views, and what their scores come to ----------------------------------------------------------------------

# `start` and `end` lie along the longer side: left and right, or top and bottom of a frame higher than wide.
Place: TypeAlias = Literal[
    "whole", "start", "centre", "end", "top_left", "top_right", "bottom_left", "bottom_right",
    "top_left_mirrored", "top_right_mirrored", "bottom_left_mirrored", "bottom_right_mirrored", "centre_mirrored",
]  # fmt: skip
_TEN = ("top_left", "top_right", "bottom_left", "bottom_right", "centre")
PLACES: dict[str, tuple[str, ...]] = {  # that each arithmetic knows
    "pyslowfast": ("start", "centre", "end"),
    "mmaction2": ("start", "centre", "end"),
    "mmaction2_ten": tuple(place + mirrored for place in _TEN for mirrored in ("", "_mirrored")),
    "torchvision": ("centre",),
    "tsm": ("start", "centre", "end"),
    "videomae": ("start", "centre", "end"),
}


_ONCE = (Divide, Normalise, ReverseChannels, Mirror)  # a second one undoes the first, or is one step with it


class ViewGrid(Value, frozen=True):
    """Every clip under every crop. `clip_major`: view v is clip v // crops, crop v % crops; or the other way round."""

    clips: Count
    crops: Annotated[tuple[Place, ...], msgspec.Meta(min_length=1)]
    order: Literal["clip_major", "crop_major"]


class ScoreRule(Value, frozen=True):
    """What logits become (`activation`), and how those of views become a video's; the mean of logits, before that."""

    activation: Activation
    join: Literal["sum", "mean", "max", "mean_of_logits"]


class Detection(Value, frozen=True, omit_defaults=True):
    """The files of an evaluation of boxes: whose boxes, above which score, judged by which lists.

    `moments` says at which moments of a video people are scored. `detected`: where the detector is sure enough of
    somebody. `annotated`: where the ground truth has a row; if the detector is not sure enough of anybody there, its
    best box counts, and the whole frame if its file does not have the moment.
    """

    version: str
    boxes: str
    score_threshold: float
    label_map: str | None  # null: the ground truth names the classes
    exclusions: str | None  # null: no moment is left out
    ground_truth: str
    moments: Literal["detected", "annotated"] = "detected"


class Protocol(Value, frozen=True):
    """How the published number was measured."""

    name: str
    dataset: str
    split: str
    frames: Frames
    pixels: tuple[Pixels, ...]
    views: ViewGrid
    scores: ScoreRule
    metric: str  # one of `metrics.names()`
    detection: Detection | None

    @property
    def num_views(self) -> int:
        """Clips times crops."""
        return self.views.clips * len(self.views.crops)

    @property
    def views_in_words(self) -> str:
        """Clips times crops, such as `10 x 3 views`."""
        return f"{self.views.clips} x {len(self.views.crops)} views"

    @property
    def fps(self) -> float | None:
        """Frames per second that the sampling rate refers to; None: the source's frames as they are."""
        return getattr(self.frames, "fps", None)

    @property
    def whole_frame_steps(self) -> tuple[Pixels, ...]:
        """What is done to a frame before views are cut from it; none of the later steps mixes pixels."""
        return tuple(step for step in self.pixels if not isinstance(step, Crop))

    @property
    def crop_size(self) -> int | None:
        """Side of the squares that views are, in pixels; None: the whole frame."""
        return next((step.size for step in self.pixels if isinstance(step, Crop)), None)

    @property
    def short_side(self) -> int | None:
        """Short side in pixels that frames are resized to; None: they keep their size."""
        resize = next((step for step in reversed(self.pixels) if isinstance(step, ResizeShortSide | Resize)), None)
        if isinstance(resize, Resize):
            return min(resize.height, resize.width)
        return None if resize is None else resize.pixels

    @property
    def normalise(self) -> Normalise | None:
        """Mean and deviation, if pixels are normalised."""
        return next((step for step in self.pixels if isinstance(step, Normalise)), None)

    @property
    def scored(self) -> Literal["video", "key frame", "image"]:
        """What is scored once."""
        if self.frames.reach == "key_frame":
            return "key frame"
        return "image" if self.frames.reach == "image" else "video"

    def in_words(self) -> dict[str, str]:
        """Return what is done, part by part, as reports tell it."""
        views, scores = self.views, self.scores
        grid = f"{views.clips} clips x {len(views.crops)} crops ({plain_words(views.crops)})"
        of_views = f"the {scores.activation}'s {scores.join} over views"
        if scores.join == "mean_of_logits":
            of_views = f"{scores.activation} of the mean of the views' logits"
        return {
            "frames": self.frames.in_words(),
            "pixels": "; ".join(step.in_words() for step in self.pixels),
            "views": f"{grid}, {plain_words(views.order)}",
            "scores": of_views,
            "metric": self.metric,
            **({"detection": "; ".join(fields_in_words(self.detection))} if self.detection else {}),
        }

    def with_views(self, *, clips: int | None = None, crops: int | None = None) -> "Protocol":
        """Return the protocol with other numbers of clips, or of crops: 1, the centre, or 3 along the longer side.

        Something-Something's single crop is the left one: the original counts its crops from there.
        """
        if crops == len(self.views.crops):
            crops = None
        places: tuple[Place, ...] = self.views.crops
        if crops == 1:
            places = ("start",) if isinstance(self.frames, Segments) else ("centre",)
        elif crops is not None:
            places = ("start", "centre", "end")
        views = msgspec.structs.replace(self.views, clips=clips or self.views.clips, crops=places)
        return msgspec.structs.replace(self, views=views)

    def middle_view(self) -> "tuple[Protocol, int]":
        """Return a protocol with the centre crop alone, and which of its clips stands in the middle of the video.

        Of whole frames the crop is the whole.
        """
        rule, clips, number = self.frames.middle()
        crops: tuple[Place, ...] = ("whole",) if self.views.crops == ("whole",) else ("centre",)
        views = msgspec.structs.replace(self.views, clips=clips, crops=crops)
        return msgspec.structs.replace(self, frames=rule, views=views), number

    def flaws(self) -> Iterator[Flaw]:
        """Yield what keeps the steps from being run although each is well typed."""
        yield from self._flaws_of_frames()
        yield from self._flaws_of_pixels()
        yield from self._flaws_of_crops()

    def flaws_with(self, *, segments: int, frames: int) -> Iterator[Flaw]:
        """Yield, as places in a record, what keeps a clip from being the segments that its network looks at."""
        if isinstance(self.frames, PartWindows) and self.frames.parts != segments:
            what = f"has clips of {self.frames.parts} parts, and the network looks at {segments} by themselves"
            yield ("protocol",), what, "Let `segments` of the model and `parts` of the protocol's frames agree."
        if frames % segments:
            yield ("clip", "frames"), f"is {frames}, which is no multiple of {segments} segments", ""

    def _flaws_of_frames(self) -> Iterator[Flaw]:
        rule, clips = self.frames, self.views.clips
        if isinstance(rule, KeyFrames) and (clips, self.views.crops) != (1, ("whole",)):
            advice = "Boxes need one clip of whole frames: clips 1, crops [whole]."
            yield ("views",), "has more than one whole frame", advice
        if isinstance(rule, Image) and clips != 1:
            yield ("views", "clips"), f"is {clips}, and an image is 1 clip", ""
        if isinstance(rule, Spread) and rule.past_end == "repeat" and clips < 2:
            what = f"is {clips}, and clips spread from the first frame to the last are at least 2"
            yield ("views", "clips"), what, "Only with `past_end: loop` a single one stands in the middle."
        if isinstance(rule, SpreadAtRate) and clips < 2:
            yield ("views", "clips"), f"is {clips}, and clips spread from the first frame on are at least 2", ""
        if isinstance(rule, Dense) and clips % rule.positions:
            yield ("views", "clips"), f"is {clips}, which is no multiple of {rule.positions} positions", ""

    def _flaws_of_pixels(self) -> Iterator[Flaw]:
        whole, cropped, before = True, False, set[str]()
        for number, step in enumerate(self.pixels):
            place: tuple[str | int, ...] = ("pixels", number)
            if cropped and isinstance(step, Crop | Resize | ResizeShortSide | Mirror):
                advice = "Only steps that leave pixels in their place may follow one."
                yield place, f"is {step.name}, after a crop", advice
            if isinstance(step, Resize | ResizeShortSide) and step.arithmetic in WHOLE_LEVELS and not whole:
                advice = "Resize so before dividing and normalising, or by torch_float."
                yield (*place, "arithmetic"), f"is {step.arithmetic}, which works on levels from 0 to 255", advice
            if isinstance(step, Mirror) and isinstance(self.frames, KeyFrames):
                yield place, "is mirror, and boxes are not mirrored", ""
            if isinstance(step, _ONCE) and step.name in before:
                yield place, f"is {step.name} a second time", "Leave one of them out."
            if isinstance(step, Divide) and "normalise" in before:
                yield place, "is divide, after normalise", "Divide before it, by what its mean's levels are divided by."
            before.add(step.name)
            whole &= not (
                isinstance(step, Divide | Normalise)
                or (isinstance(step, Resize | ResizeShortSide) and step.arithmetic == "torch_float")
            )
            cropped |= isinstance(step, Crop)

    def _flaws_of_crops(self) -> Iterator[Flaw]:
        crop = next((step for step in self.pixels if isinstance(step, Crop)), None)
        known = PLACES[crop.arithmetic] if crop else ("whole",)
        if odd := [place for place in self.views.crops if place not in known]:
            why = f"{crop.arithmetic} places" if crop else "without a crop step there is"
            yield ("views", "crops"), f"has {odd[0]}", f"Known: {why} {', '.join(known)}."
