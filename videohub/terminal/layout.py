"""How everything looks in a terminal: tables without lines, colours with a meaning, nobody else's control codes.

rich is imported where it is used: it takes longer than all that `videohub list` does, whose columns need none of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_COLOURS = {"available": "green", "unreleased": "yellow", "broken": "red",
            "consistent": "green", "inconsistent": "red", "insufficient data": "yellow",
            "ready": "green", "usable, with remarks": "yellow", "not usable": "red",
            "current": "green", "damaged": "red", "stale": "yellow", "unfinished": "yellow"}  # fmt: skip


def print_error(error: Exception) -> None:
    """Print an error to stderr as `Kind: message`."""
    from rich.console import Console

    lines = f"{type(error).__name__}: {error}".split("\n")  # a server may have written part of it
    said = "\n".join(map(plain, lines))
    Console(stderr=True, highlight=False, soft_wrap=True).print(said, markup=False)


def print_columns(header: Sequence[str], rows: Sequence[Sequence[str]], summary: str) -> None:
    """Print rows of short words, the last one of each in its colour, below a header and above a summary."""
    rows = [[plain(word) for word in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [click.style(_aligned(header, widths), dim=True)]
    for row in rows:
        *others, last = row
        lines.append(f"{_aligned(others, widths)} {click.style(last, fg=_COLOURS.get(last))}")
    lines.append(click.style(summary, dim=True))
    click.echo("\n".join(lines), color=_wanted_colours())


def plain(text: str) -> str:
    """Return text that a file or a server gave, without anything that would steer the terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def with_unit(size: int) -> str:
    """Return a size with three digits, in powers of 1000."""
    number, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while number >= 999.5 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.0f} B" if units[0] == "B" else f"{number:.3g} {units[0]}"


def coloured(word: str) -> Text:
    """Return a status or a verdict in its colour."""
    from rich.text import Text

    return Text(word, style=_COLOURS.get(word, ""))


def table(*, header: bool = True) -> Table:
    """Return an empty table without lines; two blanks stand between its columns."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header, header_style="dim")


def console() -> Console:
    """Return the console that results go to."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False)


def _aligned(words: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(map(str.ljust, words, widths))


def _wanted_colours() -> bool | None:
    """Return what the environment says of colours, as rich reads it; None leaves it to click, which asks the stream."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None
