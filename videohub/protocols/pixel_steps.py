"""What is done to the pixels of a test's frames: names and numbers alone, `videohub.data` does it.

The types are written out at once, as those of `steps.py` are.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from videohub.protocols.steps import Value, fields_in_words
from videohub.value_types import Count

Rgb: TypeAlias = tuple[float, float, float]
Arithmetic: TypeAlias = Literal[
    "torch_float", "torch_uint8", "tensorflow_uint8", "opencv_uint8", "pillow_bilinear", "pillow_bicubic"
]
WHOLE_LEVELS = (
    "torch_uint8",
    "tensorflow_uint8",
    "opencv_uint8",
    "pillow_bilinear",
    "pillow_bicubic",
)  # from 0..255 to 0..255, rounded
ON_THE_CPU = ("opencv_uint8", "pillow_bilinear", "pillow_bicubic")  # done to each picture as it is decoded


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

    by: Annotated[float, msgspec.Meta(gt=0)]


class Normalise(PixelStep, frozen=True, tag="normalise"):
    """Subtract a mean and divide by a deviation, each of a channel."""

    mean: Rgb
    std: tuple[
        Annotated[float, msgspec.Meta(gt=0)],
        Annotated[float, msgspec.Meta(gt=0)],
        Annotated[float, msgspec.Meta(gt=0)],
    ]


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
