"""How a network is tested: on which sources that can be done, and which networks share the frames of a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from videohub.data.samples import FrameList, ImageFile, KeyFrame, Source, VideoFile
from videohub.errors import UsageError
from videohub.protocols import FrameRule, Protocol, Reach
from videohub.registry.schema import Clip


class TestSpec(msgspec.Struct, frozen=True):
    """A protocol, and the clip that the network is given under it."""

    __test__: ClassVar[bool] = False  # it is none of pytest's

    protocol: Protocol
    clip: Clip


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
        raise UsageError(f"{protocol.name}: {_needed(rule)}; {_IN_WORDS[type(source)]} is none")
    if rule.reach == "image" and clip.frames != 1:
        raise UsageError(f"{protocol.name}: an image is 1 clip of 1 frame, not of {clip.frames} frames")


def _needed(rule: FrameRule) -> str:
    """Say what a rule chooses from."""
    if rule.reach == "key_frame":
        return "this protocol needs key frames and the boxes of the people in them"
    return f"{rule.name} sampling needs {' or '.join(_IN_WORDS[kind] for kind in SOURCES[rule.reach])}"
