"""From decoded frames to every view of a test: each frame normalised and resized once, views cut out on request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from videohub.data.decoded import Decoded, decode, decode_content
from videohub.data.geometry import Square, resized_size, squares
from videohub.data.pixels import prepare
from videohub.data.samples import StoredFile, source_of
from videohub.data.spec import TestSpec
from videohub.data.video_info import Contradiction
from videohub.errors import VideoError
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

# Frames that are prepared together: on a CPU one stays in its cache, and is done exactly as in `decode`.
_FRAMES_AT_ONCE = {"cpu": 1}
_FRAMES_AT_ONCE_ELSEWHERE = 128  # few kernels for a video; 0.7 GB beside it for 340 x 256 pixels


@dataclass(frozen=True, eq=False)
class Views:
    """Every view of one video, in the protocol's order: mostly view v is clip v // crops under crop v % crops.

    Frames are kept once, whole, and views are cut from them on request: `views[v]` is (3, T, H, W), `stack()` all.
    """

    frames: Tensor  # (N, 3, H, W) float32: the frames that any clip uses, normalised and resized
    positions: Tensor  # (clips, T) int64: rows of `frames`
    offsets: list[Square]  # of each crop, in pixels
    size: tuple[int, int]  # (height, width) of a crop, in pixels
    pts: Tensor  # (clips, T) int64: time stamps, in ticks of the stream
    decode_positions: Tensor  # (clips, T) int64: which frame out of the decoder it was, from 0
    boxes: Tensor | None = None  # (K, 4) float32: x1, y1, x2, y2 in pixels of the view; of key frames alone
    contradictions: tuple[Contradiction, ...] = ()  # of the video's header and its content
    crop_major: bool = False  # view v is clip v % clips under crop v // clips

    def __len__(self) -> int:
        """Return the number of views, clips x crops."""
        return len(self.positions) * len(self.offsets)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Return the shape of all views together, (V, 3, T, H, W)."""
        return (len(self), 3, self.positions.shape[1], *self.size)

    @property
    def device(self) -> torch.device:
        """Return where the frames lie."""
        return self.frames.device

    def __getitem__(self, view: int) -> Tensor:
        """Return one view (3, T, H, W), a copy. Raises: IndexError outside 0 .. len - 1."""
        copy = self.frames.new_empty(self.shape[1:])
        self.write(view, copy)
        return copy

    def write(self, view: int, out: Tensor) -> None:
        """Write one view to where it is wanted, (3, T, H, W) in any memory format. Raises: IndexError as above."""
        if not 0 <= view < len(self):
            raise IndexError(f"view {view} of {len(self)}")
        clip, crop = divmod(view, len(self.offsets))
        if self.crop_major:
            crop, clip = divmod(view, len(self.positions))
        (top, left, mirrored), (height, width) = self.offsets[crop], self.size
        cropped = self.frames[:, :, top : top + height, left : left + width]
        torch.index_select(cropped, 0, self.positions[clip], out=out.transpose(0, 1))
        if mirrored:
            out.copy_(out.flip(-1))

    def stack(self) -> Tensor:
        """Return all views (V, 3, T, H, W); 30 views of 32 frames at 256 pixels take 755 MB."""
        views = self.frames.new_empty(self.shape)
        for number in range(len(self)):
            self.write(number, views[number])
        return views


def read_views(path: StoredFile, protocol: Protocol, clip: Clip) -> Views:
    """Read a video (or an image, where the protocol says so) into the views of its test, as the original reads it.

    Where the header of a video contradicts its content, the original believes it, and so does this: published numbers
    were made so. `read_content_views` follows the content. A protocol of frame lists takes the list from the video
    file: all its frames, in order of time.

    Raises: UsageError if the file is missing or the protocol needs more than one file, as AVA's does; VideoError if
        the file is empty, damaged, cut short or without pictures, or the original refuses its header. A view is never
        made from a part of its frames.
    """
    return views_of(decode(source_of(path, protocol), protocol, clip), protocol)


def read_content_views(
    path: StoredFile,
    protocol: Protocol,
    clip: Clip,
    *,
    number: int | None = None,
    device: torch.device | str = "cpu",
) -> Views:
    """Read a video (or an image) into the views of a test, as its content has it; see `read_content`.

    Args and Raises: as `read_views`, but no header is refused. With the `number` of a clip, from 0, there are only
        that one's views; frames are prepared on `device`.
    """
    decoded = decode_content(source_of(path, protocol), protocol, clip, number=number)
    return views_of(decoded, protocol, device)


def views_of(decoded: Decoded, protocol: Protocol, device: torch.device | str = "cpu") -> Views:
    """Return the views that decoded frames make; frames, boxes and all arithmetic are on `device`.

    Raises: UsageError if the protocol's crop is larger than its frames.
    """
    return _views(decoded, _prepared(decoded, protocol, torch.device(device)), protocol)


def views_of_shared(decoded: Sequence[Decoded], specs: Sequence[TestSpec], device: torch.device) -> list[Views]:
    """Return the views of several tests, or of none, which share their frames; each frame is prepared once."""
    if not decoded:
        return []
    frames = _prepared(decoded[0], specs[0].protocol, device)
    return [_views(each, frames, spec.protocol) for each, spec in zip(decoded, specs, strict=True)]


def _views(decoded: Decoded, frames: Tensor, protocol: Protocol) -> Views:
    height, width = frames.shape[-2:]
    offsets, size = squares(height, width, protocol)
    return Views(
        frames=frames,
        positions=torch.from_numpy(decoded.positions).to(frames.device),
        offsets=offsets,
        size=size,
        pts=torch.from_numpy(decoded.pts),
        decode_positions=torch.from_numpy(decoded.decode_positions),
        boxes=None if decoded.boxes is None else torch.from_numpy(decoded.boxes).to(frames.device),
        contradictions=decoded.contradictions,
        crop_major=protocol.views.order == "crop_major",
    )


def _prepared(decoded: Decoded, protocol: Protocol, device: torch.device) -> Tensor:
    """Bring frames to the device, once and in the form that takes the fewest bytes, and prepare them there."""
    if device.type == "cuda":
        _check_fits(decoded, protocol, device)
    given = torch.from_numpy(decoded.frames).to(device)
    if given.dtype == torch.float32:
        return given
    at_once = _FRAMES_AT_ONCE.get(device.type, _FRAMES_AT_ONCE_ELSEWHERE)
    first = prepare(given[:at_once], protocol, decoded.planar)
    if len(first) == len(given):
        return first
    frames = _room((len(given), *first.shape[1:]), device)
    frames[:at_once] = first
    for begin in range(at_once, len(frames), at_once):
        frames[begin : begin + at_once] = prepare(given[begin : begin + at_once], protocol, decoded.planar)
    return frames


def _room(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return new memory for prepared frames.

    On a CPU numpy makes it, which asks the system for large pages: outside an evaluation, where memory is new, 200
    frames of 340 x 256 take 0.26 s, with small pages 0.32. On a GPU channels lie together, as batches are wanted there;
    on a CPU, turning them so takes longer here than in `Views.write`.
    """
    if device.type == "cpu":
        try:
            return torch.from_numpy(np.empty(shape, np.float32))
        except MemoryError as error:
            raise VideoError(_too_large(shape, "there is not enough memory for them")) from error
    return torch.empty(shape, dtype=torch.float32, device=device, memory_format=torch.channels_last)


def _check_fits(decoded: Decoded, protocol: Protocol, device: torch.device) -> None:
    """Refuse frames that would take more than half of a GPU; the model needs the rest. Raises: VideoError."""
    shape = decoded.frames.shape
    if decoded.frames.dtype == np.uint8:
        planar = decoded.planar
        height, width = (planar.height, planar.width) if planar else shape[1:3]
        shape = (len(decoded.frames), 3, *resized_size(height, width, protocol.whole_frame_steps))
    whole = torch.cuda.get_device_properties(device).total_memory
    if 4 * math.prod(shape) > whole // 2:
        raise VideoError(_too_large(shape, f"{device} has {whole / 2**30:.1f} GiB in all"))


def _too_large(shape: tuple[int, ...], why: str) -> str:
    frames, _, height, width = shape
    size = 4 * math.prod(shape) / 2**30
    return f"its {frames} frames, {width}x{height} once resized, take {size:.1f} GiB; {why}; resize or crop it"
