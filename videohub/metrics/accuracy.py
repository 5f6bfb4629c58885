"""Top-k accuracy: how often the right class is among the k best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from videohub.errors import DataError
from videohub.metrics.binomial import hits_sequence, mcnemar, newcombe_interval, wilson_interval
from videohub.metrics.metric import (
    AtClips,
    Change,
    Confusion,
    Discordance,
    Findings,
    Number,
    Pair,
    PerClass,
    Ranks,
)
from videohub.metrics.verdict import Comparison, compare_accuracy, gap, settled
from videohub.runs import Joined

_KS = {"top-1": 1, "top-5": 5}
_WORST_PAIRS = 20
_CHANGES_KEPT = 100


def topk_accuracy(scores: ArrayLike, labels: ArrayLike, ks: Sequence[int] = (1, 5)) -> dict[int, float]:
    """Return the per cent of videos whose label is among the k best classes, for each k.

    Args:
        scores: Video scores (N, classes).
        labels: True classes (N,).
        ks: How many best classes count.
    Raises: ValueError for empty or mismatching arrays, scores that are not finite, labels that are no class.
    """
    rank = ranks(scores, labels)
    return {k: _per_cent(rank < k) for k in ks}


def ranks(scores: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Return how many classes are ranked before each video's label, (N,) int; 0 is best.

    Equal scores are ranked by class number, so that the answer does not depend on the machine. Arguments and errors are
    those of `topk_accuracy`.
    """
    score, label = np.asarray(scores), np.asarray(labels)
    if score.ndim != 2 or label.shape != score.shape[:1] or not len(label):
        raise ValueError(f"found scores {score.shape} and labels {label.shape}, expected (N, classes) and (N,), N > 0")
    if not np.isfinite(score).all():
        raise ValueError(
            f"{int((~np.isfinite(score).all(axis=1)).sum())} of {len(label)} rows of scores are not finite"
        )
    if label.min() < 0 or label.max() >= score.shape[1]:
        raise ValueError(f"found labels {label.min()} to {label.max()}, expected 0 to {score.shape[1] - 1}")
    of_label = score[np.arange(len(label)), label][:, None]
    earlier = np.arange(score.shape[1]) < label[:, None]
    rank: np.ndarray = (score > of_label).sum(axis=1) + ((score == of_label) & earlier).sum(axis=1)
    return rank


def measure(run: Joined) -> list[Number]:
    """Return the accuracies; of fewer than five classes, top-1 alone."""
    places, _ = _read(run, _labels(run))
    hits = {metric: places[:, -1] < k for metric, k in _KS.items() if k <= run.identity.num_classes}
    return [
        Number(metric, _per_cent(right), wilson_interval(int(right.sum()), len(right)))
        for metric, right in hits.items()
    ]


def compare(run: Joined, published: Mapping[str, float], names: Sequence[str], *, tolerance: float) -> Findings:
    """Return what the scores say, class by class, and what is taken for what.

    A video that the original skips has scores of zero there, and counts as wrong.
    """
    labels = _labels(run)
    places, predicted = _read(run, labels)
    rank, skipped = places[:, -1], dict.fromkeys(run.skipped, False)
    ks = {metric: k for metric, k in _KS.items() if metric in published}
    return Findings(
        comparisons=[
            _comparison(run, metric, published[metric],
                        dict(zip(run.scored, (rank < k).tolist(), strict=True)) | skipped, tolerance)
            for metric, k in ks.items()
        ],
        classes=_classes(labels, rank == 0, names),
        confusions=_confusions(labels, predicted, names),
        by_clips=[
            AtClips(number + 1, {metric: _per_cent(places[:, number] < k) for metric, k in ks.items()})
            for number in range(places.shape[1])
        ],
        ranks=[(run.truth.names[index], place) for index, place in zip(run.scored, rank.tolist(), strict=True)],
    )  # fmt: skip


def pair(first: Joined | Ranks, second: Joined | Ranks) -> Pair | None:
    """Compare by what either was right on, which reports tell, too."""
    places, others = _ranks(first), _ranks(second)
    common = [name for name in places if name in others]
    if not common:
        return None
    one, other = (np.array([side[name] for name in common]) for side in (places, others))
    right, other_right = one == 0, other == 0
    both, neither = int((right & other_right).sum()), int((~right & ~other_right).sum())
    first_only, second_only = int((right & ~other_right).sum()), int((~right & other_right).sum())
    moved = [
        Change(name, a, b)
        for name, a, b in zip(common, one.tolist(), other.tolist(), strict=True)
        if (a == 0) != (b == 0)
    ]
    moved.sort(key=lambda change: -abs(change.first - change.second))  # stable: in the order of the list
    return Pair(
        metric="top-1",
        common=len(common),
        alone=(len(places) - len(common), len(others) - len(common)),
        values=(_per_cent(right), _per_cent(other_right)),
        difference=100 * (first_only - second_only) / len(common),
        interval=newcombe_interval(both, first_only, second_only, neither),
        discordance=Discordance(
            both, first_only, second_only, neither, mcnemar(first_only, second_only), moved[:_CHANGES_KEPT]
        ),
    )


def is_right(scores: ArrayLike, classes: Sequence[int]) -> bool:
    """Return whether the best class is the right one."""
    return bool(ranks(np.asarray(scores)[None], [classes[0]])[0] == 0)


def _labels(run: Joined) -> np.ndarray:
    """Return the right class of each scored video, (N,)."""
    right = [run.truth.classes[index] for index in run.scored]
    for index, classes in zip(run.scored, right, strict=True):
        name, last = run.truth.names[index], run.identity.num_classes - 1
        if len(classes) != 1:
            raise DataError(f"{name}: found {len(classes)} right classes, expected one for a top-k accuracy")
        if not 0 <= classes[0] <= last:
            raise DataError(f"{name}: found class {classes[0]}, expected 0 to {last}")
    return np.array(right, dtype=np.int64)[:, 0]


def _read(run: Joined, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each right class stands by number of clips, (N, clips), and what is predicted with all, (N,)."""
    row_of = {index: row for row, index in enumerate(run.scored)}
    clips = run.identity.scoring.clips
    places, predicted = np.empty((len(labels), clips), np.int64), np.empty(len(labels), np.int64)
    for index, scores in run.by_clips():
        row = row_of[index]
        places[row] = ranks(scores, np.repeat(labels[row], clips))
        predicted[row] = scores[-1].argmax()  # of equal scores the first, as in ranks
    return places, predicted


def _comparison(run: Joined, metric: str, published: float, hits: dict[int, bool], tolerance: float) -> Comparison:
    """Compare one accuracy with the published one; `hits` says of videos whether they count as right.

    Of a run that may stop when it likes, interval and bounds are those of the whole list, at any moment.
    """
    level, total = run.identity.until_decided, len(run.truth.names)
    if level is None or not run.pending:
        return compare_accuracy(metric, published, hits=sum(hits.values()), scored=len(hits), missing=total - len(hits),
                       tolerance=tolerance)  # fmt: skip
    # Results that came early, because their videos are short, would bend the answer: only those without gaps count.
    seen = run.pending[0]
    scored = [hits[index] for index in range(seen) if index in hits]
    if not scored:
        raise DataError(f"{run.identity.record}: none of the first {seen} videos could be scored")
    right, failed = sum(scored), seen - len(scored)
    each = (1 + level) / 2  # half of the error for the hits, half for the failures
    few, many = hits_sequence(right, seen, total, each)
    fewest, most = hits_sequence(failed, seen, total, each)
    measured = compare_accuracy(metric, published, hits=right, scored=len(scored), missing=failed, tolerance=tolerance)
    answer = settled(published, hits=right, failed=failed, seen=seen, total=total, level=level, tolerance=tolerance)
    distance = f"{gap(metric, published, measured.recomputed)} on the first {seen} of {total} videos in random order"
    return msgspec.structs.replace(
        measured,
        interval=(100 * few / (total - fewest), min(100.0, 100 * many / max(1, total - most))),
        bounds=(100 * few / total, min(100.0, 100 * (many + most) / total)),
        answer=answer or "insufficient data",
        reason=f"{distance}; at a level of {100 * level:g} % "
        + (f"the whole list will give the answer: {answer}" if answer else "the others can still change the answer"),
    )  # fmt: skip


def _ranks(side: Joined | Ranks) -> Ranks:
    """Return where the right class of each scored video stands."""
    if not isinstance(side, Joined):
        return side
    indexes, scores = side.video_scores()
    if not len(indexes):
        return {}
    places = ranks(scores, [side.truth.classes[index][0] for index in indexes])
    return {side.truth.names[index]: int(place) for index, place in zip(indexes, places, strict=True)}


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
