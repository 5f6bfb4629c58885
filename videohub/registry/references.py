"""Which names in a protocol or a record lead nowhere, looked up as a file has them: also where something else is wrong.

Values of another type than the schema's are left to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from videohub import metrics
from videohub.protocols import Flaw
from videohub.registry.messages import shown

_EXAMPLE = "`ours: {title: Ours}`"


def of_protocol(protocol: Mapping[str, Any], datasets: Collection[str]) -> Iterator[Flaw]:
    """Yield a metric and a data set that nobody knows."""
    metric, dataset = protocol.get("metric"), protocol.get("dataset")
    if isinstance(metric, str) and metric not in metrics.names():
        yield ("metric",), f"is {shown(metric)}, expected one of {', '.join(metrics.names())}", ""
    if isinstance(dataset, str) and dataset not in datasets:
        advice = f"Known: {', '.join(datasets)}. Others stand in the section `datasets`, such as {_EXAMPLE}."
        yield ("dataset",), f"is {shown(dataset)}, which is no known data set", advice


def of_record(
    record: Mapping[str, Any], protocols: Collection[str], layouts: Mapping[str, Collection[str]]
) -> Iterator[Flaw]:
    """Yield a protocol that nobody knows, and layouts that no table reads into the record's network.

    Args:
        record: Its fields, with those that it shares.
        protocols: Their names.
        layouts: Those that have a table, of each family of networks.
    """
    protocol, model, files = record.get("protocol"), record.get("model"), record.get("checkpoint")
    if "protocol" in record and (not isinstance(protocol, str) or protocol not in protocols):
        advice = f"Known: {', '.join(protocols) or 'none'}."
        yield ("protocol",), f"is {shown(protocol)}, which is no known protocol", advice
    family = model.get("family") if isinstance(model, dict) else None
    if not isinstance(family, str) or family not in layouts:
        return
    listed = [((index,), file) for index, file in enumerate(files)] if isinstance(files, list) else [((), files)]
    for where, file in listed:
        layout = file.get("layout") if isinstance(file, dict) else None
        if isinstance(layout, str) and layout not in layouts[family]:
            what = f"is {shown(layout)}, and no table reads that into {family}"
            advice = f"A table lies in converters/{family}/, ours or the one beside a registry."
            yield ("checkpoint", *where, "layout"), what, advice


def to_records(record: Mapping[str, Any], name: str, owners: Mapping[str, str]) -> Iterator[Flaw]:
    """Yield references to records that are not there, or to the record itself.

    Args:
        record: Its fields.
        name: Its id.
        owners: The id of the record that each id and alias leads to, by the name in small letters.
    """
    pretrain, superseded_by = record.get("pretrain"), record.get("superseded_by")
    if isinstance(pretrain, str) and (flaw := _of_reference(pretrain, name, owners)):
        advice = "Name a record of this file or of one read before it, or write null."
        yield ("pretrain",), flaw, advice
    for index, other in enumerate(superseded_by if isinstance(superseded_by, list) else ()):
        if isinstance(other, str) and (flaw := _of_reference(other, name, owners)):
            yield ("superseded_by", index), flaw, "Say in `notes` what is known and has no record."


def _of_reference(other: str, name: str, owners: Mapping[str, str]) -> str | None:
    owner = owners.get(other.casefold())
    if owner is None:
        return f"is {shown(other)}, which is no record"
    return f"is {shown(other)}, the record itself" if owner == name else None
