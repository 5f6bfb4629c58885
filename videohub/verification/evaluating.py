"""The numbers of a record on one's own data, without a verdict: nothing needs to be published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from videohub import metrics, registry, runs
from videohub.errors import UsageError
from videohub.metrics.metric import Number
from videohub.registry.labels import Given
from videohub.registry.schema import Record
from videohub.reporting.building import counts_of, failures_of, weights_of
from videohub.reporting.contradicted import contradicted, without
from videohub.reporting.refusals import refuse_another_record, refuse_unscored
from videohub.reporting.report import Contradicted, Counts, Failure, Weights
from videohub.verification import sharding
from videohub.verification.measuring import measure, target_of
from videohub.verification.settings import Settings
from videohub.verification.verifying import run_folder


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """What a network came to on a data set, and how fast, in the words of a `Report`.

    A mean average precision of a sample is another quantity than that of the whole list, a higher one.
    """

    record: str
    dataset: str
    split: str
    numbers: list[Number]  # the first one is what the protocol is known by
    counts: Counts
    failures: list[Failure]
    contradicted: list[Contradicted]  # scored videos whose header contradicts their content
    without_contradicted: list[Number]  # the numbers without those; empty where there are none
    weights: Weights
    protocol: dict[str, Any]  # as it was used: `clips` and `crops` may differ from the record's
    precision: str
    decoder: str
    made_by: list[runs.MadeBy]
    seconds: float  # of all processes together
    videos_per_second: float | None


def evaluate(
    name: str | Record,
    data: str | Path,
    *,
    checkpoint: str | Path | None = None,
    labels: Given | None = None,
    out: str | Path | None = None,
    **settings: Any,
) -> Evaluated:
    """Score every listed video as the record's protocol says, and return what that comes to.

    It is what `verify` does, without a published number and without a verdict: for networks of one's own, too. Runs are
    kept and gone on with in the same way, and `verify` can judge one later.

    Args:
        name: A record, its id or its upstream name.
        data: The data set's list, or the folder of its lists.
        checkpoint: A file of one's own instead of the record's URL, whose number of classes it may have; see `load`.
        labels: What the outputs are called; None: as the file or the record says.
        out: Folder of the run; None: nothing is kept.
        settings: The other arguments of `verify`, but `until_decided`, which follows a published number.
    Raises: what `verify` raises, but for a record without a published number.
    """
    record = registry.record(name)
    if settings.get("until_decided") is not None:
        raise UsageError("until_decided: follows a published number; call verify, or leave it out")
    with run_folder(out) as folder:
        target = target_of(record, folder, checkpoint=checkpoint, labels=labels)
        measure([target], data, Settings(**settings))
        sharding.wait_for_all()
        return _evaluated(runs.join([folder]), target.record)


def _evaluated(joined: runs.Joined, record: Record) -> Evaluated:
    refuse_another_record(joined, record)
    refuse_unscored(joined, record)
    metric, identity, odd = metrics.of(record.protocol.metric), joined.identity, contradicted(joined)
    rest = without(joined, odd) if odd else None
    seconds = sum(one.seconds for one in joined.made_by)
    return Evaluated(
        record=record.name,
        dataset=identity.dataset,
        split=identity.split,
        numbers=metric.measure(joined),
        counts=counts_of(joined),
        failures=failures_of(joined),
        contradicted=odd,
        without_contradicted=[] if rest is None else metric.measure(rest),
        weights=weights_of(identity, record),
        protocol=identity.protocol,
        precision=identity.precision,
        decoder=identity.decoder,
        made_by=joined.made_by,
        seconds=round(seconds, 3),
        videos_per_second=len(joined.entries) / seconds if seconds else None,
    )
