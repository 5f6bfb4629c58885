"""Where no verdict can be given: numbers that do not belong to their file, and runs that did something else."""

from __future__ import annotations

from typing import Any

import msgspec

from videohub import metrics
from videohub.errors import DataError, UsageError
from videohub.registry.schema import Record
from videohub.reporting.weights_origin import doubt_about, files_of
from videohub.runs import Joined


def refuse_unverifiable(record: Record) -> None:
    """Refuse a record whose file has no published number, so that there is nothing to verify; the notes say why.

    Raises: UsageError.
    """
    published = record.published
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
    if record.status == "available":
        return
    found = {
        "unreleased": "the file that this number was measured with was never released",
        "broken": "the file at its address is not the one that this number was measured with",
    }
    instead = f"\n  Verify instead: {', '.join(record.superseded_by)}." if record.superseded_by else ""
    raise UsageError(
        f"{record.name}: {published} was published, but {found[record.status]}, so there is nothing to "
        f"verify{_notes(record)}{instead}"
    )


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
    if identity.num_classes != record.model.num_classes:  # of `benchmark --data`, with a file of somebody's own
        raise UsageError(
            f"{record.name}: these are scores of {identity.num_classes} classes, and {record.published} was published "
            f"of {record.model.num_classes}, so there is nothing to compare; `videohub benchmark` gives the numbers"
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
    used, published = identity.protocol, _plain(record.protocol)
    found = []
    if (used["clips"], used["crops"]) != (published["clips"], published["crops"]):
        found.append(
            f"the published number was measured with {published['clips']} x {published['crops']} views, this run used "
            f"{used['clips']} x {used['crops']}"
        )
    others = {**used, "clip": identity.clip}, {**published, "clip": _plain(record.clip)}
    found += [
        f"the record's protocol says {key} {others[1].get(key)}, this run used {others[0].get(key)}"
        for key in dict.fromkeys((*others[1], *others[0]))
        if key not in ("name", "clips", "crops") and others[0].get(key) != others[1].get(key)
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


def _notes(record: Record) -> str:
    return ":\n  " + "\n  ".join(record.notes) if record.notes else "."


def _plain(value: object) -> dict[str, Any]:
    """Return a struct as JSON values, as a run keeps them."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return plain
