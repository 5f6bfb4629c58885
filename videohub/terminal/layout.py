"""How everything looks in a terminal: tables without lines, colours with a meaning, nobody else's control codes."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS = {"available": "green", "unreleased": "yellow", "broken": "red",
            "consistent": "green", "inconsistent": "red", "insufficient data": "yellow",
            "ready": "green", "usable, with remarks": "yellow", "not usable": "red",
            "current": "green", "damaged": "red", "stale": "yellow", "unfinished": "yellow"}  # fmt: skip


def print_error(error: Exception) -> None:
    """Print an error to stderr as `Kind: message`."""
    lines = f"{type(error).__name__}: {error}".split("\n")  # a server may have written part of it
    said = "\n".join(map(plain, lines))
    Console(stderr=True, highlight=False, soft_wrap=True).print(said, markup=False)


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
    return Text(word, style=_COLOURS.get(word, ""))


def table(*, header: bool = True, gap: int = 2) -> Table:
    """Return an empty table without lines; `gap` blanks stand between its columns."""
    return Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), show_header=header, header_style="dim")


def console() -> Console:
    """Return the console that results go to."""
    return Console(file=sys.stdout, highlight=False)
