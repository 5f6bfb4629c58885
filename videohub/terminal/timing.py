"""How fast a network is, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from videohub.formatting import counted, with_unit
from videohub.terminal.layout import console, styled, table

if TYPE_CHECKING:
    from videohub.timing import Speed, Spread


def print_speed(speed: Speed) -> None:
    """Print what a view costs, what it takes, and how near that is to the limit."""
    cores = f", {speed.threads} threads" if speed.threads else ""
    screen, rows = console(), table(header=False)
    screen.print(styled(f"{speed.record}: {speed.device}{cores}, {speed.precision}", style="bold"))
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    for name, value in _facts(speed):
        rows.add_row(name, value)
    screen.print(rows)


def _facts(speed: Speed) -> Iterator[tuple[str, str]]:
    people = f", {speed.boxes} box" if speed.boxes else ""
    yield "view", " x ".join(map(str, speed.view)) + people
    yield "parameters", f"{speed.parameters / 1e6:.1f} million"
    yield "work", f"{speed.multiply_adds / 1e9:.2f} G multiply-adds a view, as published tables count"
    yield "speed", f"{_told(speed.views_per_second)} views a second, {speed.batch} at once, {speed.turns} turns"
    yield "a view", f"{_told(speed.seconds)} s"
    views = counted(speed.views_per_sample, "view")
    yield f"a {speed.sample}", f"{speed.seconds_per_sample:.3g} s, {views}, without decoding and preparing its frames"
    yield (
        "limit",
        f"{100 * speed.share_of_product.median:.0f} % of the speed of a matrix product, which does "
        f"{_told(speed.product)} G multiply-adds a second",
    )
    if speed.memory is not None:
        yield "memory", f"{with_unit(speed.memory)} on the GPU"


def _told(spread: Spread) -> str:
    return f"{spread.median:.3g} ({spread.least:.3g} to {spread.most:.3g})"
