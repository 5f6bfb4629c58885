"""How the original gets the views of a test: for each of them it opens the video, seeks to the clip and decodes it.

Written anew in plain PyAV and torch, step by step as the original goes, and nothing cheaper: this is what our data
path is measured beside. That both give the same views is checked where it is measured.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from videohub.data.geometry import resized_size, squares
from videohub.data.sampling import clip_span, clip_starts, frame_positions, pts_window
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

_MARGIN = 1024  # ticks before the clip at which to look for a key frame


def read_view(path: Path, protocol: Protocol, clip: Clip, number: int) -> Tensor:
    """Return view `number` of a video, (3, T, H, W) float32; of a Kinetics protocol."""
    of_clip, of_crop = divmod(number, len(protocol.views.crops))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        span = clip_span(frames=clip.frames, sampling_rate=clip.sampling_rate, fps=rate, target_fps=protocol.fps)
        start = clip_starts(stream.frames, span, protocol.views.clips)[of_clip]
        first, last = pts_window(start, span, duration=stream.duration, num_frames=stream.frames)
        container.seek(max(first - _MARGIN, 0), any_frame=False, backward=True, stream=stream)
        window = {}
        for picture in container.decode(stream):
            if picture.pts >= first:
                window[picture.pts] = picture
            if picture.pts > last:
                break
        rgb = torch.from_numpy(np.stack([window[pts].to_rgb().to_ndarray() for pts in sorted(window)]))
    chosen = rgb[frame_positions(0, span, clip.frames, len(rgb))].float() / 255.0
    normal = (chosen - torch.tensor(protocol.normalise.mean)) / torch.tensor(protocol.normalise.std)
    clip_of_frames = normal.permute(3, 0, 1, 2)  # (3, T, H, W)
    height, width = resized_size(*clip_of_frames.shape[2:], protocol.whole_frame_steps)
    resized = F.interpolate(clip_of_frames, size=(height, width), mode="bilinear", align_corners=False)
    crops, (high, wide) = squares(height, width, protocol)
    top, left, _ = crops[of_crop]
    return resized[:, :, top : top + high, left : left + wide]


class EveryView(Dataset[Tensor]):
    """Every view of every video as an item of its own, decoded when it is asked for."""

    def __init__(self, paths: list[Path], protocol: Protocol, clip: Clip) -> None:
        self._paths, self._protocol, self._clip = paths, protocol, clip
        self._views = protocol.num_views

    def __len__(self) -> int:
        return len(self._paths) * self._views

    def __getitem__(self, index: int) -> Tensor:
        video, number = divmod(index, self._views)
        return read_view(self._paths[video], self._protocol, self._clip, number)


def scores(
    model: nn.Module, paths: list[Path], protocol: Protocol, clip: Clip, *, workers: int, batch: int = 1
) -> Tensor:
    """Return the probabilities of every view of every video, (videos, views, classes), as the original's loop does."""
    loader = DataLoader(EveryView(paths, protocol, clip), batch_size=batch, num_workers=workers)
    with torch.inference_mode():
        result = torch.cat([model(views).softmax(dim=1) for views in loader])
    return result.view(len(paths), protocol.num_views, -1)
