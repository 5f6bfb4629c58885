"""What the header of a video states, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

# Headers round: the stated end of a whole file may lie this many frames after the end of its last packet.
END_TOLERANCE = 2

REFUSED = "the original's reader refuses it"  # how the reason begins that such a video fails with


@dataclass(frozen=True)
class VideoInfo:
    """What the container states about a video stream; nothing here has been checked by decoding.

    `frames` is 0 and `duration` None where the container does not say (Matroska states neither, MPEG-TS no count).
    `duration` and `start` count ticks of `time_base`; rates are in frames per second, and None where there is none.
    """

    frames: int
    average_rate: Fraction | None
    duration: int | None
    time_base: Fraction
    width: int
    height: int
    guessed_rate: Fraction | None = None  # what FFmpeg makes of the codec's rate and the first stamps
    start: int | None = None  # the first time stamp
    tag_seconds: float | None = None  # the stream's length, as a tag beside it has it (Matroska)
    file_seconds: float | None = None  # the length of the whole file, sound included
    cover: bool = False  # the stream is a cover picture
    cover_first: bool = False  # the file's first video stream is one
    reordered: bool = False  # frames are stored in another order than they are shown in, and no stamp tells which

    @property
    def rate(self) -> Fraction | None:
        """Return the average rate, or the guessed one where that is missing."""
        return self.average_rate or self.guessed_rate


def refusal(info: VideoInfo) -> str | None:
    """Return why the original's reader of video files ends with an error, whatever the file holds; None if it does not.

    Source: it takes the first video stream, makes a number of its average rate, and divides its duration, if it has
    one, by its count of frames.
    """
    what = "its first video stream, a cover picture," if info.cover else "its header"
    if info.average_rate is None:
        return f"{what} states no frame rate on average"
    if info.duration is not None and not info.frames:
        return f"{what} states a duration and 0 frames, by which the original divides"
    return None
