"""A record's test as a picture: which frames of a video of ten seconds each clip takes, and the crops on a frame.

Both are computed by the code that tests: `read_clips` reads a pretended video, and `squares` cuts a pretended frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from html import escape
from pathlib import Path

from videohub.data.clips import read_clips
from videohub.data.geometry import Square, resized_size, squares
from videohub.data.sampling import keyframe_indices
from videohub.data.spec import TestSpec
from videohub.data.video import DecodedFrame, Video
from videohub.data.video_info import VideoInfo
from videohub.protocols import KeyFrames, Protocol
from videohub.registry.schema import Clip, DatasetInfo

SECONDS = 10
USUAL_RATE = 30.0  # frames a second, of data sets that state none
FRAME = (256, 340)  # height and width of a frame of 4:3, as most copies of Kinetics have them

WIDTH, COLUMN, MARGIN = 480, 62, 10  # of the strip, of the names of clips beside it, and of the rest, in its own units


@dataclass(frozen=True)
class PretendedVideo(Video):
    """A video of so many frames that nobody sees; it stands in for a file that was opened."""

    path: Path = Path("pretended")
    container: None = None
    stream: None = None
    info: VideoInfo = field(kw_only=True)

    def frames(self):
        """Yield each frame, in order of time; a tick is a frame."""
        for number in range(self.info.frames):
            yield DecodedFrame(number, number, _Picture())


class _Picture:
    """A picture without pixels."""

    width, height, planes = FRAME[1], FRAME[0], ()


@dataclass(frozen=True)
class ShownTest:
    """What a test takes of a video of ten seconds and of a frame, in numbers."""

    protocol: Protocol
    clip: Clip
    rate: float  # frames a second of the pretended video

    @classmethod
    def of(cls, protocol: Protocol, clip: Clip, dataset: DatasetInfo) -> ShownTest:
        """Return the test of a record, on a video at its data set's rate."""
        return cls(protocol, clip, dataset.fps or USUAL_RATE)

    @property
    def num_frames(self) -> int:
        """Of the video; an image is one."""
        return 1 if self.protocol.scored == "image" else round(SECONDS * self.rate)

    @property
    def moment(self) -> int | None:
        """The key frame in the middle of the video, where a test goes by key frames."""
        return self.num_frames // 2 if isinstance(self.protocol.frames, KeyFrames) else None

    @cached_property
    def clips(self) -> list[list[int]]:
        """The frames of each clip, counted from 0."""
        rule, clip = self.protocol.frames, self.clip
        if self.protocol.scored == "image":
            return [[0]]
        if isinstance(rule, KeyFrames):
            centre = (self.moment or 0) + rule.shift
            return [keyframe_indices(centre, frames=clip.frames, sampling_rate=clip.sampling_rate,
                                     num_frames=self.num_frames)]  # fmt: skip
        rate = Fraction(self.rate).limit_denominator(1001)
        info = VideoInfo(self.num_frames, rate, self.num_frames, 1 / rate, *reversed(FRAME))
        result = read_clips(PretendedVideo(info=info), [TestSpec(self.protocol, clip)])
        return [[frame.position for frame in each.frames] for each in sorted(result, key=lambda each: each.number)]

    @property
    def resized(self) -> tuple[int, int]:
        """Height and width of a frame of 340 x 256 once it is resized, in pixels."""
        return resized_size(*FRAME, self.protocol.whole_frame_steps)

    @property
    def crops(self) -> tuple[list[Square], tuple[int, int]]:
        """The squares that are cut from it, and how large each is, in pixels."""
        return squares(*self.resized, self.protocol)

    def frames_in_words(self) -> str:
        """Return what the strip shows, as a sentence or two."""
        if self.protocol.scored == "image":
            return "The network is given an image: one clip of one frame."
        video = f"a video of {SECONDS} seconds at {self.rate:g} frames a second (frames 0 to {self.num_frames - 1})"
        if self.moment is not None:
            what = f"Around the key frame {self.moment} of {video}, the clip takes"
            return f"{what} {_frames(self.clips[0])}."
        first, last = self.clips[0], self.clips[-1]
        if len(self.clips) == 1:
            return f"Of {video}, the only clip takes {_frames(first)}{self._seconds(first)}."
        return (
            f"Of {video}, each of {len(self.clips)} clips takes {_counted(first)}. The first one takes "
            f"{_numbers(first)}{self._seconds(first)}; the last one {_numbers(last)}{self._seconds(last)}."
        )

    def crops_in_words(self) -> str:
        """Return what is cut from a frame, as a sentence or two."""
        (height, width), (places, size) = self.resized, self.crops
        given = f"A frame of {FRAME[1]} x {FRAME[0]} pixels"
        kept = "keeps its size" if (height, width) == FRAME else f"becomes {width} x {height}"
        if self.protocol.crop_size is None:
            boxes = ", with the boxes of the people in it" if self.moment is not None else ""
            return f"{given} {kept}, and the network sees all of it{boxes}."
        where = "; ".join(
            f"{name} at x {square.left}, y {square.top}" for name, square in zip(self.crop_names(), places, strict=True)
        )
        cut = (
            f"{len(places)} squares of {size[1]} x {size[0]} are"
            if len(places) > 1
            else f"a square of {size[1]} x {size[0]} is"
        )
        return f"{given} {kept}, and {cut} cut out: {where}."

    def crop_names(self) -> list[str]:
        """Return what each crop of a frame that is wider than high is called."""
        return [_ACROSS.get(place, place.replace("_", " ")) for place in self.protocol.views.crops]

    def _seconds(self, frames: Sequence[int]) -> str:
        """Return from when to when, and what becomes of a clip that is longer than the rest of the video."""
        begin, end = min(frames) / self.rate, (max(frames) + 1) / self.rate
        if len(runs(frames)) > 1 and getattr(self.protocol.frames, "past_end", "") == "loop":
            return f" (from {frames[0] / self.rate:.2f} s on and, past the end, from the beginning on)"
        repeated = ", the last frame repeated" if frames.count(self.num_frames - 1) > 1 else ""
        return f" ({begin:.2f} to {end:.2f} s{repeated})"


_ACROSS = {"start": "left", "end": "right"}  # of a frame that is wider than high


def picture(shown: ShownTest) -> str:
    """Return the strip and the crops as HTML, with what they show in words and the number of every frame."""
    words = f"{shown.frames_in_words()} {shown.crops_in_words()}"
    strip = "" if shown.protocol.scored == "image" else _strip(shown)
    return (
        f'<figure class="protocol">{strip}{_crops(shown)}'
        f"<figcaption>{escape(words)}</figcaption></figure>{_all_numbers(shown)}"
    )


def rows(clips: Sequence[Sequence[int]]) -> list[tuple[str, list[int]]]:
    """Return the rows of the strip: a label, and the frames of a clip, or of several clips of one frame each.

    Those share a row as long as they go on in time.
    """
    if any(len(clip) > 1 for clip in clips):
        return [(str(number), list(clip)) for number, clip in enumerate(clips, start=1)]
    packed: list[tuple[int, list[int]]] = []
    for number, (frame,) in enumerate(clips, start=1):
        if packed and packed[-1][1][-1] < frame:
            packed[-1][1].append(frame)
        else:
            packed.append((number, [frame]))
    return [
        (f"{first}–{first + len(frames) - 1}" if len(frames) > 1 else str(first), frames) for first, frames in packed
    ]


def runs(frames: Sequence[int]) -> list[list[int]]:
    """Return a clip's frames as runs that go on in time.

    There are several of a clip that goes round the end of the video, and of one that is made of parts which overlap.
    """
    result: list[list[int]] = [[frames[0]]]
    for frame in frames[1:]:
        if frame < result[-1][-1]:
            result.append([])
        result[-1].append(frame)
    return result


def _strip(shown: ShownTest) -> str:
    """Return the strip: time from left to right, a row for each clip, a tick for each frame that it takes."""
    lines = rows(shown.clips)
    left, high = (COLUMN if len(lines) > 1 else MARGIN), (20 if len(lines) <= 12 else 14)
    step, top = (WIDTH - left - MARGIN) / shown.num_frames, 24
    bottom = top + high * len(lines)

    def at(frame: float) -> float:
        return left + frame * step

    def bar(kind: str, begin: int, end: int, y: int) -> str:
        return (
            f'<rect class="{kind}" x="{at(begin):.1f}" y="{y}" width="{(end - begin) * step:.1f}" height="{high - 4}"/>'
        )

    parts = ['<text x="0" y="15">clip</text>'] if len(lines) > 1 else []
    for second in range(0, SECONDS + 1, 2):
        x = at(second * shown.rate)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 4}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="15" text-anchor="{_ANCHORS.get(second, "middle")}">{second} s</text>')
    for row, (label, frames) in enumerate(lines):
        y = top + high * row + 2
        if len(lines) > 1:
            parts.append(f'<text x="0" y="{y + high - 7}">{label}</text>')
        ticks = "".join(f"M{at(frame + 0.5):.1f} {y}v{high - 4}" for frame in sorted(set(frames)))
        parts += [bar("video", 0, shown.num_frames, y), *(bar("reach", run[0], run[-1] + 1, y) for run in runs(frames))]
        parts.append(f'<path class="frames" d="{ticks}" stroke-width="{max(0.85 * step, 1):.2f}"/>')
    if shown.moment is not None:
        x = at(shown.moment + 0.5)
        parts.append(f'<path class="moment" d="M{x:.1f} {bottom}v10m-4 -6l4 -4l4 4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 24}" text-anchor="middle">key frame</text>')
        bottom += 26
    title = escape(shown.frames_in_words())
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH} {bottom + 4}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
    )


_ANCHORS = {0: "start", SECONDS: "end"}  # of the seconds' texts at both ends


def _crops(shown: ShownTest) -> str:
    """Return a small picture of the resized frame for each crop, with the crop in it."""
    (height, width), (places, size) = shown.resized, shown.crops
    figures = []
    for name, square in zip(shown.crop_names(), places, strict=True):
        x, y = square.left, square.top
        mirrored = ""
        if square.mirrored:
            middle, reach = y + size[0] / 2, size[1] / 4
            centre = x + size[1] / 2
            mirrored = (
                f'<path class="mirror" d="M{centre - reach} {middle}h{2 * reach}m-20 -14l20 14l-20 14'
                f'M{centre - reach + 20} {middle - 14}l-20 14l20 14"/>'
            )
        drawn = (
            f'<svg viewBox="-2 -2 {width + 4} {height + 4}" role="img" aria-label="{escape(name)}">'
            f'<rect class="whole" width="{width}" height="{height}"/>'
            f'<rect class="crop" x="{x}" y="{y}" width="{size[1]}" height="{size[0]}"/>{mirrored}</svg>'
        )
        where = "" if shown.protocol.crop_size is None else f"<br>x {x}, y {y}"
        figures.append(f"<div>{drawn}<span>{escape(name)}{where}</span></div>")
    return f'<div class="crops">{"".join(figures)}</div>'


def _all_numbers(shown: ShownTest) -> str:
    """Return every clip's frames by number, folded away."""
    if shown.protocol.scored == "image":
        return ""
    lines = "".join(f"<tr><td>{label}</td><td>{_listed(frames)}</td></tr>" for label, frames in rows(shown.clips))
    return (
        "<details><summary>The number of every frame</summary>"
        f"<table><tr><th>clip</th><th>frames of {shown.num_frames}</th></tr>{lines}</table></details>"
    )


def _listed(frames: Sequence[int]) -> str:
    return ", ".join(map(str, frames))


def _counted(frames: Sequence[int]) -> str:
    return f"{len(frames)} frame{'s' * (len(frames) > 1)}"


def _frames(frames: Sequence[int]) -> str:
    return f"{_counted(frames)}: {_numbers(frames)}"


def _numbers(frames: Sequence[int]) -> str:
    """Return numbers of frames, of many the first ones and the last."""
    return _listed(frames) if len(frames) <= 8 else f"{_listed(frames[:3])}, …, {frames[-1]}"
