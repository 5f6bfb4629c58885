"""Which protocol can be applied to which source: asked before any file is opened."""

from __future__ import annotations

from videohub.data.samples import FrameList, ImageFile, KeyFrame, Source, VideoFile
from videohub.errors import UsageError
from videohub.registry.schema import Clip, Protocol

SAMPLINGS = {  # the rules that choose frames from what each decoder gives
    "pts_window": ("proportional", "offset"),
    "frame_list": ("segments", "spread", "keyframe"),
    "image": ("image",),
}
SOURCES: dict[str, tuple[type[Source], ...]] = {  # what each rule can choose from
    "proportional": (VideoFile,),
    "offset": (VideoFile,),
    "segments": (FrameList, VideoFile),
    "spread": (FrameList, VideoFile),
    "keyframe": (KeyFrame,),
    "image": (ImageFile,),
}
_IN_WORDS: dict[type[Source], str] = {
    VideoFile: "a video file",
    FrameList: "a list of frames",
    KeyFrame: "a key frame",
    ImageFile: "an image",
}


def check_rule(source: Source, protocol: Protocol, clip: Clip) -> None:
    """Refuse a protocol that contradicts itself or does not fit the source. Raises: UsageError, which says how."""
    sampling = protocol.sampling
    if sampling not in SAMPLINGS[protocol.decoder]:
        raise UsageError(
            f"{protocol.name}: {sampling} sampling does not go with the decoder {protocol.decoder}, "
            f"which takes {' or '.join(SAMPLINGS[protocol.decoder])}"
        )
    if not isinstance(source, SOURCES[sampling]):
        raise UsageError(f"{protocol.name}: {_needed(sampling)}; {_IN_WORDS[type(source)]} is none")
    if sampling == "keyframe" and (protocol.clips, protocol.crops, protocol.crop) != (1, 1, None):
        raise UsageError(f"{protocol.name}: boxes need one clip of whole frames: clips 1, crops 1, no crop size")
    if sampling == "spread" and protocol.clips < 2:
        raise UsageError(
            f"{protocol.name}: clips spread from the first frame to the last are at least 2, not {protocol.clips}"
        )
    if sampling == "image" and (protocol.clips, clip.frames) != (1, 1):
        raise UsageError(
            f"{protocol.name}: an image is 1 clip of 1 frame, not {protocol.clips} clips of {clip.frames} frames"
        )


def _needed(sampling: str) -> str:
    """Say what a rule chooses from."""
    if sampling == "keyframe":
        return "this protocol needs key frames and the boxes of the people in them"
    return f"{sampling} sampling needs {' or '.join(_IN_WORDS[kind] for kind in SOURCES[sampling])}"
