"""What the scores of videos say where one class is right: top-k, class by class, and what is taken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from videohub.errors import DataError
from videohub.metrics import hits_sequence, ranks
from videohub.registry.schema import Published, Record
from videohub.reporting.clipwise import by_clips, scored
from videohub.reporting.report import AtClips, Confusion, Findings, PerClass
from videohub.runs import Joined
from videohub.verdict import Comparison, compare, gap, settled

_KS = {"top-1": 1, "top-5": 5}
_WORST_PAIRS = 20


def findings(joined: Joined, record: Record, names: Sequence[str]) -> Findings:
    """Return what the kept scores say: top-1, which decides, and top-5 beside it.

    Args:
        joined: Scores of at least one video.
        record: Whose published accuracies are compared.
        names: Of the classes, in the order of the outputs.
    """
    indexes = scored(joined)
    labels = _labels(joined, indexes)
    places, predicted = _read(joined, indexes, labels)
    rank = places[:, -1]
    assert record.published is not None, "refused before"
    published = record.published.numbers()
    return Findings(
        comparisons=[
            _comparison(joined, metric, record.published, dict(zip(indexes, (rank < k).tolist(), strict=True)))
            for metric, k in _KS.items()
            if metric in published
        ],
        classes=_classes(labels, rank == 0, names),
        confusions=_confusions(labels, predicted, names),
        by_clips=[
            AtClips(
                number + 1,
                {metric: _per_cent(places[:, number] < k) for metric, k in _KS.items() if metric in published},
            )
            for number in range(places.shape[1])
        ],
        ranks=[(joined.truth.names[index], place) for index, place in zip(indexes, rank.tolist(), strict=True)],
    )


def hits(joined: Joined) -> dict[str, np.ndarray]:
    """Return by metric which of the scored videos count as right, (N,); of fewer than five classes, top-1 alone."""
    indexes = scored(joined)
    places, _ = _read(joined, indexes, _labels(joined, indexes))
    known = joined.identity.num_classes
    return {metric: places[:, -1] < k for metric, k in _KS.items() if k <= known}


def _labels(joined: Joined, indexes: Sequence[int]) -> np.ndarray:
    """Return the right class of each scored video, (N,)."""
    right = [joined.truth.classes[index] for index in indexes]
    for index, classes in zip(indexes, right, strict=True):
        name, last = joined.truth.names[index], joined.identity.num_classes - 1
        if len(classes) != 1:
            raise DataError(f"{name}: found {len(classes)} right classes, expected one for a top-k accuracy")
        if not 0 <= classes[0] <= last:
            raise DataError(f"{name}: found class {classes[0]}, expected 0 to {last}")
    return np.array(right, dtype=np.int64)[:, 0]


def _read(joined: Joined, indexes: Sequence[int], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each right class stands by number of clips, (N, clips), and what is predicted with all, (N,)."""
    row_of = {index: row for row, index in enumerate(indexes)}
    clips = joined.identity.scoring.clips
    places, predicted = np.empty((len(indexes), clips), np.int64), np.empty(len(indexes), np.int64)
    for index, scores in by_clips(joined):
        row = row_of[index]
        places[row] = ranks(scores, np.repeat(labels[row], clips))
        predicted[row] = scores[-1].argmax()  # of equal scores the first, as in ranks
    return places, predicted


def _comparison(joined: Joined, metric: str, stated: Published, hits: dict[int, bool]) -> Comparison:
    """Compare one accuracy with the published one; `hits` says of each scored video whether it counts as right."""
    level, total = joined.identity.until_decided, len(joined.truth.names)
    published, tolerance = stated.numbers()[metric], stated.tolerance
    if level is None or not joined.pending:
        return compare(metric, published, hits=sum(hits.values()), scored=len(hits), missing=total - len(hits),
                       tolerance=tolerance)  # fmt: skip
    # Results that came early, because their videos are short, would bend the answer: only those without gaps count.
    seen = joined.pending[0]
    right = [hits[index] for index in range(seen) if index in hits]
    if not right:
        raise DataError(f"{joined.identity.record}: none of the first {seen} videos could be scored")
    return _stopped(metric, published, level, hits=sum(right), scored=len(right), seen=seen, total=total,
                    tolerance=tolerance)  # fmt: skip


def _stopped(
    metric: str, published: float, level: float, *, hits: int, scored: int, seen: int, total: int, tolerance: float
) -> Comparison:
    """Compare an accuracy of a run that may stop when it likes: its interval is of the whole list, at any moment."""
    failed, each = seen - scored, (1 + level) / 2  # half of the error for the hits, half for the failures
    few, many = hits_sequence(hits, seen, total, each)
    fewest, most = hits_sequence(failed, seen, total, each)
    measured = compare(metric, published, hits=hits, scored=scored, missing=failed, tolerance=tolerance)
    answer = settled(published, hits=hits, failed=failed, seen=seen, total=total, level=level, tolerance=tolerance)
    found = f"{gap(metric, published, measured.recomputed)} on the first {seen} of {total} videos in random order"
    return msgspec.structs.replace(
        measured,
        interval=(100 * few / (total - fewest), min(100.0, 100 * many / max(1, total - most))),
        bounds=(100 * few / total, min(100.0, 100 * (many + most) / total)),
        answer=answer or "insufficient data",
        reason=f"{found}; at a level of {100 * level:g} % "
        + (f"the whole list will give the answer: {answer}" if answer else "the others can still change the answer"),
    )  # fmt: skip


def _classes(labels: np.ndarray, right: np.ndarray, names: Sequence[str]) -> list[PerClass]:
    counts = np.bincount(labels, minlength=len(names)).tolist()
    rights = np.bincount(labels[right], minlength=len(names)).tolist()
    return [
        PerClass(name, count, hits, 100 * hits / count if count else None)
        for name, count, hits in zip(names, counts, rights, strict=True)
    ]


def _confusions(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> list[Confusion]:
    """Return the most frequent pairs of a class and what it was taken for, more than once; equal ones by class."""
    of = Counter(labels.tolist())
    pairs = Counter((a, b) for a, b in zip(labels.tolist(), predicted.tolist(), strict=True) if a != b)
    worst = sorted(pairs, key=lambda pair: (-pairs[pair], pair))[:_WORST_PAIRS]
    return [Confusion(names[a], names[b], pairs[a, b], of[a]) for a, b in worst if pairs[a, b] > 1]


def _per_cent(hits: np.ndarray) -> float:
    return 100 * float(hits.mean())
