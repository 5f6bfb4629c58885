"""From a source of pictures to the frames of every clip of a test, each decoded once. Nothing here needs torch.

A process that only decodes imports this file; torch is imported where large frames are made smaller at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import PIL
from av.video.reformatter import VideoReformatter

from videohub.data.clips import indices_in_list, read_clips
from videohub.data.frame_store import Frames, FrameStore
from videohub.data.images import read_image
from videohub.data.keyframes import boxes_in_pixels, shrink
from videohub.data.listed_frames import read_listed
from videohub.data.rules import check_rule
from videohub.data.samples import FrameList, ImageFile, KeyFrame, Source
from videohub.data.sampling import keyframe_indices
from videohub.data.video import open_video
from videohub.errors import VideoError
from videohub.registry.schema import Clip, Protocol

DECODER = "exact"  # the name of this path in reports: the original's frames and pixels


@dataclass(frozen=True, eq=False)
class Decoded:
    """The frames that any clip of a test uses, once each, and what every clip is made of.

    `frames` are RGB as decoded, (N, H, W, 3) uint8, or normalised and resized, (N, 3, h, w) float32, where those take
    fewer bytes. In a list of images a frame's number in the list, from 0, is its time stamp and decoding position.
    """

    frames: Frames
    positions: npt.NDArray[np.int64]  # (clips, T): rows of `frames`
    pts: npt.NDArray[np.int64]  # (clips, T): time stamps, in ticks of the stream
    decode_positions: npt.NDArray[np.int64]  # (clips, T): which frame out of the decoder it was, from 0
    boxes: npt.NDArray[np.float32] | None  # (K, 4): x1, y1, x2, y2 in pixels of the resized frame; AVA alone


def decode(source: Source, protocol: Protocol, clip: Clip) -> Decoded:
    """Decode the frames that the clips of a test are made of, and no more of a list than those.

    A key frame's pictures come resized already, for its protocol rounds them to 8 bits once more. The memory that
    this takes is that of the frames, of one picture, and of what `read_clips` holds.

    Raises: UsageError if the protocol cannot be applied to such a source, or a video or image file is missing;
        VideoError if the source is empty, damaged, cut short, too large for any machine's memory, or misses a frame.
    """
    check_rule(source, protocol, clip)
    if isinstance(source, ImageFile):
        return _from_image(source.path, protocol)
    if isinstance(source, FrameList):
        return _from_frame_list(source, protocol, clip)
    if isinstance(source, KeyFrame):
        return _from_key_frame(source, protocol, clip)
    return _from_video(source.path, protocol, clip)


def decoder_versions() -> dict[str, str]:
    """Return which software decodes: PyAV and the FFmpeg libraries that it brings; Pillow for images."""
    libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    ffmpeg = {name: libraries[name] for name in ("libavcodec", "libavformat", "libswscale")}
    return {"av": av.__version__, **ffmpeg, "pillow": PIL.__version__}


def _from_video(path: Path, protocol: Protocol, clip: Clip) -> Decoded:
    """Convert each frame when the first clip asks for it, and note which frames each clip is made of."""
    rows: dict[int, int] = {}  # decoding position -> row of the store
    shape = (protocol.clips, clip.frames)
    store = FrameStore(path, protocol, most=protocol.clips * clip.frames)
    positions, pts, decode_positions = (np.empty(shape, np.int64) for _ in range(3))
    to_rgb = VideoReformatter()  # setting one up takes longer than converting a frame
    with open_video(path) as video:
        for chosen in read_clips(video, protocol, clip):
            for frame in chosen.frames:
                if frame.position not in rows:
                    rows[frame.position] = store.add(_rgb(frame.picture, to_rgb, path))
            positions[chosen.number] = [rows[frame.position] for frame in chosen.frames]
            pts[chosen.number] = [frame.pts for frame in chosen.frames]
            decode_positions[chosen.number] = [frame.position for frame in chosen.frames]
    return Decoded(store.frames(), positions, pts, decode_positions, boxes=None)


def _rgb(picture: av.VideoFrame, to_rgb: VideoReformatter, path: Path) -> npt.NDArray[np.uint8]:
    """Convert a frame to RGB (H, W, 3), by swscale's defaults."""
    try:
        return np.asarray(to_rgb.reformat(picture, format="rgb24").to_ndarray(), np.uint8)
    except av.FFmpegError as error:
        raise VideoError(
            f"{path}: its pictures ({picture.format.name}, {picture.width}x{picture.height}) cannot be converted to "
            f"RGB: {error.strerror}"
        ) from error


def _from_frame_list(source: FrameList, protocol: Protocol, clip: Clip) -> Decoded:
    """Read the images that the rule chooses."""
    total = len(source)
    clips = [indices_in_list(protocol, clip, number, total) for number in range(protocol.clips)]
    rows = _rows(clips)
    store = FrameStore(source.folder, protocol, most=len(rows))
    for picture in read_listed(source, rows):
        store.add(picture)
    return _listed(store, clips, rows, boxes=None)


def _from_key_frame(source: KeyFrame, protocol: Protocol, clip: Clip) -> Decoded:
    """Read the images around the key frame, and bring them and the boxes to the protocol's size."""
    rate, total = clip.sampling_rate, len(source.frames)
    clips = [keyframe_indices(source.centre, frames=clip.frames, sampling_rate=rate, num_frames=total)]
    rows = _rows(clips)
    store = FrameStore(source.frames.folder, protocol, most=len(rows))
    for picture in read_listed(source.frames, rows):
        height, width = picture.shape[:2]
        store.add(shrink(picture, protocol.short_side))
    return _listed(store, clips, rows, boxes=boxes_in_pixels(source.boxes, height, width, protocol.short_side))


def _rows(clips: Sequence[Sequence[int]]) -> dict[int, int]:
    """Number the frames of clips in the order of their first use."""
    used = dict.fromkeys(index for of_clip in clips for index in of_clip)
    return {index: row for row, index in enumerate(used)}


def _listed(
    store: FrameStore, clips: Sequence[Sequence[int]], rows: dict[int, int], *, boxes: npt.NDArray[np.float32] | None
) -> Decoded:
    """Say what clips of a list are made of."""
    numbers = np.array(clips, np.int64)
    positions = np.array([[rows[index] for index in of_clip] for of_clip in clips], np.int64)
    return Decoded(store.frames(), positions, pts=numbers, decode_positions=numbers, boxes=boxes)


def _from_image(path: Path, protocol: Protocol) -> Decoded:
    """Make a clip of one frame from an image."""
    store = FrameStore(path, protocol, most=1)
    store.add(read_image(path))
    only = np.zeros((1, 1), np.int64)
    return Decoded(store.frames(), positions=only, pts=only, decode_positions=only, boxes=None)
