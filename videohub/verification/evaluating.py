"""The numbers of a record on one's own data, without a verdict: nothing needs to be published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from videohub import registry, runs
from videohub.errors import UsageError
from videohub.registry.schema import Record
from videohub.reporting.numbers import Number, numbers
from videohub.reporting.report import Failure
from videohub.verification import sharding
from videohub.verification.measuring import Target, measure
from videohub.verification.settings import Settings
from videohub.verification.verifying import run_folder


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """What a network came to on a data set, and how fast; counts are videos, images or key frames."""

    record: str
    dataset: str
    split: str
    numbers: list[Number]  # the first one is what the protocol is known by
    listed: int
    chosen: int
    scored: int
    pending: int  # chosen, but not looked at yet
    failures: list[Failure]
    clips: int
    crops: int
    precision: str
    decoder: str
    devices: list[str]
    seconds: float  # of all processes together
    per_second: float | None


def evaluate(
    name: str | Record,
    data: str | Path,
    *,
    checkpoint: str | Path | None = None,
    out: str | Path | None = None,
    **settings: Any,
) -> Evaluated:
    """Score every listed video as the record's protocol says, and return what that comes to.

    It is what `verify` does, without a published number and without a verdict: for networks of one's own, too. Runs are
    kept and gone on with in the same way, and `verify` can judge one later.

    Args:
        name: A record, its id or its upstream name.
        data: The data set's list, or the folder of its lists.
        checkpoint: A local copy of the published file, instead of the record's URL.
        out: Folder of the run; None: nothing is kept.
        settings: The other arguments of `verify`, but `until_decided`, which follows a published number.
    Raises: what `verify` raises, but for a record without a published number.
    """
    record = registry.record(name)
    if settings.get("until_decided") is not None:
        raise UsageError("until_decided: follows a published number; call verify, or leave it out")
    with run_folder(out) as folder:
        measure([Target(record, folder, checkpoint)], data, Settings(**settings))
        sharding.wait_for_all()
        return _evaluated(runs.join([folder]), record)


def _evaluated(joined: runs.Joined, record: Record) -> Evaluated:
    found = numbers(joined, record)
    identity, entries = joined.identity, joined.entries.values()
    failures = [Failure(entry.name, entry.failure) for entry in entries if entry.failure is not None]
    seconds = sum(one.seconds for one in joined.made_by)
    return Evaluated(
        record=record.name,
        dataset=identity.dataset,
        split=identity.split,
        numbers=found,
        listed=identity.listed,
        chosen=len(joined.truth.names),
        scored=len(entries) - len(failures),
        pending=len(joined.pending),
        failures=failures,
        clips=identity.protocol["clips"],
        crops=identity.protocol["crops"],
        precision=identity.precision,
        decoder=identity.decoder,
        devices=sorted({one.device for one in joined.made_by}),
        seconds=round(seconds, 3),
        per_second=len(entries) / seconds if seconds else None,
    )
