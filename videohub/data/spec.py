"""How a network is tested: on which sources that can be done, and which frames of them its protocol's rule takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import msgspec

from videohub import protocols as steps
from videohub.data import sampling
from videohub.data.samples import FrameList, ImageFile, KeyFrame, Source, VideoFile
from videohub.errors import UsageError, VideoError
from videohub.protocols import FrameRule, Protocol, Reach
from videohub.registry.schema import Clip


class TestSpec(msgspec.Struct, frozen=True):
    """A protocol, the clip that the network is given under it, and which of the test's clips are read."""

    __test__: ClassVar[bool] = False  # it is none of pytest's

    protocol: Protocol
    clip: Clip
    number: int | None = None  # of the only clip that is read, from 0; None: all are

    @property
    def numbers(self) -> Sequence[int]:
        """Return which clips are read."""
        return range(self.protocol.views.clips) if self.number is None else (self.number,)


def check_shared(specs: Sequence[TestSpec]) -> None:
    """Refuse specs that use different frames of the videos. Raises: UsageError, which says what differs."""
    first = specs[0].protocol
    for spec in specs[1:]:
        for (field, here), there in zip(_of_frames(first).items(), _of_frames(spec.protocol).values(), strict=True):
            if here != there:
                raise UsageError(
                    f"one pass over the videos serves protocols that use the same frames; {first.name} has {field} "
                    f"{here}, {spec.protocol.name} has {there}. Verify them one after the other"
                )


def _of_frames(protocol: Protocol) -> dict[str, str]:
    """Return what the frames of a video depend on; crops, clips and their lengths are cut from the same frames."""
    return {
        "dataset": protocol.dataset,
        "split": protocol.split,
        "frames": protocol.frames.reach.replace("_", " "),
        "pixels": "; ".join(step.in_words() for step in protocol.whole_frame_steps),
    }


SOURCES: dict[Reach, tuple[type[Source], ...]] = {  # what frames can be taken from
    "time_windows": (VideoFile,),
    "time_stamps": (VideoFile,),
    "frame_list": (FrameList, VideoFile),
    "key_frame": (KeyFrame,),
    "image": (ImageFile,),
}
_IN_WORDS: dict[type[Source], str] = {
    VideoFile: "a video file",
    FrameList: "a list of frames",
    KeyFrame: "a key frame",
    ImageFile: "an image",
}


def check_source(source: Source, protocol: Protocol, clip: Clip) -> None:
    """Refuse a test that contradicts itself or does not fit the source. Raises: UsageError, which says how."""
    for field, what, advice in protocol.flaws():
        raise UsageError(f"{protocol.name}: {'.'.join(map(str, field))} {what}. {advice}".rstrip())
    rule = protocol.frames
    if not isinstance(source, SOURCES[rule.reach]):
        raise UsageError(f"{protocol.name}: {needed_source(rule)}; {_IN_WORDS[type(source)]} is none")
    if rule.reach == "image" and clip.frames != 1:
        raise UsageError(f"{protocol.name}: an image is 1 clip of 1 frame, not of {clip.frames} frames")


def needed_source(rule: FrameRule) -> str:
    """Return, in words, what a rule chooses from."""
    if rule.reach == "key_frame":
        return "this protocol needs key frames and the boxes of the people in them"
    return f"{rule.name} sampling needs {' or '.join(_IN_WORDS[kind] for kind in SOURCES[rule.reach])}"


# --- the frames that a rule takes ------------------------------------------------------------------------------------

WINDOW_RULES: dict[type[FrameRule], Callable[[int, float, int], list[float]]] = {  # where clips start
    steps.Proportional: sampling.clip_starts,
    steps.Offset: sampling.offset_clip_starts,
    steps.Timed: sampling.clip_starts,  # where frames are counted; `timed_indices` says the same of time stamps
}
LIST_RULES: dict[type[FrameRule], Callable[..., list[int]]] = {
    steps.Segments: sampling.segment_indices,
    steps.Uniform: sampling.uniform_indices,
    steps.OffsetFrames: sampling.offset_indices,
    steps.TimedList: sampling.timed_list_indices,
    steps.Spread: sampling.spread_indices,
    steps.SpreadDown: sampling.spread_down_indices,
    steps.SpreadAtRate: sampling.spread_at_rate_indices,
    steps.SpreadResampled: sampling.spread_resampled_indices,
    steps.Windows: sampling.window_indices,
    steps.Interleaved: sampling.interleaved_indices,
    steps.Strided: sampling.strided_indices,
    steps.Dense: sampling.dense_indices,
    steps.Centres: sampling.centred_indices,
    steps.Resampled: sampling.resampled_indices,
    steps.PartWindows: sampling.part_window_indices,
}


def list_indices(protocol: Protocol, clip: Clip, num_frames: int, fps: float | None = None) -> list[list[int]]:
    """Return the frames of every clip of a test among all frames of a video, (clips, T), by the protocol's rule.

    Args:
        fps: Frame rate of the video, in frames per second; None where nothing tells it.
    Raises: VideoError if the rule refuses a video that is too short.
    """
    rule, clips = protocol.frames, protocol.views.clips
    frames_of = partial(LIST_RULES[type(rule)], num_frames, clips=clips, **_numbers(rule, fps))
    indices = [frames_of(frames=clip.frames, sampling_rate=clip.sampling_rate, clip=number) for number in range(clips)]
    past_end = getattr(rule, "past_end", "repeat")
    if past_end == "refuse" and not all(indices):
        raise VideoError(f"its {num_frames} frames are fewer than a clip takes; {rule.name} sampling {steps.SKIPS}")
    if past_end == "loop":
        return [[index % num_frames for index in of_clip] for of_clip in indices]
    return [[min(index, num_frames - 1) for index in of_clip] for of_clip in indices]


def _numbers(rule: FrameRule, fps: float | None) -> dict[str, Any]:
    """Return what a rule's function is given beside the video and the clip: its numbers; if it has a rate, both."""
    numbers = {name: getattr(rule, name) for name in rule.__struct_fields__ if name not in ("fps", "past_end")}
    target = getattr(rule, "fps", None)
    if target is None:
        return numbers
    return {**numbers, "fps": fps or target, "new_fps": target}  # images carry no rate; each of them is taken then
