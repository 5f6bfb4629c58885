"""What a check of a data set gives: what was expected, figures, findings in words, and a verdict, ready for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from videohub.formatting import Spread
from videohub.registry.schema import Record, Split

Verdict: TypeAlias = Literal["ready", "usable, with remarks", "not usable"]

EXAMPLES = 10  # samples that a finding names where the list of all would say no more


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


def expected_of(record: Record) -> Expected:
    """Return what a record's protocol expects of its data set."""
    protocol, clip, dataset = record.protocol, record.clip, record.dataset
    split = dataset.splits.get(protocol.split, Split())
    on_own_list = split.lists_of.get(record.publisher or "")
    return Expected(
        dataset=protocol.dataset,
        split=protocol.split,
        samples=on_own_list or split.samples,
        videos=split.videos,
        source=f"the list of {record.publisher}" if on_own_list else split.source,
        classes=record.num_classes,
        resized_to=dataset.resized_to,
        original_size=dataset.original_size,
        fps=dataset.fps,
        longest_s=dataset.longest_s,
        clip_frames=protocol.frames.span(clip.frames, clip.sampling_rate),
    )


class Finding(msgspec.Struct, frozen=True):
    """One thing that a user should know: how many samples it touches, in words, and which.

    `samples` maps names to details. It is complete for samples that cannot be scored, so that they can be fetched
    again; elsewhere it holds the first ten.
    """

    kind: str
    count: int
    text: str
    fatal: bool = msgspec.field(name="grave", default=False)  # this alone makes the data unusable
    samples: dict[str, str] = msgspec.field(default_factory=dict)


class Classes(msgspec.Struct, frozen=True):
    """How often each class is right, by number of the network's output (AVA: rows of the ground truth)."""

    counts: list[int]
    empty: list[int]  # classes that are judged, and are never right


class Folders(msgspec.Struct, frozen=True):
    """What the folders that videos lie in say of their labels: the strongest proof that classes are in order.

    Where folders carry other names than classes do (WordNet ids), all that can be asked is whether sorted folders
    have ascending labels.
    """

    named: int  # samples whose folder is called as a class is
    agreeing: int  # of those, how many have that class's number
    shift: int | None  # all labels differ from the folder's class by this much: 1 where they count from 1
    sorted: bool | None  # where no folder is called as a class is


class Keyframes(msgspec.Struct, frozen=True):
    """AVA: the key frames, their boxes, and the ground truth that judges them."""

    videos: int
    key_frames: int
    boxes: int
    truth_rows: int
    truth_moments: int
    without_truth: int  # key frames where each detection counts as false
    without_boxes: int  # moments of the ground truth where nobody was detected
    beyond_end: int  # key frames whose centre lies beyond the list of frames


class Check(msgspec.Struct, frozen=True):
    """Everything found about one data set for one record."""

    record: str
    upstream_name: str
    data: str
    root: str | None
    data_sha256: str  # of what is asked and what is right
    expected: Expected
    listed: int
    found: int
    missing: int
    unreadable: int  # found, but no picture comes out, or (deep) not all of them
    usable: int
    short_sides: Spread | None  # pixels
    seconds: Spread | None
    frame_rates: dict[str, int]  # frames per second, rounded to hundredths -> videos
    portrait: float  # share of pictures that are higher than wide
    classes: Classes
    folders: Folders | None
    keyframes: Keyframes | None = msgspec.field(name="moments")
    findings: list[Finding]
    verdict: Verdict
    reasons: list[str]
    notes: list[str]  # of the reader of the lists, and on how this check was made
    deep: bool  # every frame was decoded
    looked_at: int  # videos, images or lists of frames that were opened now
    remembered: int  # those that an earlier check had opened, and that have not changed
    index: str | None  # where that is kept
    took_s: float


def verdict(findings: Sequence[Finding], listed: int) -> tuple[Verdict, list[str]]:
    """Return what the findings come to, and why, the worst first."""
    fatal = [finding.text for finding in findings if finding.fatal]
    others = [finding.text for finding in findings if not finding.fatal]
    if fatal:
        return "not usable", fatal + others
    if others:
        return "usable, with remarks", others
    return "ready", [f"all {listed:,} listed samples are here and what the protocol expects"]
