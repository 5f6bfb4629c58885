"""One clip of a video, from its middle or from anywhere: which frames it takes, and decoding no more than it needs.

Training takes one clip a video where a test takes several, so a video is sought to the clip, and what the clip does not
need is not decoded where the codec can do without it. What counts is the content of the video, as in `predict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from itertools import islice, pairwise
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from videohub.data.clips import CONTENT_HELD_BYTES, counted, numbered_clips
from videohub.data.decoded_images import UPRIGHT, Frame, check_size, orientation
from videohub.data.frame_index import Packet, from_packet, packet_of
from videohub.data.images import read_image, read_listed
from videohub.data.samples import FrameList, ImageFile, KeyFrame, Source, StoredFile, fetched, path_of
from videohub.data.sampling import frame_positions, segment_borders, shown_at
from videohub.data.spec import WINDOW_RULES, TestSpec, list_indices, needed_source
from videohub.data.video import Video, bytes_of, changed, open_video
from videohub.data.video_info import true_info
from videohub.errors import UsageError, VideoError
from videohub.protocols import SKIPS, FrameRule, Protocol
from videohub.registry.schema import Clip

Draw: TypeAlias = Callable[[], float]  # a number from 0 to below 1
Pictures: TypeAlias = npt.NDArray[np.uint8]


def read_clip(source: Source, protocol: Protocol, clip: Clip, draw: Draw | None = None) -> Pictures:
    """Return the frames of one clip of a source, (T, H, W, 3) uint8 RGB, upright.

    Args:
        draw: Says where the clip lies; None: in the middle, with the frames that `predict` takes of a video.
    All packets of a video are looked at, and only those are decoded that the clip needs, from the key frame before it
    on. Where time stamps do not tell which frame is which, all are decoded.

    Raises: UsageError if there is no such file, or the source is a key frame with boxes; VideoError if it is damaged,
        cut short, empty, shorter than the protocol takes, or too large for the memory.
    """
    source = fetched(source)
    if isinstance(source, ImageFile):
        return np.repeat(read_image(source.file)[None], clip.frames, axis=0)
    if isinstance(source, FrameList):
        return _listed(source, clip_indices(protocol, clip, len(source), None, draw))
    if isinstance(source, KeyFrame):
        raise UsageError(f"{path_of(source)}: found a key frame with boxes, expected a video, frames or an image")

    def choose(video: Video, times: Sequence[int]) -> list[int]:
        stamps = video.read.stamps()
        if draw is None:
            middle, number = protocol.middle_view()
            numbered = numbered_clips(video.info, TestSpec(middle, clip), stamps, sorted(times))
            if numbered is not None:
                return numbered[number]
        rate = true_info(video.info, stamps).rate
        indices = clip_indices(protocol, clip, len(times), float(rate) if rate else None, draw)
        return shown_at(indices, times) if stamps.ordered and stamps.uneven else indices

    clip_of = _sought(source.file, choose)
    return _from_start(source.file, choose) if clip_of is None else clip_of


def read_numbered(path: StoredFile, indices_of: Callable[[int], list[int]]) -> Pictures:
    """Return frames of a video by their numbers, (T, H, W, 3) uint8 RGB, upright; see `read_clip`.

    They are numbered in the order of their time stamps, as the original's are, whatever the decoder's order is.
    `indices_of` is told how many there are, and gives the numbers of those that are wanted, from 0.
    Raises: as `read_clip`.
    """

    def of_decoded(video: Video, times: Sequence[int]) -> list[int]:
        in_time = sorted(range(len(times)), key=times.__getitem__)
        return [in_time[index] for index in indices_of(len(times))]

    clip_of = _sought(path, lambda video, times: indices_of(len(times)))
    return _from_start(path, of_decoded) if clip_of is None else clip_of


# --- which frames ----------------------------------------------------------------------------------------------------


def clip_indices(
    protocol: Protocol, clip: Clip, num_frames: int, fps: float | None, draw: Draw | None = None
) -> list[int]:
    """Return the frames of one clip, (T,), of all frames of a video in order of time.

    A clip is as long, and its frames as far apart, as each clip of the protocol's test is. Where a clip covers all of a
    video (`segments`, `uniform`, `interleaved`, `part_windows`), a frame is drawn from each part, or is the test's.

    Args:
        num_frames: Length of the video, at least 1.
        fps: Its frame rate; None where nothing tells it.
        draw: Says where the clip begins, evenly over all places where it fits; None: in the middle.
    Raises: VideoError if the rule refuses a video that is too short; UsageError if it takes no clips of videos.
    Source: PySlowFast's training draws the start of Kinetics' clips from [0, length - span], and of each segment of
        Something-Something a frame, both borders included.
    """
    rule = protocol.frames
    if rule.spacing == "given":
        raise UsageError(f"{protocol.name}: {needed_source(rule)}; a video and a list of frames are none")
    if rule.reach in ("time_windows", "time_stamps"):
        return _in_window(rule, clip, num_frames, fps, draw)
    if draw is None:
        middle, number = protocol.middle_view()
        return list_indices(middle, clip, num_frames, fps)[number]
    if rule.spacing == "parts":
        borders = segment_borders(num_frames, clip.frames)
        return [low + int(draw() * (high - low + 1)) for low, high in pairwise(borders)]
    distance = clip.sampling_rate * _ratio(rule, fps)
    steps = np.arange(clip.frames) * distance
    if rule.spacing == "span":
        steps = np.linspace(0, max(1, clip.frames * distance) - 1, clip.frames)
    offsets = [math.floor(step) for step in steps]
    room, past_end = num_frames - 1 - offsets[-1], _past_end(rule)
    if room < 0 and past_end == "refuse":
        raise VideoError(f"its {num_frames} frames are fewer than a clip takes; {rule.name} sampling {SKIPS}")
    if room < 0 and past_end == "stretch":
        return frame_positions(0, num_frames, clip.frames, num_frames)
    start = int(draw() * (max(room, 0) + 1))
    if past_end == "loop":
        return [(start + offset) % num_frames for offset in offsets]
    return [min(start + offset, num_frames - 1) for offset in offsets]


def _in_window(rule: FrameRule, clip: Clip, num_frames: int, fps: float | None, draw: Draw | None) -> list[int]:
    """Return the frames of a clip that is a stretch of time, whose frames are spread over those that lie within."""
    span, stretched = clip.frames * clip.sampling_rate * _ratio(rule, fps), _past_end(rule) == "stretch"
    if stretched:  # of a shorter video a clip takes all
        span = min(span, num_frames)
    if draw is None:
        middle, clips, number = rule.middle()
        start = WINDOW_RULES[type(middle)](num_frames, span, clips)[number]
    else:
        start = draw() * max(num_frames - span, 0)
    first = min(math.ceil(start), num_frames - 1)
    within = num_frames - first
    if stretched:
        span = within = max(1, min(within, math.ceil(start + span) - first))
    return [first + offset for offset in frame_positions(0, max(span, 1), clip.frames, within)]


def _past_end(rule: FrameRule) -> str:
    """Return what a rule does with a clip that is longer than the video."""
    return str(getattr(rule, "past_end", "repeat"))


def _ratio(rule: FrameRule, fps: float | None) -> float:
    """Return how many frames of the source pass for one at the rate that distances refer to."""
    target = getattr(rule, "fps", None)
    return fps / target if fps and target else 1.0


# --- decoding them ---------------------------------------------------------------------------------------------------

_Choose: TypeAlias = Callable[[Video, Sequence[int]], list[int]]  # time stamps of all frames -> which are taken


# Whose frames without reference no other frame needs. HEVC calls some so that finer layers of time refer to.
_SKIPPABLE = ("h264", "mpeg4", "mpeg1video", "mpeg2video", "vp8", "vp9")


def _listed(source: FrameList, indices: list[int]) -> Pictures:
    """Read the images of a list that a clip takes, each once."""
    used = sorted(set(indices))
    pictures = dict(zip(used, read_listed(source, used), strict=True))
    return np.stack([pictures[index] for index in indices])


def _sought(path: StoredFile, choose: _Choose) -> Pictures | None:
    """Decode a clip from the key frame before it on; None where the stamps do not tell which frame is which."""
    with open_video(path) as video:
        packets = _packets(video)
        times = sorted(packet.time for packet in packets if packet.time is not None)
        if not times or len(times) < len(packets) or not video.read.stamps().ordered or video.info.reordered:
            return None
        chosen = [times[index] for index in choose(video, times)]
        pictures = _shown(video, packets, set(chosen))
        return None if pictures is None else _rgb(video, pictures, chosen)


def _from_start(path: StoredFile, choose: _Choose) -> Pictures:
    """Decode all frames to count them, and again for those of a clip if they were too many to be held meanwhile.

    The decoder says which comes after which.
    """
    with open_video(path) as video:
        stamps, held = counted(video.numbered_frames(), CONTENT_HELD_BYTES)
        chosen = choose(video, [time for time, _ in stamps])
        if held is not None:
            return _rgb(video, {frame.position: frame.picture for frame in held}, chosen)
    with open_video(path) as video:
        needed = set(chosen)
        taken = islice((frame for frame in video.numbered_frames() if frame.position in needed), len(needed))
        pictures = {frame.position: frame.picture for frame in taken}
        if len(pictures) == len(needed):
            return _rgb(video, pictures, chosen)
    raise changed(path)


def _packets(video: Video) -> list[Packet]:
    """Return what all packets of pictures that are shown say, and decode none of them. Raises: VideoError."""
    packets = []
    try:
        for packet in video.container.demux(video.stream):
            video.read.take(packet)
            if packet.size and not packet.is_discard:
                packets.append(packet_of(packet))
    except av.FFmpegError as error:
        raise VideoError(f"{video.path}: damaged after {len(packets)} frames: {error.strerror}") from error
    video.check_end()
    return packets


def _shown(video: Video, packets: Sequence[Packet], needed: Collection[int]) -> dict[int, av.VideoFrame] | None:
    """Decode the frames with these time stamps, from the last key frame on that is shown no later than the first.

    Frames that neither the clip nor another frame needs are skipped. None where seeking does not lead there, a packet
    is damaged, or one of the frames does not come out whole: then only decoding all tells what is so.
    """
    first = min(needed)
    begin = max((place for place, packet in enumerate(packets)
                 if packet.is_keyframe and packet.time is not None and packet.time <= first), default=0)  # fmt: skip
    decoder: Any = video.stream.codec_context
    skippable = decoder.name in _SKIPPABLE
    decoded: dict[int, av.VideoFrame] = {}
    try:
        for packet in from_packet(video, packets, begin):
            time = packet_of(packet).time
            decoder.skip_frame = "NONREF" if skippable and time is not None and time not in needed else "DEFAULT"
            for picture in packet.decode():
                if picture.pts is not None and picture.pts in needed and not picture.is_corrupt:
                    decoded[picture.pts] = picture
            if len(decoded) == len(needed):
                return decoded
    except av.FFmpegError:
        return None
    return None


def _rgb(video: Video, pictures: dict[int, av.VideoFrame], chosen: Sequence[int]) -> Pictures:
    """Return the chosen pictures, (T, H, W, 3), in their order; each is converted once."""
    first = pictures[chosen[0]]
    turned, to_rgb = orientation(first) or UPRIGHT, VideoReformatter()
    height, width = turned.size(first.height, first.width)
    size = len(chosen) * height * width * 3
    video.budget.check(
        video.path, size + bytes_of(first) * len(pictures), f"a clip of {len(chosen)} frames of {width}x{height}"
    )
    clip = np.empty((len(chosen), height, width, 3), np.uint8)
    rows: dict[int, int] = {}
    for row, key in enumerate(chosen):
        if key in rows:
            clip[row] = clip[rows[key]]
            continue
        frame = Frame(pictures[key], to_rgb, video.path, turned)
        check_size(frame, (height, width), video.path)
        clip[row] = frame.rgb()
        rows[key] = row
    return clip
