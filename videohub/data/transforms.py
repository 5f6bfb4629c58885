"""From a clip's frames to what a record's network sees of them: its test's centre view, or a random one for training.

Torchvision transforms (v2) of one clip; none of them samples time. Randomness is torch's default generator's alone.
"""

from __future__ import annotations

from abc import abstractmethod

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms import v2

from videohub import registry
from videohub.data import levels
from videohub.data.geometry import resized_size, short_side_size, squares
from videohub.data.pixels import prepare
from videohub.errors import UsageError
from videohub.protocols import (
    Crop,
    Divide,
    Mirror,
    Normalise,
    Pixels,
    Protocol,
    Resize,
    ResizeShortSide,
    ReverseChannels,
)
from videohub.registry.schema import Record, TrainingPixels

_USUAL = TrainingPixels(short_side=(256, 320), crop=224)


def transforms(name: str | Record, *, train: bool = False, flip: bool | None = None) -> ClipTransform:
    """Return the transform from a clip's frames to what a record's network sees of them.

    It takes uint8 RGB frames, (T, H, W, 3) or (T, 3, H, W), and returns the clip (3, T, h, w) float32: resized,
    cropped, normalised and with its channels in order as the record's protocol says, by the same steps as `verify`.

    Args:
        name: A record, its id or its upstream name.
        train: False: the protocol's size and its centre crop. True: a random square. The short side is drawn between
            those of the published training, 256 to 320 pixels where none are stated (as much larger or smaller as the
            training crop is than 224), and the crop lies anywhere; it is cut out first and resized after, so its place
            and size are whole pixels of the frame.
        flip: Whether training mirrors every second clip; None: unless labels of the record's data set have directions,
            as Something-Something's. Give False where your own labels tell left from right.
    Raises: UsageError if `flip` is given without `train`, or a detection network's record with it: people's boxes would
        have to be cut and mirrored, too. The transform raises it for what is no such clip, and for another number of
        frames than the network is given.
    Source: the jittering of PySlowFast's training, `short_side ~ U{256, …, 320}`.
    """
    record = registry.record(name)
    if train:
        return RandomView(record, flip=not record.dataset.directions if flip is None else flip)
    if flip is not None:
        raise UsageError("flip: found it without train=True, expected it with training alone; a test mirrors nothing")
    return CentreView(record)


def to_pixels(clips: Tensor, name: str | Record) -> npt.NDArray[np.uint8]:
    """Return what a network is given as pictures to look at: RGB (..., T, H, W, 3), levels from 0 to 255.

    What the record's protocol does to levels is undone, and its order of channels. They are cut and mirrored as the
    network sees them. Levels between two whole ones, which resizing makes, are rounded, half to even.

    Args:
        clips: A clip (3, T, H, W), or several (..., 3, T, H, W): from `views`, `transforms` or `ClipDataset`.
        name: The record that they were made for, its id or its upstream name; a model's is its `record`.
    Raises: UsageError if they are no such clips.
    """
    record = registry.record(name)
    if clips.ndim < 4 or clips.shape[-4] != 3 or not clips.is_floating_point():
        raise UsageError(f"clips: found {clips.dtype} of shape {tuple(clips.shape)}, expected floating-point numbers, "
                         "(3, T, H, W) or several of them, as `videohub.views` returns")  # fmt: skip
    values = clips.detach().movedim(-4, -1).cpu().double()
    for step in reversed(record.protocol.pixels):
        if isinstance(step, Divide):
            values = values * step.by
        elif isinstance(step, Normalise):
            values = values * values.new_tensor(step.std) + values.new_tensor(step.mean)
        elif isinstance(step, ReverseChannels):
            values = values.flip(-1)
    pixels: npt.NDArray[np.uint8] = values.round().clamp(0, 255).to(torch.uint8).numpy()
    return pixels


class ClipTransform(v2.Transform):  # type: ignore[misc]  # torchvision states no types
    """From the uint8 frames of a clip to the float clip that a network sees; `videohub.transforms` makes one."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record.name
        self.frames = record.clip.frames

    def forward(self, frames: Tensor) -> Tensor:
        """Return the clip (3, T, h, w) float32 for frames (T, H, W, 3) or (T, 3, H, W) uint8. Raises: UsageError."""
        return self._clip(self._channels_last(frames))

    @abstractmethod
    def _clip(self, frames: Tensor) -> Tensor:
        """Return the clip for frames (T, H, W, 3)."""

    def _channels_last(self, frames: Tensor) -> Tensor:
        """Return frames as (T, H, W, 3), once they are what was asked for."""
        what = f"{self.record}: frames"
        layouts = f"uint8 of shape ({self.frames}, H, W, 3) or ({self.frames}, 3, H, W)"
        if not isinstance(frames, Tensor):
            raise UsageError(f"{what}: found {type(frames).__name__}, expected a tensor, {layouts}; torch.from_numpy "
                             "makes one of an array")  # fmt: skip
        shape = tuple(frames.shape)
        if frames.dtype != torch.uint8:
            raise UsageError(f"{what}: found {frames.dtype}, expected {layouts}, levels from 0 to 255")
        if len(shape) == 5:
            raise UsageError(f"{what}: found a batch of shape {shape}, expected one clip, {layouts}")
        if len(shape) != 4 or 3 not in (shape[1], shape[3]) or not min(shape):
            hint = "; frames come first: frames.transpose(0, 1)" if len(shape) == 4 and shape[0] == 3 else ""
            raise UsageError(f"{what}: found shape {shape}, expected {layouts}{hint}")
        if shape[1] == shape[3] == 3:
            raise UsageError(f"{what}: found shape {shape}, in which channels may stand second or last; give frames of "
                             "another size")  # fmt: skip
        if shape[0] != self.frames:
            raise UsageError(f"{what}: found {shape[0]} frames, expected {self.frames}; the transform samples no time, "
                             "videohub.ClipDataset does")  # fmt: skip
        plain = frames.as_subclass(Tensor)  # torchvision's Video hands its type on
        return plain.permute(0, 2, 3, 1) if shape[1] == 3 else plain


class CentreView(ClipTransform):
    """The protocol's resize and its centre crop, bit for bit as the test has them."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        protocol = record.protocol
        if protocol.crop_size is not None:
            views = msgspec.structs.replace(protocol.views, crops=("centre",))
            protocol = msgspec.structs.replace(protocol, views=views)
        self._protocol = protocol
        moving = Resize | ResizeShortSide | Crop | Mirror
        still = tuple(step for step in protocol.pixels if not isinstance(step, moving))
        self._unresized = msgspec.structs.replace(protocol, pixels=still)

    def extra_repr(self) -> str:
        """Return what is done, for `print`."""
        return f"{self.record}: {'; '.join(step.in_words() for step in self._protocol.pixels)}"

    def _clip(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[1:3]
        steps = self._protocol.whole_frame_steps
        resized = resized_size(height, width, steps)
        ((top, left, _), *_), (high, wide) = squares(*resized, self._protocol)
        clip = frames.new_empty((3, len(frames), high, wide), dtype=torch.float32)
        if resized == (height, width) and not any(isinstance(step, Mirror) for step in steps):
            frames, protocol = frames[:, top : top + high, left : left + wide], self._unresized
            top = left = 0  # nothing that is left to be done moves a pixel, so the rest of the frame need not have it
        else:
            protocol = self._protocol
        for first, some in _in_parts(frames):
            prepared = _prepared(some, protocol)[:, :, top : top + high, left : left + wide]
            clip[:, first : first + len(some)] = prepared.transpose(0, 1)
        return clip


class RandomView(ClipTransform):
    """A random square of the frames, at a random size, perhaps mirrored: what a network is trained on."""

    def __init__(self, record: Record, *, flip: bool) -> None:
        super().__init__(record)
        if record.protocol.detection is not None:
            raise UsageError(f"{record.name}: its network judges people in boxes, and a random view would have to cut "
                             "and mirror those, too; expected a classifier's record, or train=False")  # fmt: skip
        pixels = training_pixels(record)
        self.crop, self.short_side, self.flip = pixels.crop, pixels.short_side, flip
        resizes = [step for step in record.protocol.pixels if isinstance(step, Resize | ResizeShortSide)]
        self._resize = resizes[-1] if resizes else None
        self._protocol = msgspec.structs.replace(record.protocol, pixels=tuple(self._steps(record.protocol)))

    def extra_repr(self) -> str:
        """Return what is done, for `print`."""
        return f"{self.record}: {self.crop} pixels at a short side of {self.short_side}, flip={self.flip}"

    def _steps(self, protocol: Protocol) -> list[Pixels]:
        """Return the protocol's steps for the square that was cut out, which its last resizing brings to the crop."""
        steps: list[Pixels] = []
        for step in protocol.whole_frame_steps:
            if step is self._resize and isinstance(step, Resize | ResizeShortSide):
                steps.append(Resize(height=self.crop, width=self.crop, arithmetic=step.arithmetic))
            elif not isinstance(step, Resize | ResizeShortSide):
                steps.append(step)
        return steps

    def _clip(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[1:3]
        high, wide = self._size_of_square(height, width)
        top, left = _drawn(0, height - high), _drawn(0, width - wide)
        frames = frames[:, top : top + high, left : left + wide]
        mirrored = self.flip and bool(torch.rand(()) < 0.5)
        clip = frames.new_empty((3, len(frames), self.crop, self.crop), dtype=torch.float32)
        for first, some in _in_parts(frames):
            prepared = _prepared(some, self._protocol)
            clip[:, first : first + len(some)] = (prepared.flip(3) if mirrored else prepared).transpose(0, 1)
        return clip

    def _size_of_square(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width, in pixels of the frame, of what becomes the crop at a short side that is drawn."""
        if self._resize is None:
            if self.crop > min(height, width):
                raise UsageError(f"{self.record}: a crop of {self.crop} pixels does not fit into a frame of "
                                 f"{width}x{height}, which its protocol does not resize")  # fmt: skip
            return self.crop, self.crop
        short = _drawn(*self.short_side)
        if isinstance(self._resize, ResizeShortSide):
            resized = short_side_size(height, width, msgspec.structs.replace(self._resize, pixels=short))
        else:  # to a fixed shape, which is scaled
            scale = short / min(self._resize.height, self._resize.width)
            resized = round(self._resize.height * scale), round(self._resize.width * scale)
        return tuple(  # type: ignore[return-value]
            min(length, max(1, round(self.crop * length / new)))
            for length, new in zip((height, width), resized, strict=True)
        )


def training_pixels(record: Record) -> TrainingPixels:
    """Return what a record's network is trained on of a frame: as published, else as most were.

    Where nothing is stated, the crop is 224 pixels or the test's if that is smaller, and the short sides are as much
    larger than it as 256 and 320 are than 224.
    """
    if record.training_pixels is not None:
        return record.training_pixels
    # a network whose positions lie in a table is given no other size
    crop = getattr(record.model, "crop", None) or min(_USUAL.crop, record.protocol.crop_size or _USUAL.crop)
    low, high = (side * crop // _USUAL.crop for side in _USUAL.short_side)
    return TrainingPixels(short_side=(low, high), crop=crop)


def _in_parts(frames: Tensor) -> list[tuple[int, Tensor]]:
    """Return frames one by one on a CPU, in whose cache one stays, and all at once elsewhere; each with its number."""
    if frames.device.type != "cpu":
        return [(0, frames)]
    return [(number, frames[number : number + 1]) for number in range(len(frames))]


def _prepared(frames: Tensor, protocol: Protocol) -> Tensor:
    """Return frames (N, H, W, 3) uint8 after all steps but the crop, (N, 3, h, w) float32."""
    if steps := levels.split_steps(protocol)[0]:
        pictures = [torch.from_numpy(levels.apply(picture, steps)) for picture in frames.cpu().numpy()]
        frames = torch.stack(pictures).to(frames.device)
    return prepare(frames, protocol)


def _drawn(low: int, high: int) -> int:
    """Return a whole number between two, both included, by torch's default generator."""
    return int(torch.randint(low, high + 1, ()))
