"""From one video file to every view of a test: decoded once, each frame converted, normalised and resized once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from videohub.data.clips import read_clips
from videohub.data.crops import crop_offsets, normalise, resize
from videohub.data.images import read_image
from videohub.data.video import open_video
from videohub.errors import UsageError, VideoError
from videohub.registry.schema import Clip, Protocol

SAMPLINGS = {  # the rules that choose frames from what each decoder gives
    "pts_window": ("proportional", "offset"),
    "frame_list": ("segments", "spread"),
    "image": ("image",),
}


@dataclass(frozen=True, eq=False)
class Views:
    """Every view of one video. View v is clip v // crops under crop v % crops.

    Frames are kept once, whole, and views are cut from them on request: `views[v]` is (3, T, H, W), `stack()` all.
    """

    frames: Tensor  # (N, 3, H, W) float32: the frames that any clip uses, normalised and resized
    positions: Tensor  # (clips, T) int64: rows of `frames`
    offsets: list[tuple[int, int]]  # (top, left) of each crop, in pixels
    size: tuple[int, int]  # (height, width) of a crop, in pixels
    pts: Tensor  # (clips, T) int64: time stamps, in ticks of the stream
    decode_positions: Tensor  # (clips, T) int64: which frame out of the decoder it was, from 0

    def __len__(self) -> int:
        """Return the number of views, clips x crops."""
        return len(self.positions) * len(self.offsets)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Return the shape of all views together, (V, 3, T, H, W)."""
        return (len(self), 3, self.positions.shape[1], *self.size)

    def __getitem__(self, view: int) -> Tensor:
        """Return one view (3, T, H, W), a copy. Raises: IndexError outside 0 .. len - 1."""
        if not 0 <= view < len(self):
            raise IndexError(f"view {view} of {len(self)}")
        clip, crop = divmod(view, len(self.offsets))
        (top, left), (height, width) = self.offsets[crop], self.size
        cropped = self.frames[:, :, top : top + height, left : left + width]
        return cropped[self.positions[clip]].transpose(0, 1).contiguous()

    def stack(self) -> Tensor:
        """Return all views (V, 3, T, H, W); 30 views of 32 frames at 256 pixels take 755 MB."""
        views = self.frames.new_empty(self.shape)
        for number in range(len(self)):
            views[number] = self[number]
        return views


def read_views(video_path: str | Path, protocol: Protocol, clip: Clip) -> Views:
    """Read a video (or an image, where the protocol says so) into the views of its test.

    Args:
        video_path: The file.
        protocol: Clips, crops, sizes, sampling rule and normalisation.
        clip: Frames that the network is given, and the distance between them.
    A protocol of frame lists takes the list from the video file: all its frames, in order of time. With one crop and
    `segments` sampling (Something-Something) that crop is the left or top one; elsewhere it is the centre.

    Raises: UsageError if the file is missing or the protocol needs more than one file, as AVA's does; VideoError if
        the file is empty, damaged, cut short or without pictures. A view is never made from a part of its frames.
    Source: the reference test protocols; the order is /255, mean, std, resize, crop, in float32 throughout. For
        images it is /255, resize, mean, std, crop.
    """
    if protocol.sampling == "keyframe":
        raise UsageError(
            f"{protocol.name}: this protocol needs key frames and the boxes of the people in them; a video file alone "
            "says neither, and videohub cannot read them yet"
        )
    if protocol.sampling not in SAMPLINGS[protocol.decoder]:
        raise UsageError(
            f"{protocol.name}: {protocol.sampling} sampling does not go with the decoder {protocol.decoder}, "
            f"which takes {' or '.join(SAMPLINGS[protocol.decoder])}"
        )
    if protocol.decoder == "image":
        return _image_views(video_path, protocol, clip)
    return _video_views(video_path, protocol, clip)


def _video_views(path: str | Path, protocol: Protocol, clip: Clip) -> Views:
    """Prepare each frame when the first clip asks for it, and note which frames each clip is made of."""
    rows: dict[int, int] = {}  # decoding position -> row of `frames`
    frames: list[Tensor] = []
    shape = (protocol.clips, clip.frames)
    positions, pts, decode_positions = (torch.empty(shape, dtype=torch.int64) for _ in range(3))
    levels = _levels(protocol)
    to_rgb = VideoReformatter()  # setting one up takes longer than converting a frame
    with open_video(path) as video:
        for chosen in read_clips(video, protocol, clip):
            for frame in chosen.frames:
                if frame.position not in rows:
                    rows[frame.position] = len(frames)
                    frames.append(_prepare(_rgb(frame.picture, to_rgb, path), levels, protocol.short_side))
                    if frames[-1].shape != frames[0].shape:
                        raise VideoError(f"{path}: the picture changes its shape in the middle of the video")
            positions[chosen.number] = torch.tensor([rows[frame.position] for frame in chosen.frames])
            pts[chosen.number] = torch.tensor([frame.pts for frame in chosen.frames])
            decode_positions[chosen.number] = torch.tensor([frame.position for frame in chosen.frames])
    offsets, size = _crops(frames[0], protocol)
    return Views(torch.stack(frames), positions, offsets, size, pts, decode_positions)


def _rgb(picture: av.VideoFrame, to_rgb: VideoReformatter, path: str | Path) -> np.ndarray:
    """Convert a frame to RGB (H, W, 3), by swscale's defaults."""
    try:
        return to_rgb.reformat(picture, format="rgb24").to_ndarray()
    except av.FFmpegError as error:
        raise VideoError(
            f"{path}: its pictures ({picture.format.name}, {picture.width}x{picture.height}) cannot be converted to "
            f"RGB: {error.strerror}"
        ) from error


def _levels(protocol: Protocol) -> np.ndarray:
    """Return what each of the 256 levels of a channel becomes when it is normalised: (3, 256) float32."""
    levels = torch.arange(256, dtype=torch.float32).div_(255).expand(3, 1, 256)
    table: np.ndarray = normalise(levels, protocol.mean, protocol.std)[:, 0].numpy()
    return table


def _prepare(rgb: np.ndarray, levels: np.ndarray, short_side: int) -> Tensor:
    """Normalise a frame (H, W, 3) by looking its pixels up, which gives the same numbers sooner, and resize it."""
    pixels = np.stack([levels[channel][rgb[:, :, channel]] for channel in range(3)])
    return resize(torch.from_numpy(pixels)[None], short_side)[0]


def _image_views(path: str | Path, protocol: Protocol, clip: Clip) -> Views:
    """Make a clip of one frame from an image; here the reference normalises last."""
    if (protocol.clips, clip.frames) != (1, 1):
        raise UsageError(
            f"{protocol.name}: an image is 1 clip of 1 frame, not {protocol.clips} clips of {clip.frames} frames"
        )
    resized = resize(read_image(path)[None].float().div_(255), protocol.short_side)
    frames = normalise(resized, protocol.mean, protocol.std)
    offsets, size = _crops(frames[0], protocol)
    only = torch.zeros((1, 1), dtype=torch.int64)
    return Views(frames, positions=only, offsets=offsets, size=size, pts=only, decode_positions=only)


def _crops(frame: Tensor, protocol: Protocol) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return where the crops lie and how large they are; without a crop size, the whole frame is the only crop."""
    height, width = frame.shape[-2:]
    if protocol.crop is None:
        return [(0, 0)], (height, width)
    size = (protocol.crop, protocol.crop)
    if protocol.sampling == "segments" and protocol.crops == 1:  # the original counts its crops from the left here
        return crop_offsets(height, width, protocol.crop, crops=3)[:1], size
    return crop_offsets(height, width, protocol.crop, protocol.crops), size
