"""What the protocol of a record expects of a data set; only what a source states, and null elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from videohub.registry.schema import Record


class Expected(msgspec.Struct, frozen=True):
    """What the published number was measured on."""

    dataset: str
    split: str
    samples: int | None  # videos or images
    videos: int | None  # where a video holds many samples (AVA)
    source: str | None  # of these counts
    classes: int
    resized_to: int | None  # short side in pixels that videos were given beforehand
    original_size: bool  # frames must not have been made smaller
    fps: float | None  # frames per second of the reference's frames, where the protocol takes them as they are
    longest_s: float | None  # a longer video has not been cut to what its label is about
    clip_frames: int  # frames that one clip covers, at `fps` or at the protocol's own rate


@dataclass(frozen=True)
class _Facts:
    samples: int | None = None
    videos: int | None = None
    source: str | None = None
    resized_to: int | None = None
    original_size: bool = False
    fps: float | None = None
    longest_s: float | None = None


# Kinetics: clips last around 10 seconds (arXiv:1705.06950, arXiv:1808.01340); 5 more are allowed for careless cutting.
# The original's installation guide asks for a short side of 256 pixels, whatever the test crop. Kinetics-600 was given
# out in several sizes (28,313 and 29,793 among them), and no source says which one the zoo used; nor for Charades,
# whose frames are the official ones, 24 a second. Something-Something's frames were extracted at 30 a second.
_AVA = _Facts(
    videos=64,
    source="the data set's split for the ActivityNet challenge 2018: 235, 64 and 131 videos",
    original_size=True,
    fps=30,
)
_FACTS = {
    "kinetics400": _Facts(
        samples=19_761,
        source="the list of video-nonlocal-net",
        resized_to=256,
        longest_s=15,
    ),
    "kinetics600": _Facts(resized_to=256, longest_s=15),
    "ssv2": _Facts(samples=24_777, source="the list of VideoMAE V2's DATASET.md", fps=30),
    "charades": _Facts(fps=24),
    "ava_v2.1": _AVA,
    "ava_v2.2": _AVA,
    "imagenet1k": _Facts(samples=50_000, source="the announcement of ILSVRC 2012"),
}


def expected(record: Record) -> Expected:
    """Return what a record's protocol expects; for a data set that is not known here, only what the record says."""
    protocol, clip = record.protocol, record.clip
    facts = _FACTS.get(protocol.dataset, _Facts())
    if protocol.split != "val":  # the counts are those of validation sets
        facts = _Facts(resized_to=facts.resized_to, original_size=facts.original_size, fps=facts.fps)
    return Expected(
        dataset=protocol.dataset,
        split=protocol.split,
        samples=facts.samples,
        videos=facts.videos,
        source=facts.source,
        classes=record.model.num_classes,
        resized_to=facts.resized_to,
        original_size=facts.original_size,
        fps=facts.fps,
        longest_s=facts.longest_s,
        clip_frames=protocol.frames.span(clip.frames, clip.sampling_rate),
    )
