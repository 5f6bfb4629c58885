"""Pictures of a video, one after the other, as the network sees them: prepared, and of each what the crops reach."""

from __future__ import annotations

from weakref import WeakSet

import torch
from torch import Tensor

from videohub.data import levels
from videohub.data.decoded_images import Picture
from videohub.data.geometry import Square, resized_size, squares
from videohub.data.memory import Budget
from videohub.data.pixels import prepare
from videohub.data.stored_file import StoredFile
from videohub.errors import VideoError
from videohub.protocols import Protocol

_PREPARING = 20  # bytes for a pixel of the picture at hand: as decoded, as RGB, as floats
_RESIZING = 24  # for a pixel of what comes out: floats, and those of the step before


class FramePreparation:
    """Prepares pictures of one size, and watches what those take that somebody still holds."""

    def __init__(self, path: StoredFile, protocol: Protocol, device: torch.device, budget: Budget) -> None:
        """Set up for a protocol's steps and crops; `path` is the video's, for messages."""
        self._path, self._protocol, self._device, self._budget = path, protocol, device, budget
        self._early_steps = levels.split_steps(protocol)[0]  # that need no torch
        self._size: tuple[int, int] | None = None
        self._resized = (0, 0)
        self._reach = (slice(0), slice(0))  # rows and columns that a crop has
        self._held: WeakSet[Tensor] = WeakSet()
        self.offsets: list[Square] = []  # of each crop in a prepared frame, in pixels, once there is one
        self.crop = (0, 0)  # height and width of a crop

    def prepared(self, picture: Picture) -> Tensor:
        """Return (3, H, W) float32.

        Raises: VideoError if the picture has not the size of the first one, or there is too little memory for it;
            UsageError if the protocol's crop is larger than it is.
        """
        if self._size is None:
            self._measure(*picture.size)
        if picture.size != self._size:
            (height, width), (before, across) = picture.size, self._size or picture.size
            raise VideoError(
                f"{self._path}: the picture changes its shape in the middle of the video, "
                f"from {across}x{before} to {width}x{height}"
            )
        self._check_memory(*picture.size)
        try:
            pixels = levels.apply(picture.rgb(), self._early_steps)
            whole = prepare(torch.from_numpy(pixels)[None].to(self._device), self._protocol)[0]
            # a copy, which lets go of the rest, unless it is all
            frame = whole[:, self._reach[0], self._reach[1]].contiguous()
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):  # torch's words for it
                raise
            raise VideoError(f"{self._path}: there is not enough memory for its frames; resize or crop it") from error
        self._held.add(frame)
        return frame

    def _measure(self, height: int, width: int) -> None:
        """Find out how large frames become, and what of them the crops reach."""
        self._size, self._resized = (height, width), resized_size(height, width, self._protocol.whole_frame_steps)
        offsets, (high, wide) = squares(*self._resized, self._protocol)
        top, left = min(each.top for each in offsets), min(each.left for each in offsets)
        bottom, right = max(each.top for each in offsets) + high, max(each.left for each in offsets) + wide
        self._reach, self.crop = (slice(top, bottom), slice(left, right)), (high, wide)
        self.offsets = [Square(each.top - top, each.left - left, each.mirrored) for each in offsets]

    def _check_memory(self, height: int, width: int) -> None:
        """Refuse a picture for which there is no room beside the frames that are held. Raises: VideoError."""
        high, wide = self._resized
        resizing = high * wide * (levels.SHRINKING if self._early_steps else _RESIZING)
        held = sum(frame.nbytes for frame in self._held)
        needed = height * width * _PREPARING + resizing + held
        if needed > self._budget.most:
            what = f"{len(self._held)} frames in open windows, and one of {width}x{height}, {wide}x{high} once resized,"
            self._budget.check(self._path, needed, what)
