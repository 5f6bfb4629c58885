"""Records in a terminal: the table of all, one in full, and what a model sees in a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from videohub.formatting import counted
from videohub.registry.labels import told
from videohub.registry.schema import Protocol, Published, Record
from videohub.terminal.layout import coloured, console, print_columns, styled, table

if TYPE_CHECKING:
    from videohub.prediction import Prediction

_SHORT = {
    "kinetics400": "K400",
    "kinetics600": "K600",
    "ava_v2.1": "AVA 2.1",
    "ava_v2.2": "AVA 2.2",
    "ssv2": "SSv2",
    "charades": "Charades",
    "imagenet1k": "ImageNet",
}


def print_records(records: Sequence[Record]) -> None:
    """Print one line a record, within 80 columns."""
    rows = [
        (
            record.name,
            _SHORT.get(record.protocol.dataset, record.protocol.dataset),
            f"{record.frames}x{record.rate}" if record.frames else "image",
            _numbers(record.published),
            record.status,
        )
        for record in records
    ]
    summary = f"{counted(len(records), 'record')}; published: top-1 / top-5 in per cent, or mAP"
    print_columns(("name", "data", "clip", "published", "status"), rows, summary)


def print_record(record: Record, namesakes: Sequence[str] = ()) -> None:
    """Print everything that one record says, and which others have its upstream name."""
    rows = table(header=False)
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    for name, value in _facts(record, namesakes):
        rows.add_row(name, value)
    console().print(styled(record.name, style="bold"), coloured(record.status))
    console().print(rows)


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """Print classes with their probability, best first, with a bar."""
    rows = table(header=False)
    rows.add_column(justify="right")
    rows.add_column(no_wrap=True, style="cyan")
    rows.add_column(overflow="fold")
    for prediction in predictions:
        bar = "█" * round(20 * prediction.probability)
        rows.add_row(f"{prediction.probability:.4f}", bar.ljust(20, "·"), prediction.label)
    console().print(rows)


def _facts(record: Record, namesakes: Sequence[str]) -> list[tuple[str, str]]:
    protocol, checkpoint = record.protocol, record.checkpoint
    facts = [
        ("upstream name", record.upstream_name),
        ("also called so", ", ".join(namesakes)),
        ("network", f"{record.arch} {record.depth}, {record.model.num_classes} classes"),
        ("labels", told(record.labels)),
        ("network input", f"{record.clip.frames} frames, every {record.clip.sampling_rate}"),
        ("protocol", _protocol(protocol)),
        ("published", str(record.published or "") + _as_printed(record.published)),
        ("source", record.published.source if record.published else ""),
        ("file", checkpoint.url or ""),
        ("container", f"{checkpoint.container or 'unknown'} (the bytes decide), layout {checkpoint.layout}"),
        ("sha256", checkpoint.sha256 or "not yet measured; the first one seen here will bind"),
        ("license", checkpoint.license),
        ("training", record.training + (f", from {record.pretrain}" if record.pretrain else "")),
        ("config", record.config or ""),
        ("paper", record.paper),
        ("superseded by", ", ".join(record.superseded_by)),
        *(("note", note) for note in record.notes),
    ]
    return [(name, value) for name, value in facts if value]


def _protocol(protocol: Protocol) -> str:
    crop = f"crop {protocol.crop}" if protocol.crop else "whole frame"
    return (
        f"{protocol.dataset} {protocol.split}, {protocol.clips} x {protocol.crops} views, "
        f"short side {protocol.short_side}, {crop}, {protocol.activation}, {protocol.ensemble} over views"
    )


def _numbers(published: Published | None) -> str:
    """Return the numbers, rounded; the table's last line tells what they are."""
    if published is None:
        return "–"
    numbers = published.numbers()
    return ("" if published.top1 is not None or not numbers else f"{next(iter(numbers))} ") + " / ".join(
        f"{number:.1f}" for number in numbers.values()
    )


def _as_printed(published: Published | None) -> str:
    if published is None or published.as_printed is None:
        return ""
    return f" (printed as {', '.join(f'{name} {value}' for name, value in published.as_printed.items())})"
