"""The clips that known answers are of: frames of a file at an address, or the synthetic clip, prepared as they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from videohub.data import levels
from videohub.data.geometry import squares
from videohub.data.pixels import prepare
from videohub.data.views import read_content_views
from videohub.errors import FormatError
from videohub.hub import download, sources
from videohub.protocols import Protocol
from videohub.registry.known_answers import ArrayClip, FileClip, KnownAnswer, SyntheticClip
from videohub.registry.schema import Clip, Record


def clip_of(answer: KnownAnswer, record: Record) -> Tensor:
    """Return the clip that a known answer of a record is of, (1, 3, T, H, W) float32, as the network is given it.

    A file is brought here and kept in the cache.
    Raises: DownloadError, OfflineError; FormatError if the file holds no such frames; VideoError; UsageError if its
        frames are smaller than the crop.
    """
    given, protocol = answer.input, answer.protocol(record.protocol)
    if isinstance(given, SyntheticClip):
        return _prepared(synthetic_levels(given.frames, given.height, given.width), protocol)
    path = _file(given, record)
    if isinstance(given, ArrayClip):
        return _prepared(_array(path, given), protocol)
    # the first of several clips begins with the video
    several = msgspec.structs.replace(protocol, views=msgspec.structs.replace(protocol.views, clips=2))
    clip = Clip(frames=given.frames, sampling_rate=given.step)
    return read_content_views(path, several, clip, number=0)[0][None]


def synthetic_levels(frames: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return the fixed synthetic clip, (T, H, W, 3) RGB levels, the same on every machine: whole numbers alone.

    With tri(n) = m if m < 128 else 255 - m, for m = n mod 256, the level of frame t, row y, column x and channel c (red
    0, green 1, blue 2) is

        tri(7 x + 3 y + 11 t + 64 c) + tri(x y div 32 + 5 t (c + 1))

    so that waves and curves move, each channel otherwise, and no axis may be turned round unnoticed. What it looks
    like is part of each fingerprint: another formula has to be another kind of input.
    """
    t, y, x, c = np.ogrid[:frames, :height, :width, :3]
    return (_tri(7 * x + 3 * y + 11 * t + 64 * c) + _tri(x * y // 32 + 5 * t * (c + 1))).astype(np.uint8)


def _tri(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    ramp = numbers % 256
    return np.where(ramp < 128, ramp, 255 - ramp)


def _file(given: FileClip, record: Record) -> Path:
    """Return where the file of a clip lies on this machine. Raises: DownloadError, OfflineError."""
    if given.url.startswith("file:"):
        by_hand = "put it there"
    else:
        by_hand = f"keep it as {sources.path_in_mirror(given.url)} in a folder that VIDEOHUB_MIRRORS names"
    purpose = sources.Purpose("clip", by_hand, "State its sha256 in the known answer, and the way no longer matters.")
    name = f"{record.name}, the clip of a known answer"
    return download.fetch(given.url, name=name, sha256=given.sha256, purpose=purpose).path


def _array(path: Path, given: ArrayClip) -> npt.NDArray[Any]:
    """Return frames (T, H, W, 3) of a .npy file, which runs nothing and of which no other frame is read.

    Raises: FormatError.
    """
    expected = "a .npy file of frames (T, H, W, 3), uint8 or floating levels from 0 to 255"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(f"{given.url}: cannot be read as an array: {error}; expected {expected}") from error
    if not isinstance(array, np.ndarray):
        raise FormatError(f"{given.url}: found several arrays, expected {expected}")
    if array.ndim != 4 or array.shape[3] != 3 or not (array.dtype == np.uint8 or array.dtype.kind == "f"):
        raise FormatError(f"{given.url}: found {array.dtype} of shape {array.shape}, expected {expected}")
    last = (given.frames - 1) * given.step
    if last >= len(array):
        raise FormatError(f"{given.url}: found {len(array)} frames, expected at least {last + 1}")
    return np.array(array[: last + 1 : given.step])  # a copy, and no longer the file's


def _prepared(frames: npt.NDArray[Any], protocol: Protocol) -> Tensor:
    """Return the centre view (1, 3, T, h, w) of frames (T, H, W, 3) after a protocol's steps."""
    if steps := levels.split_steps(protocol)[0]:
        frames = np.stack([levels.apply(frame, steps) for frame in frames])
    prepared = prepare(torch.from_numpy(frames), protocol)
    ((top, left, _), *_), (height, width) = squares(prepared.shape[2], prepared.shape[3], protocol)
    return prepared[:, :, top : top + height, left : left + width].transpose(0, 1)[None].contiguous()
