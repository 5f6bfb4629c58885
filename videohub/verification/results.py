"""What follows from kept scores: a report with a verdict and all that a doubter needs, or plain numbers."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from videohub import metrics
from videohub.data.frame_formats import DECODERS
from videohub.data.labels import class_names
from videohub.data.video_info import REFUSED
from videohub.errors import UsageError
from videohub.formatting import counted, versions
from videohub.metrics.metric import Findings
from videohub.metrics.verdict import Comparison, Verdict
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
from videohub.reporting.words import kinds_in_words, public_url
from videohub.runs import Identity, Joined, MadeBy
from videohub.verification.validity import (
    objections,
    refuse_another_record,
    refuse_unscored,
    refuse_unverifiable,
    remarks,
)


def build(joined: Joined, record: Record) -> Report:
    """Return what follows from the scores of a run.

    A sample can agree or disagree with a published accuracy like any list. Other views than the protocol's, and videos
    that are still to be scored, give no agreement, only `insufficient data`.

    Args:
        joined: What was kept.
        record: Whose published number is compared.
    Raises: UsageError if the record has no number that belongs to its file, or the run is another record's;
        DataError if nothing was scored.
    """
    refuse_unverifiable(record)
    refuse_another_record(joined, record)
    assert record.number is not None, "refused before"
    refuse_unscored(joined, record)
    identity = joined.identity
    found = _findings(joined, record)
    verdict, reasons = _verdict(joined, record, found)
    odd = _contradicted(joined)
    comparisons, remark = _without(joined, record, odd, verdict) if odd else ([], [])
    seconds = sum(one.seconds for one in joined.made_by)
    return Report(
        schema_version=SCHEMA_VERSION,
        record=record.name,
        upstream_name=record.upstream_name,
        paper=record.paper,
        dataset=identity.dataset,
        split=identity.split,
        metric=record.protocol.metric,
        labels=identity.labels,
        published=record.number,
        comparisons=found.comparisons,
        verdict=verdict,
        reasons=[*reasons, *remark, *_remark_on_refused(_failures_of(joined))],
        counts=_counts_of(joined),
        failures=_failures_of(joined),
        contradicted=odd,
        without_contradicted=comparisons,
        weights=_weights_of(identity, record),
        protocol=identity.tested,
        clip=identity.clip,
        data_sha256=identity.data_sha256,
        sampling=None if identity.sample is None else Sampling(identity.sample, identity.seed),
        stopping=None
        if identity.until_decided is None
        else Stopping(identity.until_decided, identity.seed, len(joined.entries)),
        precision=identity.precision,
        decoder=identity.decoder,
        made_by=joined.made_by,
        disagreements=_disagreements(joined),
        seconds=round(seconds, 3),
        videos_per_second=len(joined.entries) / seconds if seconds else None,
        classes=found.classes,
        confusions=found.confusions,
        by_clips=found.by_clips,
        ranks=found.ranks,
        command=_command(identity, record),
    )


def evaluated(joined: Joined, record: Record) -> Evaluated:
    """Return what a run comes to, without a verdict.

    Raises: UsageError if it is another record's; DataError if nothing was scored.
    """
    refuse_another_record(joined, record)
    refuse_unscored(joined, record)
    arithmetic, identity, odd = metrics.of(record.protocol.metric).arithmetic, joined.identity, _contradicted(joined)
    rest = joined.without({video.name for video in odd}) if odd else None
    seconds = sum(one.seconds for one in joined.made_by)
    return Evaluated(
        record=record.name,
        dataset=identity.dataset,
        split=identity.split,
        numbers=arithmetic.measure(joined),
        counts=_counts_of(joined),
        failures=_failures_of(joined),
        contradicted=odd,
        without_contradicted=[] if rest is None else arithmetic.measure(rest),
        weights=_weights_of(identity, record),
        protocol=identity.tested,
        precision=identity.precision,
        decoder=identity.decoder,
        made_by=joined.made_by,
        seconds=round(seconds, 3),
        videos_per_second=len(joined.entries) / seconds if seconds else None,
    )


def _without(
    joined: Joined, record: Record, odd: list[Contradicted], verdict: Verdict
) -> tuple[list[Comparison], list[str]]:
    """Return the comparisons without videos whose header contradicts their content, and what to tell of them."""
    rest = joined.without({video.name for video in odd})
    if rest is None:
        return [], [_remark(odd, verdict, {}, None)]
    found = _findings(rest, record)
    answer, _ = _verdict(rest, record, found)
    return found.comparisons, [_remark(odd, verdict, {one.metric: one.recomputed for one in found.comparisons}, answer)]


def _weights_of(identity: Identity, record: Record) -> Weights:
    """Return what a run's weights are known by, and the published file that they are measured against."""
    published = record.checkpoint
    return Weights(identity.weights_sha256, public_url(published), published.license, identity.weights_identity)


def _failures_of(joined: Joined) -> list[Failure]:
    """Return the videos that could not be scored."""
    return [Failure(entry.name, entry.failure) for entry in joined.entries.values() if entry.failure is not None]


def _counts_of(joined: Joined) -> Counts:
    """Return what became of the videos."""
    failed = len(_failures_of(joined))
    return Counts(
        listed=joined.identity.listed,
        chosen=len(joined.truth.names),
        scored=len(joined.entries) - failed,
        failed=failed,
        pending=len(joined.pending),
    )


def _findings(joined: Joined, record: Record) -> Findings:
    assert record.number is not None, "refused before"
    arithmetic, published = metrics.of(record.protocol.metric).arithmetic, record.number
    return arithmetic.compare(joined, published.numbers(), _names(joined.identity), tolerance=published.tolerance)


def _names(identity: Identity) -> Sequence[str]:
    """Return the names of the classes; a label set that nobody knows, or of another size, has numbers for names."""
    try:
        names = class_names(identity.labels)
    except UsageError:  # a record of a user's own, with classes of their own
        names = ()
    return names if len(names) == identity.num_classes else [f"class {k}" for k in range(identity.num_classes)]


def _verdict(joined: Joined, record: Record, found: Findings) -> tuple[Verdict, list[str]]:
    """Return the verdict and its reasons: what the first comparison says, unless something speaks against it."""
    answer = found.comparisons[0].answer
    against = objections(joined, record)
    reasons = [comparison.reason for comparison in found.comparisons] + remarks(joined, record)
    if joined.pending and joined.identity.until_decided is None:
        (against if answer == "consistent" else reasons).append(
            f"{len(joined.pending)} of the missing are only still to be scored: the command that made the run goes on "
            "with them"
        )
    if joined.identity.sample is not None:
        reasons.append(f"this is a sample of {joined.identity.sample} of {joined.identity.listed} videos")
    return ("insufficient data" if against else answer), against + reasons


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
            each = "; ".join(
                f"{number} with {what or 'nothing told'}" for what, number in sorted(times.items(), key=_often)
            )
            differences.append(f"the processes differ in {aspect}: {each}")
    if worst := sorted(joined.disagreeing, key=lambda one: -one.largest)[:1]:
        differences.append(
            f"{len(joined.disagreeing)} of {joined.repeated} videos that were scored more than once got other scores, "
            f"by up to {worst[0].largest:.2g} ({worst[0].name}); the first file by name counts"
        )
    return differences


def _often(time: tuple[str, int]) -> tuple[int, str]:
    return -time[1], time[0]


def _command(identity: Identity, record: Record) -> str:
    """Return the command that computes the same number from one's own copy of the list; a folder's words are quoted."""
    parts = [f"videohub verify {record.name} --data LIST"]
    used, stated = identity.scoring.views, record.protocol.views
    if used.clips != stated.clips:
        parts.append(f"--clips {used.clips}")
    if used.crops != stated.crops:
        parts.append(f"--crops {len(used.crops)}")
    if identity.sample is not None:
        parts.append(f"--sample {identity.sample} --seed {identity.seed}")
    if identity.until_decided is not None:
        parts.append(f"--until-decided {identity.until_decided} --seed {identity.seed}")
    if identity.decoder != DECODERS[0]:
        parts.append(f"--decoder {shlex.quote(identity.decoder)}")
    return " ".join([*parts, f"--precision {shlex.quote(identity.precision)}"])


def _contradicted(joined: Joined) -> list[Contradicted]:
    """Return the scored videos whose header contradicts their content; those that the original refuses have failed."""
    return [
        Contradicted(entry.name, dict(entry.contradictions))
        for entry in joined.entries.values()
        if entry.shape is not None and entry.contradictions
    ]


def _remark(
    videos: Sequence[Contradicted], verdict: str, numbers: Mapping[str, float], verdict_without: str | None
) -> str:
    """Return in a sentence how many such videos there are, and what the number and the verdict are without them.

    Args:
        videos: At least one.
        verdict: Of all videos.
        numbers: What the metrics are without these, in per cent.
        verdict_without: What the verdict would be; None if no other video was scored.
    """
    them = "it" if len(videos) == 1 else "them"
    found = (
        f"{counted(len(videos), 'scored video')} with a header that contradicts the content "
        f"({kinds_in_words(videos)}), read as the original reads {them}"
    )
    if verdict_without is None:
        return f"{found}; no other video was scored"
    sentence = f"{found}; without {them} {', '.join(f'{metric} is {value:.2f}' for metric, value in numbers.items())}"
    if verdict_without == verdict:
        return f"{sentence} and the verdict is the same"
    return f"{sentence} and the verdict would be {verdict_without}: it hangs on {them}"


def _remark_on_refused(failures: Iterable[Failure]) -> list[str]:
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
