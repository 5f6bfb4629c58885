"""AVA's key frames beside the frames on disk and the ground truth that judges them."""

from __future__ import annotations

from collections.abc import Sequence

from videohub.data.samples import DataSet, KeyFrame, Sample
from videohub.formatting import counted
from videohub.preflight.expected import Expected
from videohub.preflight.findings import EXAMPLES, Finding, Moments


def moments(data: DataSet) -> Moments | None:
    """Count key frames, boxes and ground truth; None where a data set has none."""
    keyed = _keyed(data.samples)
    if data.ava is None or not keyed:
        return None
    truth, asked = set(data.ava.keys), {sample.name for sample, _ in keyed}
    return Moments(
        videos=len({sample.name.rpartition(",")[0] for sample, _ in keyed}),
        key_frames=len(keyed),
        boxes=sum(len(source.boxes) for _, source in keyed),
        truth_rows=len(data.ava.keys),
        truth_moments=len(truth),
        without_truth=len(asked - truth),
        without_boxes=len(truth - asked),
        beyond_end=len(_beyond_end(keyed)),
    )


def judge_moments(found: Moments | None, data: DataSet, wanted: Expected) -> list[Finding]:
    """Say what of it moves the number."""
    if found is None:
        return []
    findings = []
    if wanted.videos is not None and found.videos != wanted.videos:
        text = f"{counted(found.videos, 'video')} here, {wanted.videos} in the reference ({wanted.source})"
        findings.append(Finding("reference count", abs(found.videos - wanted.videos), text, grave=False, samples={}))
    if found.without_truth == found.key_frames:
        text = "no key frame has a row of the ground truth: boxes and annotations are of different videos"
        findings.append(Finding("no ground truth", found.key_frames, text, grave=True, samples={}))
    if beyond := _beyond_end(_keyed(data.samples)):
        text = (
            f"{len(beyond):,} of {counted(found.key_frames, 'key frame')} lie beyond the end of their list of frames, "
            "whose last one is shown instead: frames were not extracted at 30 a second from second 900 on"
        )
        examples = dict(list(beyond.items())[:EXAMPLES])
        findings.append(Finding("beyond the end", len(beyond), text, grave=False, samples=examples))
    return findings


def _keyed(samples: Sequence[Sample]) -> list[tuple[Sample, KeyFrame]]:
    return [(sample, sample.source) for sample in samples if isinstance(sample.source, KeyFrame)]


def _beyond_end(keyed: Sequence[tuple[Sample, KeyFrame]]) -> dict[str, str]:
    """Return the key frames that their list of frames does not reach."""
    lists = {id(source.frames): source.frames for _, source in keyed}
    lengths = {key: len(frames) for key, frames in lists.items()}  # each is counted once, for it takes a while
    return {
        sample.name: f"frame {source.centre} of {lengths[id(source.frames)]}"
        for sample, source in keyed
        if source.centre >= lengths[id(source.frames)]
    }
