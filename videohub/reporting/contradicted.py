"""Videos whose header contradicts their content: which they are, and what a run comes to without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from videohub.data.header import REFUSED
from videohub.reporting.report import Contradicted, Failure
from videohub.runs import Joined


def contradicted(joined: Joined) -> list[Contradicted]:
    """Return the scored videos whose header contradicts their content; those that the original refuses have failed."""
    return [
        Contradicted(entry.name, dict(entry.contradictions))
        for entry in joined.entries.values()
        if entry.shape is not None and entry.contradictions
    ]


def without(joined: Joined, videos: Sequence[Contradicted]) -> Joined | None:
    """Return the run as if some videos had never been listed; None if no other video has scores."""
    names = {video.name for video in videos}
    kept = [index for index, name in enumerate(joined.truth.names) if name not in names]
    place = {index: number for number, index in enumerate(kept)}
    entries = {place[old]: replace(entry, index=place[old]) for old, entry in joined.entries.items() if old in place}
    if all(entry.shape is None for entry in entries.values()):
        return None
    truth, boxes = joined.truth, joined.truth.boxes
    return replace(
        joined,
        truth=msgspec.structs.replace(
            truth,
            names=[truth.names[index] for index in kept],
            classes=[truth.classes[index] for index in kept],
            boxes=None if boxes is None else [boxes[index] for index in kept],
        ),
        entries=entries,
        pending=[place[index] for index in joined.pending if index in place],
    )


def remark(
    videos: Sequence[Contradicted], verdict: str, numbers: Mapping[str, float], verdict_without: str | None
) -> str:
    """Return in a sentence how many such videos there are, and what the number and the verdict are without them.

    Args:
        videos: At least one.
        verdict: Of all videos.
        numbers: What the metrics are without these, in per cent.
        verdict_without: What the verdict would be; None if no other video was scored.
    """
    noun, them = ("video", "it") if len(videos) == 1 else ("videos", "them")
    found = (
        f"{len(videos):,} scored {noun} with a header that contradicts the content ({kinds_in_words(videos)}), read as "
        f"the original reads {them}"
    )
    if verdict_without is None:
        return f"{found}; no other video was scored"
    told = f"{found}; without {them} {', '.join(f'{metric} is {value:.2f}' for metric, value in numbers.items())}"
    if verdict_without == verdict:
        return f"{told} and the verdict is the same"
    return f"{told} and the verdict would be {verdict_without}: it hangs on {them}"


def remark_on_refused(failures: Iterable[Failure]) -> list[str]:
    """Return in a sentence how many videos failed because the original refuses their headers; nothing if none did."""
    refused = sum(f": {REFUSED}: " in failure.reason for failure in failures)
    if not refused:
        return []
    noun = (
        "video counts as failed because its header is one that"
        if refused == 1
        else ("videos count as failed because their headers are such that")
    )
    return [f"{refused:,} {noun} the original's reader refuses"]


def kinds_in_words(videos: Iterable[Contradicted]) -> str:
    """Return how often each kind occurs, the most frequent first."""
    times = Counter(kind for video in videos for kind in video.kinds)
    return ", ".join(
        f"{kind}: {count:,}" for kind, count in sorted(times.items(), key=lambda time: (-time[1], time[0]))
    )


def details(video: Contradicted) -> str:
    """Return a video's contradictions in one line."""
    return "; ".join(f"{kind}: {detail}" for kind, detail in video.kinds.items())
