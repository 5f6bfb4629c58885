"""What the protocol of a record expects of a data set; only what a source states, and null elsewhere."""

from __future__ import annotations

import msgspec

from videohub.registry.datasets import Split
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


def expected(record: Record) -> Expected:
    """Return what a record's protocol expects of its data set."""
    protocol, clip, dataset = record.protocol, record.clip, record.dataset
    split = dataset.splits.get(protocol.split, Split())
    return Expected(
        dataset=protocol.dataset,
        split=protocol.split,
        samples=split.samples,
        videos=split.videos,
        source=split.source,
        classes=record.model.num_classes,
        resized_to=dataset.resized_to,
        original_size=dataset.original_size,
        fps=dataset.fps,
        longest_s=dataset.longest_s,
        clip_frames=protocol.frames.span(clip.frames, clip.sampling_rate),
    )
