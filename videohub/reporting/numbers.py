"""What a run's scores come to, with nothing to compare them with."""

from __future__ import annotations

import msgspec

from videohub.metrics import bootstrap_interval, wilson_interval
from videohub.registry.schema import Record
from videohub.reporting import accuracies, precisions
from videohub.reporting.refusals import refuse_another_record, refuse_unscored
from videohub.runs import Joined


class Number(msgspec.Struct, frozen=True):
    """A metric on the videos that could be scored, and what chance allows at 95 %; in per cent."""

    metric: str
    value: float
    interval: tuple[float, float]


def numbers(joined: Joined, record: Record) -> list[Number]:
    """Return the metrics of a record's protocol: top-1 and top-5, or mAP.

    Raises: UsageError if the run is another record's; DataError if nothing was scored.
    """
    refuse_another_record(joined, record)
    refuse_unscored(joined, record)
    if record.protocol.metric == "topk":
        return [
            Number(metric, 100 * float(right.mean()), wilson_interval(int(right.sum()), len(right)))
            for metric, right in accuracies.hits(joined).items()
        ]
    curves = precisions.curves(joined, record)
    low, high = bootstrap_interval(curves)
    return [Number("mAP", 100 * curves.mean(), (100 * low, 100 * high))]
