"""What follows from kept scores: a report with a verdict and all that a doubter needs, plain numbers, or arrays."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from videohub import metrics
from videohub.data.frame_formats import DECODERS
from videohub.data.labels import class_names
from videohub.data.video_info import REFUSED
from videohub.errors import DataError, UsageError
from videohub.formatting import counted, versions
from videohub.metrics.metric import Findings
from videohub.metrics.verdict import Comparison, Verdict
from videohub.protocols import Protocol
from videohub.registry.schema import Record
from videohub.reporting.report import (
    SCHEMA_VERSION,
    Contradicted,
    Counts,
    Evaluated,
    Failure,
    Report,
    Sampling,
    Stopping,
    Weights,
)
from videohub.reporting.words import by_frequency, doubt_about, files_of, kinds_in_words, public_url
from videohub.runs import Identity, Joined, MadeBy, join, plain
from videohub.verification.settings import refuse_unverifiable


def build(joined: Joined, record: Record) -> Report:
    """Return what follows from the scores of a run.

    A sample can agree or disagree with a published accuracy like any list. Views for which no number was published, and
    videos that are still to be scored, give no agreement, only `insufficient data`.

    Raises: UsageError if the record has no number that belongs to its file, or the run is another record's;
        DataError if nothing was scored.
    """
    refuse_unverifiable(record)
    _refuse_unfit(joined, record)
    identity = joined.identity
    command = _command(identity, record)
    record = record.tested_with(identity.tested.views)
    assert record.number is not None, "refused before"
    findings = _findings(joined, record)
    verdict, reasons = _verdict(joined, record, findings)
    of_run = _as_run(joined, record)
    odd = of_run["contradicted"]
    without, remark = _without(joined, record, odd, verdict) if odd else ([], "")
    return Report(
        **of_run,
        schema_version=SCHEMA_VERSION,
        upstream_name=record.upstream_name,
        publisher=record.publisher,
        paper=record.paper,
        metric=record.protocol.metric,
        labels=identity.labels,
        published=record.number,
        comparisons=findings.comparisons,
        verdict=verdict,
        reasons=[*reasons, *filter(None, (remark, _on_refused(of_run["failures"]), _on_skipped(joined)))],
        without_contradicted=without,
        clip=identity.clip,
        data_sha256=identity.data_sha256,
        shards_sha256=identity.shards_sha256,
        shards=list(joined.shards),
        sampling=None if identity.sample is None else Sampling(identity.sample, identity.seed),
        stopping=None
        if identity.until_decided is None
        else Stopping(identity.until_decided, identity.seed, len(joined.entries)),
        disagreements=_disagreements(joined),
        classes=findings.classes,
        confusions=findings.confusions,
        by_clips=findings.by_clips,
        ranks=findings.ranks,
        command=command,
        scores_sha256=joined.scores_sha256(),
    )


def evaluated(joined: Joined, record: Record) -> Evaluated:
    """Return what a run comes to, without a verdict.

    Raises: UsageError if it is another record's; DataError if nothing was scored.
    """
    _refuse_unfit(joined, record)
    measure, of_run = metrics.of(record.protocol.metric).arithmetic.measure, _as_run(joined, record)
    odd = {video.name for video in of_run["contradicted"]}
    rest = joined.without(odd) if odd else None
    return Evaluated(
        **of_run,
        numbers=measure(joined),
        without_contradicted=[] if rest is None else measure(rest),
    )


def _as_run(joined: Joined, record: Record) -> dict[str, Any]:
    """Return what both tell of a run: what was scored with what, what became of the videos, and how fast."""
    identity, published = joined.identity, record.checkpoint
    failures = [Failure(entry.name, entry.failure) for entry in joined.entries.values() if entry.failure is not None]
    odd = [  # scored videos; those that the original refuses have failed
        Contradicted(entry.name, dict(entry.contradictions))
        for entry in joined.entries.values()
        if entry.shape is not None and entry.contradictions
    ]
    seconds = sum(one.seconds for one in joined.made_by)
    return {
        "record": record.name,
        "dataset": identity.dataset,
        "split": identity.split,
        "label_map": identity.label_map,
        "counts": Counts(
            listed=identity.listed,
            chosen=len(joined.truth.names),
            scored=len(joined.entries) - len(failures),
            failed=len(failures),
            pending=len(joined.pending),
        ),
        "failures": failures,
        "contradicted": odd,
        "weights": Weights(
            identity.weights_sha256, public_url(published), published.license, identity.weights_identity
        ),
        "protocol": identity.tested,
        "precision": identity.precision,
        "decoder": identity.decoder,
        "made_by": joined.made_by,
        "seconds": round(seconds, 3),
        "videos_per_second": len(joined.entries) / seconds if seconds else None,
    }


def _refuse_unfit(joined: Joined, record: Record) -> None:
    """Refuse a run of another record (UsageError), or one without a single score (DataError), with the first reason."""
    identity = joined.identity
    if (identity.record, identity.upstream_name) != (record.name, record.upstream_name):
        raise UsageError(
            f"{record.name} ({record.upstream_name}): the scores are those of {identity.record} "
            f"({identity.upstream_name}); name that record, or leave the name out"
        )
    if identity.num_classes != record.num_classes:  # of `benchmark --data`, with a file of somebody's own
        raise UsageError(
            f"{record.name}: these are scores of {identity.num_classes} classes, and {record.number} was published "
            f"of {record.num_classes}, so there is nothing to compare; `videohub benchmark` gives the numbers"
        )
    if joined.scored:
        return
    if not joined.entries:
        raise DataError(f"{record.name}: none of {len(joined.truth.names)} videos was looked at yet")
    first = next(iter(joined.entries.values()))
    why = str(first.failure).removeprefix(f"{first.name}: ")
    raise DataError(
        f"{record.name}: none of {len(joined.entries)} videos could be scored; the first, {first.name}: {why}"
    )


def _without(joined: Joined, record: Record, odd: list[Contradicted], verdict: Verdict) -> tuple[list[Comparison], str]:
    """Return the comparisons without videos whose header contradicts their content, and what follows in a sentence."""
    them = "it" if len(odd) == 1 else "them"
    sentence = (
        f"{counted(len(odd), 'scored video')} with a header that contradicts the content ({kinds_in_words(odd)}), "
        f"read as the original reads {them}"
    )
    rest = joined.without({video.name for video in odd})
    if rest is None:
        return [], f"{sentence}; no other video was scored"
    findings = _findings(rest, record)
    numbers = ", ".join(f"{one.metric} is {one.recomputed:.2f}" for one in findings.comparisons)
    sentence = f"{sentence}; without {them} {numbers}"
    answer, _ = _verdict(rest, record, findings)
    if answer == verdict:
        return findings.comparisons, f"{sentence} and the verdict is the same"
    return findings.comparisons, f"{sentence} and the verdict would be {answer}: it hangs on {them}"


def _findings(joined: Joined, record: Record) -> Findings:
    assert record.number is not None, "refused before"
    arithmetic, published = metrics.of(record.protocol.metric).arithmetic, record.number
    return arithmetic.compare(joined, published.numbers(), classes_of(joined.identity), tolerance=published.tolerance)


def classes_of(identity: Identity) -> Sequence[str]:
    """Return the names of the classes; a label set that nobody knows, or of another size, has numbers for names."""
    try:
        names = class_names(identity.labels)
    except UsageError:  # a record of a user's own, with classes of their own
        names = ()
    return names if len(names) == identity.num_classes else [f"class {k}" for k in range(identity.num_classes)]


def _verdict(joined: Joined, record: Record, findings: Findings) -> tuple[Verdict, list[str]]:
    """Return the verdict and its reasons: what the first comparison says, unless something speaks against it."""
    answer = findings.comparisons[0].answer
    against = _objections(joined, record)
    reasons = [comparison.reason for comparison in findings.comparisons] + _remarks(joined, record)
    if joined.pending and joined.identity.until_decided is None:
        (against if answer == "consistent" else reasons).append(
            f"{len(joined.pending)} of the missing are only still to be scored: the command that made the run goes on "
            "with them"
        )
    if joined.identity.sample is not None:
        reasons.append(f"this is a sample of {joined.identity.sample} of {joined.identity.listed} videos")
    return ("insufficient data" if against else answer), against + reasons


def _objections(joined: Joined, record: Record) -> list[str]:
    """Return why a run cannot decide about the published number, whatever its scores say; empty if it can."""
    identity = joined.identity
    used, published = identity.tested, record.protocol
    messages = []
    if used.views != published.views:
        messages.append(
            f"the published number was measured with {published.views_in_words}, this run used "
            + used.views_in_words.removesuffix(" views")
        )
    others = [
        {"dataset": of.dataset, "split": of.split, **_parts(of), "clip": clip}
        for of, clip in ((used, identity.clip), (published, plain(record.clip)))
    ]
    messages += [
        f"the record's protocol says {key} {others[1].get(key)}, this run used {others[0].get(key)}"
        for key in dict.fromkeys((*others[1], *others[0]))
        if key != "views" and others[0].get(key) != others[1].get(key)
    ]
    objection = metrics.of(record.protocol.metric).sample_objection
    if identity.sample is not None and objection is not None:
        messages.append(objection)
    return messages


def _remarks(joined: Joined, record: Record) -> list[str]:
    """Return what somebody who reads the verdict should know besides, though it decides nothing."""
    expected, stated = record.checkpoint.sha256, joined.identity.weights_sha256
    if joined.identity.weights_identity is None and expected not in (None, stated):
        return [
            f"these are not the published file's weights: that has sha256 {expected[:12]}…, this run used one with "
            f"{stated[:12]}…"
        ]
    doubts = [doubt_about(file, expected) for file in files_of(joined.made_by)]
    # where one process read the published file, all of a run did: they used the same tensors
    return [] if None in doubts else [doubt for doubt in doubts if doubt is not None]


def _parts(protocol: Protocol) -> dict[str, str]:
    """Return what a protocol says, each step of the pixels by itself."""
    steps = {f"step {number}:": step.in_words() for number, step in enumerate(protocol.pixels, 1)}
    return {**{part: words for part, words in protocol.in_words().items() if part != "pixels"}, **steps}


def _disagreements(joined: Joined) -> list[str]:
    """Return in what the processes of a run differ, and where their scores do."""
    aspects: dict[str, Callable[[MadeBy], str]] = {
        "decoders": lambda one: versions(one.decoder),
        "software": lambda one: versions(one.software),
        "devices": lambda one: one.device.partition(" ")[2] or one.device,  # whichever of a machine's GPUs it was
        "precision": lambda one: versions(one.precision),
        "batch": lambda one: f"{one.batch} views at once" if one.batch else "as many views as fit",
    }
    differences = []
    for aspect, of in aspects.items():
        times = Counter(map(of, joined.made_by))
        if len(times) > 1:
            each = "; ".join(f"{number} with {what or 'nothing told'}" for what, number in by_frequency(times))
            differences.append(f"the processes differ in {aspect}: {each}")
    if joined.disagreeing:
        worst = max(joined.disagreeing, key=lambda one: one.largest)
        differences.append(
            f"{len(joined.disagreeing)} of {joined.repeated} videos that were scored more than once got other scores, "
            f"by up to {worst.largest:.2g} ({worst.name}); the first file by name counts"
        )
    return differences


def _command(identity: Identity, record: Record) -> str:
    """Return the command that computes the same number from one's own copy of the list; a folder's words are quoted."""
    parts = [f"videohub verify {record.name} --data LIST"]
    used, stated = identity.scoring.views, record.protocol.views
    if used.clips != stated.clips:
        parts.append(f"--clips {used.clips}")
    if used.crops != stated.crops:
        parts.append(f"--crops {len(used.crops)}")
    if identity.label_map is not None:
        parts.append("--label-map FILE")
    if identity.sample is not None:
        parts.append(f"--sample {identity.sample} --seed {identity.seed}")
    if identity.until_decided is not None:
        parts.append(f"--until-decided {identity.until_decided} --seed {identity.seed}")
    if identity.decoder != DECODERS[0]:
        parts.append(f"--decoder {shlex.quote(identity.decoder)}")
    return " ".join([*parts, f"--precision {shlex.quote(identity.precision)}"])


def _on_refused(failures: Sequence[Failure]) -> str:
    """Return in a sentence how many videos failed because the original refuses their headers; nothing if none did."""
    refused = sum(f": {REFUSED}: " in failure.reason for failure in failures)
    if not refused:
        return ""
    whose = "its header" if refused == 1 else "their headers"
    return f"{counted(refused, 'video')} failed because the original's reader refuses {whose}"


def _on_skipped(joined: Joined) -> str:
    """Return in a sentence how the videos count that the original skips; nothing if there are none."""
    if not joined.skipped:
        return ""
    return (
        f"{counted(len(joined.skipped), 'video')} failed for being shorter than a clip, and the original keeps scores "
        "of zero for such a one: it counts as wrong"
    )


# --- as arrays ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class VideoScores:
    """The scores of a run's N videos, of C classes, in the order of the list.

    Attributes:
        names: What the list calls the videos, (N,) text.
        targets: The number of each one's right class, (N,) int64; where several may be right (Charades), (N, C) int64
            of ones and zeros.
        scores: (N, C) float32, joined over the views as the record's protocol does: where that adds, sums of them.
        classes: What the classes are called, by their numbers.
        missing: The videos without scores, which failed or were not looked at.
    """

    names: npt.NDArray[np.str_]
    targets: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    classes: list[str]
    missing: list[str]


def video_scores(*folders: str | Path) -> VideoScores:
    """Return the scores of every video that a run has kept, from its folder, or from those of its shards.

    They are what the report's numbers are made of: `videohub.metrics.topk_accuracy(kept.scores, kept.targets)`, or
    `multilabel_map`. The first of equally high scores counts, as in `kept.scores.argmax(axis=1)`.

    Args:
        folders: What `verify` or `evaluate` was given as `out`.
    Raises: UsageError if the folders do not keep one run, or its scores are of boxes; DataError if they are damaged.
    """
    joined = join(folders)
    indexes, scores = joined.video_scores()
    names, right = joined.truth.names, [joined.truth.classes[index] for index in indexes]
    if joined.identity.scoring.scores.activation == "softmax":  # one class is right
        targets = np.array([classes[0] for classes in right], dtype=np.int64)
    else:
        targets = np.zeros(scores.shape, dtype=np.int64)
        for row, classes in zip(targets, right, strict=True):
            row[classes] = 1
    return VideoScores(
        names=np.array([names[index] for index in indexes], dtype=np.str_),
        targets=targets,
        scores=scores,
        classes=list(classes_of(joined.identity)),
        missing=[names[index] for index in joined.missing],
    )
