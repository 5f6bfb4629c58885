"""From when on each frame of a video is shown, as its content has it, whatever its header says."""

from __future__ import annotations

from fractions import Fraction

from videohub.data.video_info import Stamps, VideoInfo, true_info


class FrameClock:
    """Gives the times of a video's frames, one after the other as the decoder gives them.

    Time stamps count where they tell the order of the frames. Where they repeat, go back or are missing, and from the
    first frame on that comes out of the decoder behind a later one (its stamps are those of the order of storage),
    frames come at even distances.
    """

    def __init__(self, info: VideoInfo, stamps: Stamps) -> None:
        true = true_info(info, stamps)
        self.rate: Fraction | None = true.average_rate  # frames a second
        self.first = 0  # time stamp of the first frame, in ticks
        self._tick, self._step = float(info.time_base), float(1 / self.rate) if self.rate else 0.0
        self._counted = not stamps.ordered or true.reordered
        self._end = stamps.end
        self._position, self._before = 0, -1.0

    def seconds(self, pts: int | None) -> float:
        """Return from when on the next frame is shown, in seconds from the first one; `pts` is its stamp, in ticks."""
        if self._position == 0:
            self.first = pts or 0
        seconds = 0.0
        if pts is not None and not self._counted:
            seconds = (pts - self.first) * self._tick
            self._counted = seconds <= self._before
        if pts is None or self._counted:
            seconds = max(self._position * self._step, self._before)
        self._position, self._before = self._position + 1, seconds
        return seconds

    def end(self) -> float | None:
        """Return until when the last frame is shown, in seconds from the first one; None where no stamp tells."""
        return None if self._counted or self._end is None else (self._end - self.first) * self._tick
