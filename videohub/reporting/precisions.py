"""What the scores say where the number is a mean average precision: of videos with many classes, and of AVA's boxes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from videohub.data.samples import AvaTruth
from videohub.errors import DataError
from videohub.metrics import (
    Boxes,
    MeanPrecision,
    ava_extremes,
    bootstrap_bounds,
    bootstrap_interval,
    match,
    multilabel_curves,
    multilabel_extremes,
    multilabel_map,
    scored_boxes,
)
from videohub.metrics.matching import Matches
from videohub.registry.schema import Record
from videohub.reporting.clipwise import by_clips, scored
from videohub.reporting.report import AtClips, Findings, PerClass
from videohub.runs import Box, Joined
from videohub.runs.scores import read_scores
from videohub.verdict import Comparison, compare_map


def multilabel_findings(joined: Joined, record: Record, names: Sequence[str]) -> Findings:
    """Return what the kept scores of videos with any number of classes say.

    Args:
        joined: Scores of at least one video.
        record: Whose published mean average precision is compared.
        names: Of the classes, in the order of the outputs.
    """
    indexes = scored(joined)
    labels = _some_truth(joined, record, indexes)
    each_clip = _read(joined, indexes)
    scores = each_clip[-1]
    found = multilabel_curves(scores, labels)
    missing = sorted(set(range(len(joined.truth.names))) - set(indexes))
    extremes = multilabel_extremes(scores, labels, multilabel_truth(joined, missing)) if missing else None
    counts, each = labels.sum(axis=0).tolist(), found.classes().tolist()
    return Findings(
        comparisons=[_comparison(joined, record, found, extremes)],
        classes=[_of_class(name, count, value) for name, count, value in zip(names, counts, each, strict=True)],
        by_clips=[
            AtClips(number, {"mAP": 100 * multilabel_map(scores, labels)})
            for number, scores in enumerate(each_clip, start=1)
        ],
    )


def ava_findings(joined: Joined, record: Record) -> Findings:
    """Return what the kept scores of AVA's boxes say; arguments as above."""
    truth, matches = ava_matches(joined, ava_moments(joined))
    found = matches.curves()
    extremes = None
    if missing := _missing(joined):
        gone = [joined.truth.names[index] for index in missing]
        persons = [name for name, index in zip(gone, missing, strict=True) for _ in _boxes(joined)[index]]
        extremes = ava_extremes(matches, _rows(truth, frozenset(gone)), persons)
    counts, each = matches.truths.sum(axis=1).tolist(), found.classes().tolist()
    return Findings(
        comparisons=[_comparison(joined, record, found, extremes)],
        classes=[
            _of_class(name, count, value) for name, count, value in zip(truth.names.values(), counts, each, strict=True)
        ],
    )


def curves(joined: Joined, record: Record) -> MeanPrecision:
    """Return precision over recall of each class, on the samples that were scored."""
    if record.protocol.metric == "ava_map":
        return ava_matches(joined, ava_moments(joined))[1].curves()
    indexes = scored(joined)
    return multilabel_curves(_read(joined, indexes)[-1], _some_truth(joined, record, indexes))


def _some_truth(joined: Joined, record: Record, indexes: Sequence[int]) -> np.ndarray:
    """Return the classes of samples, as `multilabel_truth`. Raises: DataError if none of them has any."""
    labels = multilabel_truth(joined, indexes)
    if not labels.any():
        raise DataError(f"{record.name}: none of the {len(indexes)} scored videos has any class")
    return labels


def multilabel_truth(joined: Joined, indexes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return which classes samples have, (N, classes), 0 or 1."""
    labels = np.zeros((len(indexes), joined.identity.num_classes), dtype=np.int64)
    for row, index in enumerate(indexes):
        labels[row, joined.truth.classes[index]] = 1
    return labels


def ava_moments(joined: Joined) -> frozenset[str]:
    """Return the moments that count: the scored ones, and those of the ground truth at which nobody was detected.

    Moments that are missing do not: all that is there would count as not found. Of a sample, nor does what is not in
    it, since nobody can tell whether somebody was detected there.
    """
    truth, missing = _ava_truth(joined), set(_missing(joined))
    scored = frozenset(name for index, name in enumerate(joined.truth.names) if index not in missing)
    if joined.identity.sample is not None:
        return scored
    return scored | (frozenset(truth.keys) - frozenset(joined.truth.names))


def ava_matches(joined: Joined, moments: frozenset[str]) -> tuple[AvaTruth, Matches]:
    """Return AVA's truth, and which detections are right at some moments; every video of these counts.

    Raises: DataError if nothing is there to find.
    """
    truth, persons = _ava_truth(joined), _boxes(joined)
    keys: list[str] = []
    boxes, scores = [], []
    entries = [entry for entry in joined.entries.values() if entry.name in moments]
    for entry, found in sorted(read_scores(entries), key=lambda pair: pair[0].index):
        if len(persons[entry.index]) != len(found):
            raise DataError(f"{entry.name}: found scores of {len(found)} boxes, expected {len(persons[entry.index])}")
        keys += [entry.name] * len(found)
        boxes += persons[entry.index]
        scores.append(found)
    rows = _rows(truth, moments)
    if not scores or not len(rows.labels):
        raise DataError(f"{joined.identity.record}: no scored moment has a box to find")
    videos = sorted({moment.rpartition(",")[0] for moment in moments})
    return truth, match(rows, scored_boxes(keys, boxes, np.concatenate(scores)), truth.names, videos=videos)


def _comparison(
    joined: Joined, record: Record, found: MeanPrecision, extremes: tuple[MeanPrecision, MeanPrecision] | None
) -> Comparison:
    assert record.published is not None, "refused before"
    published = record.published.map
    assert published is not None, "refused before"
    interval = bootstrap_interval(found)
    bounds = interval if extremes is None else bootstrap_bounds(*extremes)
    missing = len(_missing(joined))
    return compare_map(
        "mAP",
        published,
        recomputed=100 * found.mean(),
        interval=(100 * interval[0], 100 * interval[1]),
        bounds=(100 * bounds[0], 100 * bounds[1]),
        scored=len(joined.truth.names) - missing,
        missing=missing,
        videos=found.videos,
        tolerance=record.published.tolerance,
    )


def _read(joined: Joined, indexes: Sequence[int]) -> np.ndarray:
    """Return the scores by number of clips, (clips, N, classes) float32."""
    row_of = {index: row for row, index in enumerate(indexes)}
    scores = np.empty((joined.identity.scoring.clips, len(indexes), joined.identity.num_classes), np.float32)
    for index, found in by_clips(joined):
        scores[:, row_of[index]] = found
    return scores


def _of_class(name: str, count: int, found: float) -> PerClass:
    return PerClass(name, count, None, None if np.isnan(found) else 100 * found)


def _missing(joined: Joined) -> list[int]:
    """Return the samples without scores: failed, or not looked at."""
    entries = joined.entries
    return [index for index in range(len(joined.truth.names)) if index not in entries or entries[index].shape is None]


def _ava_truth(joined: Joined) -> AvaTruth:
    if joined.truth.ava is None:
        raise DataError(f"{joined.identity.record}: its data.json has no boxes to find; the run cannot be judged")
    return msgspec.convert(joined.truth.ava, AvaTruth, str_keys=True)


def _boxes(joined: Joined) -> list[list[Box]]:
    """Return the boxes that each sample is scored at."""
    boxes = joined.truth.boxes
    if boxes is None or len(boxes) != len(joined.truth.names):
        raise DataError(
            f"{joined.identity.record}: its data.json does not tell which boxes were scored, so the run cannot be "
            "judged.\n  Run `videohub verify` again, into another folder."
        )
    return boxes


def _rows(truth: AvaTruth, moments: frozenset[str]) -> Boxes:
    """Return the ground truth at some moments."""
    rows = [row for row, key in enumerate(truth.keys) if key in moments]
    return Boxes(
        [truth.keys[row] for row in rows],
        np.array([truth.boxes[row] for row in rows], dtype=np.float64).reshape(-1, 4),
        [truth.labels[row] for row in rows],
    )
