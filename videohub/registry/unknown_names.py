"""Names in a registry file that lead nowhere, looked up as the file has them: also where something else is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from videohub import metrics
from videohub.protocols import Flaw
from videohub.registry.messages import Steps, shown


def unknown_in_protocol(raw: Any, datasets: Collection[str]) -> Iterator[Flaw]:
    """Yield a metric and a data set that nobody knows."""
    fields = raw if isinstance(raw, dict) else {}
    metric, dataset = fields.get("metric"), fields.get("dataset")
    if isinstance(metric, str) and metric not in metrics.names():
        yield ("metric",), f"is {shown(metric)}, expected one of {', '.join(metrics.names())}", ""
    if isinstance(dataset, str) and dataset not in datasets:
        advice = f"Known: {', '.join(datasets)}. Others stand in `datasets`, such as `ours: {{title: Ours}}`."
        yield ("dataset",), f"is {shown(dataset)}, which is no known data set", advice


def unknown_in_record(
    fields: Mapping[str, Any],
    protocols: Collection[str],
    layouts: Mapping[str, Collection[str]],
    datasets: Collection[str],
) -> Iterator[Flaw]:
    """Yield protocols and data sets that nobody knows, and layouts that no table reads into the record's network."""
    protocol, model, files = fields.get("protocol"), fields.get("model"), fields.get("checkpoint")
    if "protocol" in fields and (not isinstance(protocol, str) or protocol not in protocols):
        advice = f"Known: {', '.join(protocols) or 'none'}."
        yield ("protocol",), f"is {shown(protocol)}, which is no known protocol", advice
    family = str(model.get("family")) if isinstance(model, dict) else ""
    places = [((index,), file) for index, file in enumerate(files)] if isinstance(files, list) else [((), files)]
    for place, file in places:
        layout = file.get("layout") if isinstance(file, dict) else None
        if isinstance(layout, str) and family in layouts and layout not in layouts[family]:
            what = f"is {shown(layout)}, and no table reads that into {family}"
            advice = f"A table lies in converters/{family}/, ours or the one beside a registry."
            yield ("checkpoint", *place, "layout"), what, advice
    published = fields.get("published")
    for index, number in enumerate(published if isinstance(published, list) else ()):
        mapped = number.get("mapped") if isinstance(number, dict) else None
        dataset = mapped.get("dataset") if isinstance(mapped, dict) else None
        if isinstance(dataset, str) and dataset not in datasets:
            what = f"is {shown(dataset)}, which is no known data set"
            yield ("published", index, "mapped", "dataset"), what, f"Known: {', '.join(datasets)}."


def unknown_records(fields: Mapping[str, Any], name: str, owners: Mapping[str, str]) -> Iterator[Flaw]:
    """Yield references of the record `name` to itself, or to none; `owners` are the ids behind names."""
    pretrain, superseded_by = fields.get("pretrain"), fields.get("superseded_by")
    references: list[tuple[Steps, Any]] = [(("pretrain",), pretrain)]
    if isinstance(superseded_by, list):
        references += [(("superseded_by", index), other) for index, other in enumerate(superseded_by)]
    for place, other in references:
        owner = owners.get(other.casefold()) if isinstance(other, str) else ""
        if owner is None:
            advice = "Name one of this file or of those read before it, or write null."
            if place != ("pretrain",):
                advice = "Say in `notes` what is known and has no record."
            yield place, f"is {shown(other)}, which is no record", advice
        elif owner == name:
            yield place, f"is {shown(other)}, the record itself", ""
