"""What the lists of a data set show without opening a file: counts, the order of labels, key frames and their truth."""

from __future__ import annotations

import itertools
import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import SupportsIndex

from videohub.data.labels import squeezed
from videohub.data.samples import DataSet, FrameList, KeyFrame, OneFile, Sample
from videohub.formatting import counted
from videohub.metrics.metric import Metric
from videohub.preflight.findings import EXAMPLES, Classes, Expected, Finding, Folders, Keyframes

_ENOUGH = 5  # samples in folders called as classes are, before they say anything
_PER_CLASS = 5  # samples for each class, before it is odd that a class has none


def judge_counts(listed: int, usable: int, expected: Expected) -> Iterator[Finding]:
    """Compare the number of samples with the reference's, and with what is left of them."""
    if 2 * usable < listed:
        text = f"only {usable:,} of {counted(listed, 'listed sample')} can be scored"
        yield Finding("too few", listed - usable, text, fatal=True)
    if expected.samples is not None and listed != expected.samples:
        text = f"{counted(listed, 'sample')} listed, {expected.samples:,} in the reference ({expected.source})"
        yield Finding("reference count", abs(listed - expected.samples), text)


def judge_truth(data: DataSet, num_classes: int, metric: Metric) -> list[Finding]:
    """Say what keeps a metric from judging any scores of these samples: what is right for them."""
    if metric.by_box != (data.ava is not None):
        judged, listed = ("boxes", "whole samples") if metric.by_box else ("whole samples", "boxes")
        text = f"the metric {metric.name} judges {judged}, and the lists say what is right for {listed}"
        return [Finding("truth", len(data.samples), text, fatal=True)]
    if metric.by_box:
        return []
    flaws = ((sample.name, _flaw_of_truth(sample.truth, num_classes, metric)) for sample in data.samples)
    wrong = {name: flaw for name, flaw in flaws if flaw}
    if wrong:
        name, flaw = next(iter(wrong.items()))
        text = (
            f"of {counted(len(data.samples), 'sample')} {len(wrong):,} cannot be judged by the metric {metric.name}, "
            f"such as {name}: found {flaw}"
        )
        return [Finding("truth", len(wrong), text, fatal=True, samples=dict(list(wrong.items())[:EXAMPLES]))]
    if not any(sample.truth for sample in data.samples):
        text = f"the lists name no right class for any of {counted(len(data.samples), 'sample')}"
        return [Finding("truth", len(data.samples), text, fatal=True)]
    return []


def _flaw_of_truth(truth: Sequence[int], num_classes: int, metric: Metric) -> str | None:
    """Return what is wrong with the classes that are right for a sample."""
    for label in truth:
        if not isinstance(label, SupportsIndex) or not 0 <= operator.index(label) < num_classes:
            return f"class {label!r}, expected a whole number from 0 to {num_classes - 1}"
    return f"{len(truth)} right classes, expected one" if metric.one_class and len(truth) != 1 else None


# --- are labels numbered as the network's outputs are? ---------------------------------------------------------------


def count_classes(data: DataSet, num_classes: int) -> Classes:
    """Count how often each class is right."""
    if data.ava is not None:  # 20 of the 80 actions are not judged
        first = data.ava.first_id
        outputs, judged = [label - first for label in data.ava.labels], {label - first for label in data.ava.names}
    else:
        outputs = [label for sample in data.samples for label in sample.truth]
        judged = set(range(num_classes))
    times = Counter(outputs)
    return Classes([times[number] for number in range(num_classes)], sorted(judged - set(times)))


def compare_folders(samples: Sequence[Sample], names: Callable[[], Sequence[str]]) -> Folders | None:
    """Compare the folder that each video lies in with the class that its label stands for.

    Samples of several classes are passed over. Names are asked for only where there are several folders: it takes long.
    Returns: None where folders are no classes: all videos lie in one, or a folder holds several classes, or a class
        has several folders.
    """
    labels_of: dict[str, Counter[int]] = defaultdict(Counter)  # how often each label occurs in each folder
    for sample in samples:
        if folder := _folder_of(sample):
            labels_of[folder][sample.truth[0]] += 1
    if len(labels_of) < 2:
        return None
    outputs: dict[str, list[int]] = defaultdict(list)
    for output, name in enumerate(names()):
        outputs[squeezed(name)].append(output)
    named = agreeing = 0
    shifts: Counter[int] = Counter()
    for folder, labels in labels_of.items():
        if right := outputs.get(squeezed(folder)):
            named += labels.total()
            agreeing += sum(labels[output] for output in right)
            for label, count in labels.items():
                shifts[label - right[0]] += count
    if named:
        shift, times = shifts.most_common(1)[0]
        return Folders(named, agreeing, shift if shift and times > 0.9 * named else None, sorted=None)
    if any(len(labels) > 1 for labels in labels_of.values()):
        return None
    order = [next(iter(labels_of[folder])) for folder in sorted(labels_of)]
    if len(set(order)) < len(order):  # a folder for each video, say
        return None
    return Folders(0, 0, None, sorted=all(one < next_one for one, next_one in itertools.pairwise(order)))


def judge_classes(classes: Classes, listed: int, *, averaged: bool) -> list[Finding]:
    """Say which classes are never right; `averaged`: the metric is a mean over classes, and leaves those out."""
    total = len(classes.counts)
    if not classes.empty or (not averaged and listed < _PER_CLASS * total):
        return []  # a part of the data set cannot hold all classes
    numbers = ", ".join(map(str, classes.empty[:EXAMPLES])) + (", …" if len(classes.empty) > EXAMPLES else "")
    what = "the mean leaves them out" if averaged else "this is not the whole set, or its labels mean something else"
    verb = "is" if len(classes.empty) == 1 else "are"
    text = f"{counted(len(classes.empty), 'class')} {verb} never right (numbers {numbers}): {what}"
    return [Finding("classes", len(classes.empty), text)]


def judge_folders(
    folders: Folders | None, samples: Sequence[Sample], names: Callable[[], Sequence[str]]
) -> list[Finding]:
    """Say what folders prove about labels."""
    if folders is None or (folders.named == folders.agreeing and folders.sorted is not False):
        return []
    if folders.sorted is False:
        text = "labels do not ascend with the names of the folders that the videos lie in; classes are in sorted order"
        return [Finding("label order", len(samples), text)]
    wrong = folders.named - folders.agreeing
    text = (
        f"{wrong:,} of {counted(folders.named, 'sample')} in folders called as classes are have another class's label"
    )
    if folders.shift:
        text += f": labels are {abs(folders.shift)} too {'high' if folders.shift > 0 else 'low'}; they count from 0"
    fatal = wrong > folders.agreeing and folders.named >= _ENOUGH
    if fatal and not folders.shift:
        text += ": the list's classes are in another order than the network's"
    return [Finding("label order", wrong, text, fatal, _mislabelled(samples, names()))]


def _mislabelled(samples: Sequence[Sample], names: Sequence[str]) -> dict[str, str]:
    """Return the first samples whose folder is the name of another class."""
    known, of_label, wrong = {squeezed(name) for name in names}, dict(enumerate(names)), {}
    for sample in samples:
        folder = squeezed(_folder_of(sample))
        if folder in known and folder != squeezed(name := of_label.get(sample.truth[0], "")):
            wrong[sample.name] = f"label {sample.truth[0]} is {name!r}"
            if len(wrong) == EXAMPLES:
                break
    return wrong


def _folder_of(sample: Sample) -> str:
    """Return the folder that a sample of one class lies in; frames lie in a folder of their own video."""
    if len(sample.truth) == 1 and isinstance(sample.source, OneFile):
        return sample.source.path.parent.name
    return ""


# --- AVA's key frames, beside the frames on disk and the ground truth that judges them -------------------------------


def count_keyframes(data: DataSet) -> Keyframes | None:
    """Count key frames, boxes and ground truth; None where a data set has none."""
    keyed = _keyed(data.samples)
    if data.ava is None or not keyed:
        return None
    truth, asked = set(data.ava.keys), {sample.name for sample, _ in keyed}
    return Keyframes(
        videos=len({sample.name.rpartition(",")[0] for sample, _ in keyed}),
        key_frames=len(keyed),
        boxes=sum(len(source.boxes) for _, source in keyed),
        truth_rows=len(data.ava.keys),
        truth_moments=len(truth),
        without_truth=len(asked - truth),
        without_boxes=len(truth - asked),
        beyond_end=len(_beyond_end(keyed)),
    )


def judge_keyframes(keyframes: Keyframes | None, data: DataSet, expected: Expected) -> list[Finding]:
    """Say what of it moves the number."""
    if keyframes is None:
        return []
    findings = []
    if expected.videos is not None and keyframes.videos != expected.videos:
        text = f"{counted(keyframes.videos, 'video')} here, {expected.videos} in the reference ({expected.source})"
        findings.append(Finding("reference count", abs(keyframes.videos - expected.videos), text))
    if keyframes.without_truth == keyframes.key_frames:
        text = "no key frame has a row of the ground truth: boxes and annotations are of different videos"
        findings.append(Finding("no ground truth", keyframes.key_frames, text, fatal=True))
    if beyond := _beyond_end(_keyed(data.samples)):
        rate = f" at {expected.fps:g} a second" if expected.fps else ""
        text = (
            f"{len(beyond):,} of {counted(keyframes.key_frames, 'key frame')} lie beyond the end of their list of "
            f"frames, whose last one is shown instead: frames were not extracted{rate} from the beginning on (of AVA's "
            "films, second 900)"
        )
        examples = dict(list(beyond.items())[:EXAMPLES])
        findings.append(Finding("beyond the end", len(beyond), text, samples=examples))
    return findings


def _keyed(samples: Sequence[Sample]) -> list[tuple[Sample, KeyFrame]]:
    return [(sample, sample.source) for sample in samples if isinstance(sample.source, KeyFrame)]


def _beyond_end(keyed: Sequence[tuple[Sample, KeyFrame]]) -> dict[str, str]:
    """Return the key frames that their list of frames does not reach."""
    lists = {id(source.frames): source.frames for _, source in keyed}
    lengths = {  # each is counted once, for it takes a while; how long a video is, its header does not prove
        key: len(frames) for key, frames in lists.items() if isinstance(frames, FrameList)
    }
    return {
        sample.name: f"frame {source.centre} of {lengths[id(source.frames)]}"
        for sample, source in keyed
        if source.centre >= lengths.get(id(source.frames), source.centre + 1)
    }
