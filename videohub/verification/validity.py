"""Does this run count? Records, files, settings and runs that give no verdict, or none together; in one place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from videohub import metrics
from videohub.data.frame_formats import DECODERS
from videohub.data.spec import TestSpec, check_shared
from videohub.errors import DataError, UsageError
from videohub.protocols import Protocol
from videohub.registry.labels import told
from videohub.registry.schema import Record
from videohub.reporting.words import doubt_about, files_of
from videohub.runs import Joined
from videohub.verification.identity import plain
from videohub.verification.settings import Settings


def refuse_unverifiable(record: Record) -> None:
    """Refuse a record whose file has no published number, so that there is nothing to verify; the notes say why.

    Raises: UsageError.
    """
    published = record.number
    if published is None or not published.numbers():
        raise UsageError(
            f"{record.name}: its source states no number, so there is nothing to verify{_notes(record)}\n"
            f"  `videohub benchmark {record.name} --data …` gives its numbers without a verdict."
        )
    expected = metrics.of(record.protocol.metric).numbers
    if expected[0] not in published.numbers():
        raise UsageError(
            f"{record.name}: its source states {published}, and protocol {record.protocol.name} measures "
            f"{' and '.join(expected)}; the record contradicts itself"
        )
    if record.status in ("available", "manual"):
        return
    found = {
        "unreleased": "the file that this number was measured with was never released",
        "program": "the file is a program, which is not run",
        "broken": "the file at its address is not the one that this number was measured with",
    }
    instead = f"\n  Verify instead: {', '.join(record.superseded_by)}." if record.superseded_by else ""
    raise UsageError(
        f"{record.name}: {published} was published, but {found[record.status]}, so there is nothing to "
        f"verify{_notes(record)}{instead}"
    )


def refuse_other_classes(record: Record, held: Record, checkpoint: str | Path | None) -> None:
    """Refuse a file with other classes than the published number was of; `held` is the record with the file's.

    Raises: UsageError.
    """
    if held.num_classes != record.num_classes:
        raise UsageError(
            f"{record.name}: {checkpoint} has {held.num_classes} classes, and {record.number} was "
            f"published of {record.num_classes}, so there is nothing to verify.\n"
            f"  `videohub benchmark {record.name} --data … --checkpoint …` gives its numbers without a verdict."
        )


def refuse_contradictions(record: Record, settings: Settings) -> None:
    """Refuse settings that cannot hold for a record, or not together. Raises: UsageError."""
    if settings.decoder not in DECODERS:
        raise UsageError(f"decoder: found {settings.decoder!r}, expected {' or '.join(DECODERS)}")
    if settings.until_decided is None:
        return
    if not 0.5 <= settings.until_decided < 1:
        raise UsageError(f"until_decided: found {settings.until_decided}, expected a level such as 0.95")
    if not metrics.of(record.protocol.metric).is_counted:
        raise UsageError(f"{record.name}: until_decided follows an accuracy, and this number is a mean over classes")
    if settings.sample is not None:
        raise UsageError("until_decided: already takes no more videos than it needs; leave out the sample")
    if settings.retry_failed:
        raise UsageError("until_decided: what failed has been counted as such; leave out retry_failed, or start anew")
    if settings.own_shard().count > 1:
        raise UsageError("until_decided: looks at all videos in one order, so it cannot be split over processes")


def refuse_unshared(records: Sequence[Record], specs: Sequence[TestSpec]) -> None:
    """Refuse records whose lists or frames are not the same. Raises: UsageError, which says which differ in what."""
    if not records:
        raise UsageError("found no record to verify, expected at least one")
    seen = set()
    for record in records:
        if record.name in seen:
            raise UsageError(f"{record.name}: named twice, expected each record once")
        seen.add(record.name)
    for record, spec in zip(records[1:], specs[1:], strict=True):
        try:
            check_shared([specs[0], spec])
        except UsageError as error:
            raise UsageError(f"{records[0].name}, {record.name}: {error}") from None
        _refuse_other_lists(records[0], record)


def refuse_another_record(joined: Joined, record: Record) -> None:
    """Refuse to judge a run by the number of a record that it is not a run of.

    Raises: UsageError.
    """
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


def refuse_unscored(joined: Joined, record: Record) -> None:
    """Refuse a run without a single score, and tell the first reason. Raises: DataError."""
    entries = joined.entries.values()
    failures = [entry for entry in entries if entry.failure is not None]
    if len(failures) < len(entries):
        return
    if not failures:
        raise DataError(f"{record.name}: none of {len(joined.truth.names)} videos was looked at yet")
    first = failures[0]
    raise DataError(
        f"{record.name}: none of {len(failures)} videos could be scored; the first, {first.name}: {first.failure}"
    )


def objections(joined: Joined, record: Record) -> list[str]:
    """Return why a run cannot decide about the published number, whatever it found; empty if it can."""
    identity = joined.identity
    used, published = identity.tested, record.protocol
    found = []
    if used.views != published.views:
        found.append(
            f"the published number was measured with {published.views_in_words}, this run used "
            + used.views_in_words.removesuffix(" views")
        )
    others = [
        {"dataset": of.dataset, "split": of.split, **_parts(of), "clip": clip}
        for of, clip in ((used, identity.clip), (published, plain(record.clip)))
    ]
    found += [
        f"the record's protocol says {key} {others[1].get(key)}, this run used {others[0].get(key)}"
        for key in dict.fromkeys((*others[1], *others[0]))
        if key != "views" and others[0].get(key) != others[1].get(key)
    ]
    objection = metrics.of(record.protocol.metric).sample_objection
    if identity.sample is not None and objection is not None:
        found.append(objection)
    return found


def remarks(joined: Joined, record: Record) -> list[str]:
    """Return what somebody who reads the verdict should know besides, though it decides nothing."""
    expected, stated = record.checkpoint.sha256, joined.identity.weights_sha256
    if joined.identity.weights_identity is None and expected not in (None, stated):
        return [
            f"these are not the published file's weights: that has sha256 {expected[:12]}…, this run used one with "
            f"{stated[:12]}…"
        ]
    doubts = [doubt_about(file, expected) for file in files_of(joined.made_by)]
    if None in doubts:  # one process read the published file, and all of a run used the same tensors
        return []
    return [doubt for doubt in doubts if doubt is not None]


def _refuse_other_lists(first: Record, other: Record) -> None:
    """Refuse a record for which the lists would mean something else: other classes, other boxes."""
    for what, here, there in (
        ("classes", first.num_classes, other.num_classes),
        ("labels", told(first.labels), told(other.labels)),
        ("boxes and ground truth", first.protocol.detection, other.protocol.detection),
    ):
        if here != there:
            raise UsageError(
                f"{first.name}, {other.name}: one pass over the videos reads their lists once; {what}: {here} of "
                f"{first.name}, {there} of {other.name}. Verify them one after the other"
            )


def _notes(record: Record) -> str:
    return ":\n  " + "\n  ".join(record.notes) if record.notes else "."


def _parts(protocol: Protocol) -> dict[str, str]:
    """Return what a protocol says, each step of the pixels by itself."""
    steps = {f"step {number}:": step.in_words() for number, step in enumerate(protocol.pixels, 1)}
    return {**{part: words for part, words in protocol.in_words().items() if part != "pixels"}, **steps}
