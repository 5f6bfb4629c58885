"""Turn what is said of files into findings about samples: how many, in words, and which."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from videohub.data.samples import ImageFile, KeyFrame, Sample
from videohub.formatting import counted
from videohub.preflight.findings import EXAMPLES, Finding
from videohub.preflight.looking import Probe
from videohub.preflight.targets import Target


@dataclass(frozen=True)
class Seen:
    """A file of the data set with what a look at it gave; no look where nothing is there."""

    target: Target
    probe: Probe | None


Said: TypeAlias = "Callable[[Probe], str | None]"  # a detail, if there is anything to be said


class Telling:
    """Makes findings about the samples of one data set."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        source = samples[0].source if samples else None
        self._noun = "image" if isinstance(source, ImageFile) else "video"
        if isinstance(source, KeyFrame):
            self._noun = "key frame"

    def missing(self, seen: Sequence[Seen]) -> Finding | None:
        """Return the finding that some samples are not there."""
        absent = [(number, one.target) for one in seen if one.target.missing for number in one.target.samples]
        why = _summed_up([target.missing or "" for _, target in absent])
        paths = {number: f"{os.fsdecode(target.job.path)}: {target.missing}" for number, target in absent}
        return self._finding("missing", paths, f"are not here: {why}", most=len(paths))

    def every(self, kind: str, seen: Sequence[Seen], said: Said, text: str) -> Finding | None:
        """Return a finding that names every sample and sums up the details, or None if there is no such sample."""
        touched = _touched(seen, said)
        return self._finding(kind, touched, f"{text}: {_summed_up(touched.values())}", most=len(touched))

    def some(self, kind: str, seen: Sequence[Seen], said: Said, text: str) -> Finding | None:
        """Return a finding that names the first samples."""
        return self._finding(kind, _touched(seen, said), text, most=EXAMPLES)

    def copies(self, groups: Sequence[Sequence[Target]]) -> Finding | None:
        """Return the finding that some files hold the bytes of others."""
        numbers = [sorted(number for target in group for number in target.samples) for group in groups]
        touched = {number: f"as {self._samples[group[0]].name}" for group in numbers for number in group[1:]}
        text = "hold the same bytes as another one"
        if unlike := sum(len({self._samples[number].truth for number in group}) > 1 for group in numbers):
            text += f"; in {counted(unlike, 'case')} their classes differ"
        return self._finding("copies", touched, text, most=EXAMPLES)

    def _finding(self, kind: str, touched: dict[int, str], text: str, *, most: int) -> Finding | None:
        if not touched:
            return None
        share = f"{len(touched):,} of {counted(len(self._samples), self._noun)}"
        names = {self._samples[number].name: touched[number] for number in sorted(touched)[:most]}
        return Finding(kind, len(touched), f"{share} {text}", grave=False, samples=names)


def _touched(seen: Sequence[Seen], said: Said) -> dict[int, str]:
    """Return what is said of each sample that anything is said of."""
    return {
        number: detail for one in seen if one.probe and (detail := said(one.probe)) for number in one.target.samples
    }


def _summed_up(details: Collection[str]) -> str:
    """Return the most frequent details with their counts."""
    counts = Counter(details).most_common(4)
    said = [detail if times == len(details) else f"{times:,} x {detail}" for detail, times in counts[:3]]
    return "; ".join(said + ["…"] * (len(counts) > 3))
