"""Videos whose header contradicts their content, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from videohub.reporting.report import Contradicted


def kinds_in_words(videos: Iterable[Contradicted]) -> str:
    """Return how often each kind occurs, the most frequent first."""
    times = Counter(kind for video in videos for kind in video.kinds)
    return ", ".join(
        f"{kind}: {count:,}" for kind, count in sorted(times.items(), key=lambda time: (-time[1], time[0]))
    )


def details(video: Contradicted) -> str:
    """Return a video's contradictions in one line."""
    return "; ".join(f"{kind}: {detail}" for kind, detail in video.kinds.items())
