"""What people see in a terminal: tables of records, one record in full, a verdict, the cache."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from videohub.registry.schema import Protocol, Published, Record

if TYPE_CHECKING:
    from videohub.inventory.checking import Checked
    from videohub.inventory.items import Item
    from videohub.inventory.listing import Layer
    from videohub.inventory.pinned import Pinned
    from videohub.inventory.pruning import Pruned
    from videohub.prediction import Prediction
    from videohub.verification import Report

_SHORT = {
    "kinetics400": "K400",
    "kinetics600": "K600",
    "ava_v2.1": "AVA 2.1",
    "ava_v2.2": "AVA 2.2",
    "ssv2": "SSv2",
    "charades": "Charades",
    "imagenet1k": "ImageNet",
}
_COLOURS = {"available": "green", "unreleased": "yellow", "broken": "red",
            "consistent": "green", "inconsistent": "red", "insufficient data": "yellow",
            "current": "green", "damaged": "red", "stale": "yellow", "unfinished": "yellow"}  # fmt: skip


def print_records(records: Sequence[Record]) -> None:
    """Print one line a record, within 80 columns."""
    table = _table(gap=1)  # the longest name leaves no room for two
    table.add_column("name", no_wrap=True)
    table.add_column("data", no_wrap=True)
    table.add_column("clip", no_wrap=True)
    table.add_column("published", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for record in records:
        clip = f"{record.frames}x{record.rate}" if record.frames else "image"
        data = _SHORT.get(record.protocol.dataset, record.protocol.dataset)
        table.add_row(record.name, data, clip, _numbers(record.published), _coloured(record.status))
    _console().print(table)
    _console().print(f"{len(records)} records; published: top-1 / top-5 in per cent, or mAP", style="dim")


def print_record(record: Record) -> None:
    """Print everything that one record says."""
    table = _table(header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in _facts(record):
        table.add_row(name, value)
    _console().print(Text(record.name, style="bold"), _coloured(record.status))
    _console().print(table)


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """Print classes with their probability, best first, with a bar."""
    table = _table(header=False)
    table.add_column(justify="right")
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for prediction in predictions:
        bar = "█" * round(20 * prediction.probability)
        table.add_row(f"{prediction.probability:.4f}", bar.ljust(20, "·"), prediction.label)
    _console().print(table)


def print_report(report: Report) -> None:
    """Print a verification: the numbers side by side, what was missing, the verdict and why."""
    console = _console()
    console.print(Text(report.record, style="bold"), f"on {report.data}")
    console.print(
        f"{report.scored} of {report.listed} videos scored, {report.clips} x {report.crops} views each, "
        f"{report.seconds:.1f} s on {report.device}"
    )
    table = _table()
    for heading in ("", "published", "recomputed", "95 % interval", "with the missing"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for row in report.comparisons:
        table.add_row(
            row.metric,
            f"{row.published:.2f}",
            f"{row.recomputed:.2f}",
            f"{row.interval[0]:.2f} – {row.interval[1]:.2f}",
            f"{row.bounds[0]:.2f} – {row.bounds[1]:.2f}",
        )
    console.print(table)
    for failure in report.failures[:5]:
        console.print(f"not scored: {failure.video}: {failure.reason}", style="yellow")
    if len(report.failures) > 5:
        console.print(f"not scored: {len(report.failures) - 5} more, see --json or report.json", style="yellow")
    console.print("verdict:", _coloured(report.verdict))
    for reason in report.reasons:
        console.print(f"  {reason}")


def print_cache(layers: Sequence[Layer]) -> None:
    """Print what each layer of the cache holds, within 80 columns, with sums."""
    console = _console()
    for layer in layers:
        console.print(Text(_plain(layer.path), style="bold"), "(read-only)" if layer.read_only else "")
        if layer.own:
            console.print(_entries(layer.own))
        each = ", ".join(f"{kind} {_bytes(size)}" for kind, size in layer.sizes().items())
        console.print(f"{_counted(layer.own)}, {_bytes(layer.size)}" + (f": {each}" if each else ""), style="dim")
        if layer.others:
            names = ", ".join(_plain(item.entry.path.name) for item in layer.others[:3])
            more = f" and {len(layer.others) - 3} more" if len(layer.others) > 3 else ""
            console.print(f"not ours, and never touched: {names}{more}", style="dim", markup=False)
    if len(layers) > 1:
        console.print(f"{_bytes(sum(layer.size for layer in layers))} in all layers", style="dim")


def print_pruned(pruned: Pruned) -> None:
    """Print what was removed, or what would be."""
    console = _console()
    if pruned.chosen:
        console.print(_entries(pruned.chosen))
    after = pruned.size_before - pruned.freed
    if pruned.removed:
        console.print(f"removed {_counted(pruned.chosen)}, {_bytes(pruned.freed)}; {_bytes(after)} are left")
    else:
        console.print(f"would remove {_counted(pruned.chosen)}, {_bytes(pruned.freed)}, and leave {_bytes(after)}")
        console.print("Nothing was removed; the same with --yes does it.")
    for item in pruned.busy:
        path = _plain(str(item.entry.path))
        console.print(f"left alone, perhaps still being written: {path}", style="yellow", markup=False)


def print_checked(checked: Checked) -> None:
    """Print what is damaged and what was done about it, then how much was looked at."""
    console = _console()
    for findings, style in ((checked.damaged, "red"), (checked.unchecked, "yellow")):
        for finding in findings:
            of = f" of {', '.join(finding.records)}" if finding.records else ""
            word = "damaged" if findings is checked.damaged else "not checked"
            console.print(Text(f"{word}: {finding.kind}{of}", style=style))
            for line in (finding.path, finding.problem, *f"{finding.done}. {finding.advice}".splitlines()):
                console.print(Padding(Text(_plain(line), overflow="fold"), (0, 0, 0, 2)))
    sound = checked.checked - len(checked.damaged) - len(checked.unchecked)
    console.print(f"{sound} sound, {len(checked.damaged)} damaged, {len(checked.unchecked)} not checked; "
                  f"read {_bytes(checked.size)}")  # fmt: skip


def print_pins(pins: Sequence[Pinned]) -> None:
    """Print each URL with what was first seen there."""
    console = _console()
    for pin in pins:
        console.print(Text(", ".join(pin.records) or "of no record known here", style="bold"), _coloured(pin.status))
        source = f", from {pin.source}" if pin.source else ""
        lines = [pin.url or "", pin.path if pin.problem else f"sha256 {pin.sha256}",
                 pin.problem or f"{_bytes(pin.size or 0)}, first seen {pin.first_seen}{source}"]  # fmt: skip
        lines += [f"in the read-only layer: {pin.path}"] if pin.read_only else []
        for line in filter(None, lines):
            console.print(Padding(Text(_plain(line), overflow="fold"), (0, 0, 0, 2)))
    if not pins:
        console.print("Nothing was trusted on first use here.")


def print_error(error: Exception) -> None:
    """Print an error to stderr as `Kind: message`."""
    lines = f"{type(error).__name__}: {error}".split("\n")  # a server may have written part of it
    said = "\n".join(map(_plain, lines))
    Console(stderr=True, highlight=False, soft_wrap=True).print(said, markup=False)


def _facts(record: Record) -> list[tuple[str, str]]:
    protocol, checkpoint = record.protocol, record.checkpoint
    facts = [
        ("upstream name", record.zoo_name),
        ("network", f"{record.arch} {record.depth}, {record.model.num_classes} classes"),
        ("network input", f"{record.clip.frames} frames, every {record.clip.sampling_rate}"),
        ("protocol", _protocol(protocol)),
        ("published", str(record.published or "") + _as_printed(record.published)),
        ("source", record.published.source if record.published else ""),
        ("file", checkpoint.url or ""),
        ("container", f"{checkpoint.container or 'unknown'} (the bytes decide), read by {checkpoint.table}"),
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
    return ("mAP " if published.map is not None else "") + " / ".join(f"{n:.1f}" for n in published.numbers().values())


def _as_printed(published: Published | None) -> str:
    if published is None or published.as_printed is None:
        return ""
    return f" (printed as {', '.join(f'{name} {value}' for name, value in published.as_printed.items())})"


def _entries(items: Sequence[Item]) -> Table:
    """Return one line for each entry of the cache: what it is, how large, when last used, and of which records."""
    table = _table()
    table.add_column("kind", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("size", no_wrap=True, justify="right")
    table.add_column("used", no_wrap=True, justify="right")
    table.add_column("of", overflow="fold")
    for item in items:
        of = _plain(", ".join(item.records) or item.url or item.entry.path.name)
        size, age = _bytes(item.entry.size), _age(item.age_s)
        table.add_row(item.entry.kind, _coloured(item.status), size, age, Text(of, "" if item.records else "dim"))
    return table


def _plain(text: str) -> str:
    """Return text that a file or a server gave, without anything that would steer the terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _counted(items: Sequence[Item]) -> str:
    return "1 entry" if len(items) == 1 else f"{len(items)} entries"


def _bytes(size: int) -> str:
    """Return a size with three digits, in powers of 1000."""
    number, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while number >= 999.5 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.0f} B" if units[0] == "B" else f"{number:.3g} {units[0]}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"


def _coloured(word: str) -> Text:
    return Text(word, style=_COLOURS.get(word, ""))


def _table(*, header: bool = True, gap: int = 2) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), show_header=header, header_style="dim")


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False)
