"""From a source of pictures to the frames of every clip of a test, each decoded once. Nothing here needs torch.

A process that only decodes imports this file; torch is imported where large frames are made smaller at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import av
import numpy as np
import numpy.typing as npt
import PIL
from av.video.reformatter import VideoReformatter

from videohub.data.clips import ClipFrames, read_clips, read_content, read_indexed
from videohub.data.decoded_images import UPRIGHT, Frame, Image, Orientation, Planar, orientation
from videohub.data.frame_formats import DECODERS, Decoder, Frames, FrameStore, MatrixChangedError, Room, own_memory
from videohub.data.frame_index import FrameIndex, MiscountedError
from videohub.data.geometry import boxes_in_pixels
from videohub.data.images import read_image, read_listed
from videohub.data.memory import Budget
from videohub.data.samples import FrameList, ImageFile, KeyFrame, Source, StoredFile, VideoFile, fetched, path_of
from videohub.data.sampling import keyframe_indices
from videohub.data.single_clip import read_numbered
from videohub.data.spec import TestSpec, check_source, list_indices
from videohub.data.video import Video, open_video, very_first
from videohub.data.video_info import Contradiction, Stamps, contradictions
from videohub.errors import VideoError
from videohub.protocols import KeyFrames, Protocol
from videohub.registry.schema import Clip


@dataclass(frozen=True, eq=False)
class Decoded:
    """The frames that any clip of a test uses, once each, and what every clip is made of.

    `frames` are kept as `planar` says, (N, bytes) uint8, or are RGB, (N, H, W, 3) uint8, or have been through all
    steps, (N, 3, h, w) float32: whichever takes the fewest bytes. In a list of images a frame's number in the list,
    from 0, is its time stamp and decoding position.
    """

    frames: Frames
    positions: npt.NDArray[np.int64]  # (clips, T): rows of `frames`
    pts: npt.NDArray[np.int64]  # (clips, T): time stamps, in ticks of the stream
    decode_positions: npt.NDArray[np.int64]  # (clips, T): which frame out of the decoder it was, from 0
    boxes: npt.NDArray[np.float32] | None  # (K, 4): x1, y1, x2, y2 in pixels of the resized frame; of key frames alone
    planar: Planar | None = None
    contradictions: tuple[Contradiction, ...] = ()  # of the video's header and its content


def decode(source: Source, protocol: Protocol, clip: Clip, *, decoder: Decoder = DECODERS[0]) -> Decoded:
    """Decode the frames that the clips of a test are made of; see `decode_shared`. Raises: VideoError, too."""
    (outcome,) = decode_shared(source, [TestSpec(protocol, clip)], decoder=decoder)
    if isinstance(outcome, VideoError):
        raise outcome
    return outcome


def decode_content(source: Source, protocol: Protocol, clip: Clip, *, number: int | None = None) -> Decoded:
    """Decode the frames that the clips of a test are made of, as the content of the source has them.

    A video is read as `read_content` does, and its pictures are turned upright; other sources are as in `decode`.
    With the `number` of a clip of a video, from 0, only that one is made, and nothing is decoded after it.
    Raises: VideoError, UsageError as `decode_shared`.
    """
    source = fetched(source)
    if not isinstance(source, VideoFile):
        return decode(source, protocol, clip)
    check_source(source, protocol, clip)
    spec = TestSpec(protocol, clip, number)
    with _memory_told(source):
        with suppress(MatrixChangedError):
            return _from_content(source.file, spec, DECODERS[0])
        return _from_content(source.file, spec, "exact")


def decode_shared(
    source: Source,
    specs: Sequence[TestSpec],
    *,
    decoder: Decoder = DECODERS[0],
    room: Room = own_memory,
    share: int = 1,
) -> list[Decoded | VideoError]:
    """Decode the frames that the clips of several tests are made of, and no more of a list than those.

    A video whose header contradicts its content is read as the original reads it, and the frames say so.
    Each test comes to what it would come to alone: damage that its clips do not reach is no matter. All that are
    decoded have the same frames, in the memory that was asked for last. Steps that `levels.apply` does are done.
    The memory that this takes is that of the frames, of one picture, and of what `read_clips` holds.

    Args:
        source: What to decode, once.
        specs: The tests, which must share their frames (`spec.check_shared`).
        decoder: "exact": RGB by swscale, as the original has it. "fast": planes, which the device converts into the
            same pixels, where that takes fewer bytes and a probe shows that swscale does just that here.
        room: Gives memory for the frames.
        share: How many sources this machine decodes at the same time; each may take so much of its free memory.
    Returns: for each test its frames, or why there are none: the source is empty, damaged, cut short, too large for
        the memory, or misses a frame; it is in a tar and cannot be had.
    Raises: UsageError if a protocol cannot be applied to such a source, or a video or image file is missing;
        FileChangedError if a tar is not the one whose index was read.
    """
    for spec in specs:
        check_source(source, spec.protocol, spec.clip)
    source = fetched(source)
    try:
        with _memory_told(source):
            return [*_together(source, specs, decoder, room, share)]
    except VideoError as error:
        together = VideoError(str(error))  # anew: tracebacks, its cause's too, would keep the pictures and this call
    if len(specs) == 1:
        return [together]
    alone = [decode_shared(source, [spec], decoder=decoder, room=room, share=share)[0] for spec in specs]
    whole = [spec for spec, outcome in zip(specs, alone, strict=True) if isinstance(outcome, Decoded)]
    if len(whole) == len(specs):
        return [together for _ in specs]  # only together do they take too much memory
    decoded = iter(decode_shared(source, whole, decoder=decoder, room=room, share=share) if whole else [])
    return [outcome if isinstance(outcome, VideoError) else next(decoded) for outcome in alone]


def _together(source: Source, specs: Sequence[TestSpec], decoder: Decoder, room: Room, share: int) -> list[Decoded]:
    if not isinstance(source, VideoFile):
        return _from_pictures(source, specs, room, Budget(share))
    with suppress(MatrixChangedError):  # its colours are tagged anew on the way
        return _from_video(source.file, specs, decoder, room, Budget(share))
    return _from_video(source.file, specs, "exact", room, Budget(share))


@contextmanager
def _memory_told(source: Source) -> Iterator[None]:
    """Say of a source whose frames do not fit into the memory that they do not."""
    try:
        yield
    except MemoryError as error:
        raise VideoError(f"{path_of(source)}: there is not enough memory for its frames; resize or crop it") from error


def decoder_versions() -> dict[str, str]:
    """Return which software decodes: PyAV and the FFmpeg libraries that it brings; Pillow for images."""
    libraries = {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
    ffmpeg = {name: libraries[name] for name in ("libavcodec", "libavformat", "libswscale")}
    return {"av": av.__version__, **ffmpeg, "pillow": PIL.__version__}


def _from_video(
    path: StoredFile, specs: Sequence[TestSpec], decoder: Decoder, room: Room, budget: Budget
) -> list[Decoded]:
    """Read a video as the original does; its own reader takes the first video stream, also if that is a cover."""
    with ExitStack() as stack:
        video = stack.enter_context(open_video(path))
        if video.info.cover_first and specs[0].protocol.frames.reach == "time_windows":
            video = stack.enter_context(open_video(path, very_first))
        video = replace(video, budget=budget)
        return _collected(video, read_clips(video, specs), specs, decoder, room)


def _from_content(path: StoredFile, spec: TestSpec, decoder: Decoder) -> Decoded:
    """Read a video as its content has it, which the time stamps of all packets tell before one is decoded."""
    collected = partial(_collected, specs=[spec], decoder=decoder, room=own_memory, turn=True)
    with open_video(path) as video:
        index = FrameIndex(video)
        stamps = video.stamps(index.take)
        if index.is_complete(stamps):
            with suppress(MiscountedError):
                if clips := read_indexed(video, spec, stamps, index):
                    return collected(video, clips, stamps=stamps)[0]
    with open_video(path) as video:
        clips = read_content(video, spec, stamps)
        return collected(video, clips, stamps=None if spec.number is None else stamps)[0]


def _collected(
    video: Video,
    clips: Iterator[ClipFrames],
    specs: Sequence[TestSpec],
    decoder: Decoder,
    room: Room,
    *,
    turn: bool = False,
    stamps: Stamps | None = None,
) -> list[Decoded]:
    """Keep each frame when the first clip asks for it, and note which frames each clip is made of.

    `stamps` are those of all packets, where only a part of the video is read.
    """
    rows: dict[int, int] = {}  # decoding position -> row of the store
    shapes = [(len(spec.numbers), spec.clip.frames) for spec in specs]
    store = FrameStore(
        video.path, specs[0].protocol, sum(map(math.prod, shapes)), decoder=decoder, room=room, budget=video.budget
    )
    numbers = [(np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape, np.int64)) for shape in shapes]
    to_rgb = VideoReformatter()
    turned: Orientation | None = None  # what the first picture says, for all: asking each takes a twentieth of the time
    for chosen in clips:
        for frame in chosen.frames:
            if frame.position not in rows:
                turned = orientation(frame.picture) if turned is None else turned
                picture = Frame(frame.picture, to_rgb, video.path, turned if turn else UPRIGHT)
                rows[frame.position] = store.add(picture)
        positions, pts, decode_positions = numbers[chosen.spec]
        place = specs[chosen.spec].numbers.index(chosen.number)
        positions[place] = [rows[frame.position] for frame in chosen.frames]
        pts[place] = [frame.pts for frame in chosen.frames]
        decode_positions[place] = [frame.position for frame in chosen.frames]
    kinds = contradictions(video.info, stamps or video.stamps(), turned or UPRIGHT)
    return [
        Decoded(store.frames(), *arrays, boxes=None, planar=store.planar, contradictions=kinds) for arrays in numbers
    ]


def _from_pictures(
    source: ImageFile | FrameList | KeyFrame, specs: Sequence[TestSpec], room: Room, budget: Budget
) -> list[Decoded]:
    """Keep the pictures that tests use, each once, and bring boxes to the protocols' size."""
    pictures, tests = _pictures(source, specs)
    rows = {index: row for row, index in enumerate(_used(tests))}
    protocol, size = specs[0].protocol, (0, 0)
    store = FrameStore(path_of(source), protocol, most=len(rows), room=room, budget=budget)
    for picture in pictures:
        size = (picture.shape[0], picture.shape[1])
        store.add(Image(picture))
    boxes = boxes_in_pixels(source.boxes, *size, protocol) if isinstance(source, KeyFrame) else None
    positions = [np.array([[rows[index] for index in of_clip] for of_clip in clips], np.int64) for clips in tests]
    numbers = [np.array(clips, np.int64) for clips in tests]
    return [
        Decoded(store.frames(), places, pts=each, decode_positions=each, boxes=boxes)
        for places, each in zip(positions, numbers, strict=True)
    ]


_Tests: TypeAlias = list[list[list[int]]]  # of each test the clips, of each clip its frames


def _pictures(
    source: ImageFile | FrameList | KeyFrame, specs: Sequence[TestSpec]
) -> tuple[Iterable[npt.NDArray[np.uint8]], _Tests]:
    """Return the pictures that tests take, as `_used` orders them, and which of all each clip takes."""
    if isinstance(source, ImageFile):
        return [read_image(source.file)], [[[0]] for _ in specs]
    if isinstance(source, FrameList):
        tests = [list_indices(spec.protocol, spec.clip, len(source)) for spec in specs]
        return read_listed(source, _used(tests)), tests
    rules = [spec.protocol.frames for spec in specs]
    centres = [source.centre + (rule.shift if isinstance(rule, KeyFrames) else 0) for rule in rules]

    def around(num_frames: int) -> _Tests:
        clips = zip(centres, (spec.clip for spec in specs), strict=True)
        return [[keyframe_indices(centre, frames=clip.frames, sampling_rate=clip.sampling_rate, num_frames=num_frames)]
                for centre, clip in clips]  # fmt: skip

    if isinstance(source.frames, FrameList):
        tests = around(len(source.frames))
        return read_listed(source.frames, _used(tests)), tests
    path, tests = source.frames.file, _Tests()

    def needed(num_frames: int) -> list[int]:
        if max(centres) >= num_frames:
            raise VideoError(
                f"{path}: its {num_frames} frames end before number {source.centre + 1}, where people are annotated; "
                "it is cut short, or another video"
            )
        tests[:] = around(num_frames)
        return _used(tests)

    return read_numbered(path, needed), tests


def _used(tests: _Tests) -> list[int]:
    """Return each frame that any clip of any test takes once, in the order in which they take them."""
    return list(dict.fromkeys(index for clips in tests for of_clip in clips for index in of_clip))
