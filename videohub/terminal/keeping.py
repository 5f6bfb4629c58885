"""The cache in a terminal: what it holds, what was removed, what is damaged, what was trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table

from videohub.formatting import counted, with_unit
from videohub.terminal.layout import coloured, console, styled, table

if TYPE_CHECKING:
    from videohub.inventory.checking import Checked
    from videohub.inventory.items import Item
    from videohub.inventory.listing import Layer
    from videohub.inventory.pinned import Pinned
    from videohub.inventory.pruning import Pruned


def print_cache(layers: Sequence[Layer]) -> None:
    """Print what each layer of the cache holds, within 80 columns, with sums."""
    screen = console()
    for layer in layers:
        screen.print(styled(layer.path, style="bold"), "(read-only)" if layer.read_only else "")
        if layer.own:
            screen.print(_entries(layer.own))
        each = ", ".join(f"{kind} {with_unit(size)}" for kind, size in layer.sizes().items())
        screen.print(
            f"{counted(len(layer.own), 'entry')}, {with_unit(layer.size)}" + (f": {each}" if each else ""), style="dim"
        )
        if layer.others:
            names = ", ".join(item.entry.path.name for item in layer.others[:3])
            more = f" and {len(layer.others) - 3} more" if len(layer.others) > 3 else ""
            screen.print(f"not ours, and never touched: {names}{more}", style="dim")
    if len(layers) > 1:
        screen.print(f"{with_unit(sum(layer.size for layer in layers))} in all layers", style="dim")


def print_pruned(pruned: Pruned) -> None:
    """Print what was removed, or what would be."""
    screen = console()
    if pruned.chosen:
        screen.print(_entries(pruned.chosen))
    left, freed = with_unit(pruned.size_before - pruned.freed), with_unit(pruned.freed)
    entries = counted(len(pruned.chosen), "entry")
    if pruned.removed:
        screen.print(f"removed {entries}, {freed}; {left} are left")
    else:
        screen.print(f"would remove {entries}, {freed}, and leave {left}")
        screen.print("Nothing was removed; the same with --yes does it.")
    for item in pruned.busy:
        path = str(item.entry.path)
        screen.print(f"left alone, perhaps still being written: {path}", style="yellow")


def print_checked(checked: Checked) -> None:
    """Print what is damaged and what was done about it, then how much was looked at."""
    screen = console()
    for findings, style in ((checked.damaged, "red"), (checked.unchecked, "yellow")):
        for finding in findings:
            of = f" of {', '.join(finding.records)}" if finding.records else ""
            word = "damaged" if findings is checked.damaged else "not checked"
            screen.print(styled(f"{word}: {finding.kind}{of}", style=style))
            for line in (finding.path, finding.problem, *f"{finding.done}. {finding.advice}".splitlines()):
                screen.print(Padding(styled(line, overflow="fold"), (0, 0, 0, 2)))
    sound = checked.checked - len(checked.damaged) - len(checked.unchecked)
    screen.print(f"{sound} sound, {len(checked.damaged)} damaged, {len(checked.unchecked)} not checked; "
                  f"read {with_unit(checked.size)}")  # fmt: skip


def print_pins(pins: Sequence[Pinned]) -> None:
    """Print each URL with what was first seen there."""
    screen = console()
    for pin in pins:
        screen.print(styled(", ".join(pin.records) or "of no record known here", style="bold"), coloured(pin.status))
        source = f", from {pin.source}" if pin.source else ""
        lines = [pin.url or "", pin.path if pin.problem else f"sha256 {pin.sha256}",
                 pin.problem or f"{with_unit(pin.size or 0)}, first seen {pin.first_seen}{source}"]  # fmt: skip
        lines += [f"in the read-only layer: {pin.path}"] if pin.read_only else []
        for line in filter(None, lines):
            screen.print(Padding(styled(line, overflow="fold"), (0, 0, 0, 2)))
    if not pins:
        screen.print("Nothing was trusted on first use here.")


def _entries(items: Sequence[Item]) -> Table:
    """Return one line for each entry of the cache: what it is, how large, when last used, and of which records."""
    rows = table()
    rows.add_column("kind", no_wrap=True)
    rows.add_column("status", no_wrap=True)
    rows.add_column("size", no_wrap=True, justify="right")
    rows.add_column("used", no_wrap=True, justify="right")
    rows.add_column("of", overflow="fold")
    for item in items:
        of = ", ".join(item.records) or item.url or item.entry.path.name
        of += f", from {item.source}" if item.source else ""
        of += f" (known by {item.bundle} alone)" if item.bundle else ""
        size, age = with_unit(item.entry.size), _age(item.age_s)
        rows.add_row(item.entry.kind, coloured(item.status), size, age, styled(of, "" if item.records else "dim"))
    return rows


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"
