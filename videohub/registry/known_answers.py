"""What is publicly known of a published file's outputs: which clip, what is done to its pixels, and which values.

The types are written out at once (no `from __future__ import annotations`), as in `schema.py`, which has them.
"""

from collections.abc import Collection, Iterator
from typing import Annotated, TypeAlias

import msgspec

from videohub.protocols import Crop, Flaw, Pixels, Place, Protocol, Value, ViewGrid, Windows
from videohub.value_types import Count, Sha256

Fraction: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
Tolerance: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]


class InputClip(Value, frozen=True, omit_defaults=True, tag_field="kind"):
    """The frames that values are of; its subclasses are all there are."""

    frames: Count  # that the network is given

    @property
    def kind(self) -> str:
        """The kind, as a registry file calls it."""
        return str(type(self).__struct_config__.tag)


class FileClip(InputClip, frozen=True, omit_defaults=True):
    """Frames of a file at an address: of all that it holds the first, and every `step`-th after it."""

    url: str
    sha256: Sha256 | None  # null until somebody has measured it; the first one seen here will bind
    step: Count = 1

    def in_words(self) -> str:
        """Return which frames of which file, such as `16 frames of eating_spaghetti.npy`."""
        each = f", one in {self.step}" if self.step > 1 else ""
        return f"{self.frames} frames of {self.url.rpartition('/')[2]}{each}"


class ArrayClip(FileClip, frozen=True, omit_defaults=True, tag="array"):
    """Frames of an array in a .npy file: (T, H, W, 3), RGB levels from 0 to 255, uint8 or floating."""


class VideoClip(FileClip, frozen=True, omit_defaults=True, tag="video"):
    """Frames of a video, as its content has them."""


class SyntheticClip(InputClip, frozen=True, omit_defaults=True, tag="synthetic"):
    """The fixed synthetic clip, which is computed in whole numbers: `videohub.known_answers.clips` says how."""

    height: Count
    width: Count

    def in_words(self) -> str:
        """Return its size."""
        return f"the synthetic clip of {self.frames} x {self.height} x {self.width}"


class Values(Value, frozen=True, omit_defaults=True):
    """What is known of a network's outputs for one clip: some, what all of them come to, or the first class alone."""

    first: tuple[float, ...] = ()  # outputs: logits, or features where there is no classifier
    mean: float | None = None  # of all outputs
    rms: float | None = None  # the root of the mean of their squares
    top1: Annotated[int, msgspec.Meta(ge=0)] | None = None  # index of the class with the highest score
    probability: Fraction | None = None  # of that class, after the activation of the record's test


class KnownAnswer(Value, frozen=True, omit_defaults=True):
    """Values that are known of a published file, and all that it takes to compute them again."""

    layouts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]  # of the record's checkpoints that they are of
    input: ArrayClip | VideoClip | SyntheticClip
    pixels: tuple[Pixels, ...]  # steps, as a protocol has them, and often not the protocol's; a crop is the centre
    values: Values
    tolerance: Tolerance  # how far a value may be off, up or down
    source: str

    @property
    def is_fingerprint(self) -> bool:
        """Whether somebody who had the file made it, with the synthetic clip."""
        return isinstance(self.input, SyntheticClip)

    def protocol(self, tested: Protocol) -> Protocol:
        """Return a protocol of one clip and the centre crop, with these steps, given the one that a record has."""
        crops: tuple[Place, ...] = ("centre",) if any(isinstance(step, Crop) for step in self.pixels) else ("whole",)
        views = ViewGrid(clips=1, crops=crops, order="clip_major")
        rule = Windows(past_end="repeat")
        return msgspec.structs.replace(tested, frames=rule, pixels=self.pixels, views=views)

    def flaws(self, tested: Protocol, layouts: Collection[str], num_classes: int | None) -> Iterator[Flaw]:
        """Yield what keeps it from being checked although each field is well typed, given what the record says."""
        for index, layout in enumerate(self.layouts):
            if layout not in layouts:
                yield ("layouts", index), f"is {layout}, and no checkpoint is spelt so", f"Here: {', '.join(layouts)}."
        for field, what, advice in self.protocol(tested).flaws():
            yield (field if field[0] == "pixels" else ("pixels",)), what, advice
        values, outputs = self.values, num_classes
        if values == Values():
            yield ("values",), "states nothing", "Give first, mean, rms, or top1 and probability."
        if (values.top1 is None) != (values.probability is None):
            yield ("values",), "has one of top1 and probability", "Give both."
        if outputs is None and values.top1 is not None:
            yield ("values", "top1"), "is given, and the network has no classifier", ""
        if outputs is not None and len(values.first) > outputs:
            yield ("values", "first"), f"has {len(values.first)} values, and the network {outputs} outputs", ""
        if outputs is not None and values.top1 is not None and values.top1 >= outputs:
            yield ("values", "top1"), f"is {values.top1}, and the network's outputs are 0 to {outputs - 1}", ""
