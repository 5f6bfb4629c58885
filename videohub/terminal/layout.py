"""How everything looks in a terminal: tables without lines, colours with a meaning, nobody else's control codes.

rich is imported where it is used: it takes longer than all that `videohub list` does, whose columns need none of it.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from videohub import escaping
from videohub.escaping import visible

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, OverflowMethod
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

_COLOURS = {"available": "green", "unreleased": "yellow", "broken": "red",
            "consistent": "green", "inconsistent": "red", "insufficient data": "yellow",
            "ready": "green", "usable, with remarks": "yellow", "not usable": "red",
            "current": "green", "damaged": "red", "unreadable": "red", "stale": "yellow",
            "unfinished": "yellow"}  # fmt: skip
UNREAD = 141  # the exit code of a program that SIGPIPE ends
_IN_ASCII = {"█": "#", "·": ".", "…": "...", "–": "-", "×": "x", "±": "+-", "≥": ">=", "≤": "<="}
_BLANKS_AT_THE_END = r"(?m) +((?:\x1b\[[0-9;]*m)*)$"


def write(text: str | bytes, *, err: bool = False, nl: bool = True, colours: bool | None = None) -> None:
    """Write what is escaped already, in the encoding of the stream; click by itself takes UTF-8 for ASCII.

    Args:
        colours: Whether they stay; None: at a terminal.
    Raises: SystemExit where nobody reads stdout any more: click would end with 1, which for `verify` is a verdict.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        click.echo(text, file=stream, nl=nl, color=colours)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # for what Python still writes at its end
        if not err:
            raise SystemExit(UNREAD) from None


def say(*lines: str, err: bool = False) -> None:
    """Print lines for people to stdout, or to stderr."""
    for line in lines:
        write(visible(line), err=err)


def tell(words: str) -> None:
    """Print a message, of several lines perhaps, to stderr."""
    write(escaping.message(words), err=True)


def hand_over(*lines: str) -> None:
    """Print lines that a script takes, such as a path: their very bytes, and on a screen only what can be shown."""
    shown = map(visible, lines) if sys.stdout.isatty() else lines
    write(b"".join(os.fsencode(line) + b"\n" for line in shown), nl=False)


def print_error(error: Exception) -> None:
    """Print an error to stderr as `Kind: message`."""
    tell(f"{type(error).__name__}: {error}")


def print_misuse(error: click.ClickException) -> None:
    """Print to stderr what click says of a command line, whose words may be names of files."""
    printed = io.StringIO()
    error.show(file=printed)
    usage, mark, message = printed.getvalue().rstrip("\n").partition("Error: ")
    shown = "\n".join(map(visible, usage.split("\n")))
    write(shown + (escaping.message(mark + message) if mark else ""), err=True)


def print_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print where an unforeseen error arose, which may quote a stranger; stands in for `sys.excepthook`."""
    import traceback

    tell("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))
    if added := _added_file(error, trace):
        tell(f"This arose in {added}, a file that was added to videohub: mend it there.")
    elif issubclass(kind, Exception):
        tell("This is a mistake of videohub's. Please report it, with the command and what `videohub doctor` says.")


def _added_file(error: BaseException, trace: TracebackType | None) -> str | None:
    """Return the file beside ours, such as a family of somebody's own, that an error arose in; None if it was ours."""
    import traceback

    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    files = [each.f_code.co_filename for each in frames if each.f_globals.get("__name__", "").startswith("videohub.")]
    file = error.filename if isinstance(error, SyntaxError) else next(reversed(files), None)
    ours = Path(escaping.__file__).resolve().parent
    return file if file and Path(file).is_file() and not Path(file).resolve().is_relative_to(ours) else None


def print_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    """Print a library's warning to stderr; stands in for `warnings.showwarning`."""
    tell(f"{filename}:{lineno}: {category.__name__}: {message}")


def write_anywhere() -> None:
    """Let stdout and stderr take every letter: what their encoding lacks becomes the nearest of ASCII, or an escape."""
    codecs.register_error("videohub", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="videohub")


def print_columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], summary: str, *, dispensable: Sequence[str] = ()
) -> None:
    """Print rows of short words, the last one of each in its colour, below a header and above a summary.

    Args:
        dispensable: Columns that go, the first one first, until the rest fits the terminal, and the summary
            tells which; where nothing makes it fit, none goes.
    """
    columns = {name: [*map(visible, words)] for name, *words in zip(header, *rows, strict=True)}
    widths = {name: max(map(len, [name, *words])) for name, words in columns.items()}
    room = shutil.get_terminal_size().columns + 1  # each column has a blank behind it, the last one none
    shorter = (dispensable[:count] for count in range(len(dispensable) + 1))
    fits = (gone for gone in shorter if sum(widths[name] + 1 for name in columns if name not in gone) <= room)
    gone = next(fits, ())
    if gone:
        summary += f"\nin a wider terminal: {', '.join(gone)}"
    header = [name for name in header if name not in gone]
    rows = list(zip(*(columns[name] for name in header), strict=True))
    shown = [widths[name] for name in header]
    lines = [click.style(_aligned(header, shown).rstrip(), dim=True)]
    for row in rows:
        *others, last = row
        lines.append(f"{_aligned(others, shown)} {click.style(last, fg=_COLOURS.get(last))}")
    lines.append(click.style(summary, dim=True))
    write("\n".join(lines), colours=_wanted_colours())


def styled(words: str, style: str = "", *, overflow: OverflowMethod | None = None) -> Text:
    """Return words in a style, on one line."""
    from rich.text import Text

    return Text(visible(words), style=style, overflow=overflow)


def indented(words: str, style: str = "", *, left: int = 2, overflow: OverflowMethod | None = None) -> Padding:
    """Return words in a style, all of their lines set in."""
    from rich.padding import Padding

    return Padding(styled(words, style, overflow=overflow), (0, 0, 0, left))


def coloured(word: str) -> Text:
    """Return a status or a verdict in its colour."""
    return styled(word, _COLOURS.get(word, ""))


def table(*, header: bool = True) -> Table:
    """Return an empty table without lines; two blanks stand between its columns."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header, header_style="dim")


def facts(named: Iterable[tuple[str, str]]) -> Table:
    """Return a table of names and what is known by them."""
    rows = table(header=False)
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    for name, value in named:
        rows.add_row(name, value)
    return rows


def console() -> Console:
    """Return the console that results go to: no word is taken for markup or obeyed, and no line ends with blanks."""
    from rich.console import Console

    class Results(Console):
        def render_str(self, text: str, **how: Any) -> Text:  # every str comes by here, in a table or alone
            return super().render_str(visible(text), **how)

        def print(self, *objects: Any, **how: Any) -> None:
            with self.capture() as printed:
                super().print(*objects, **how)
            write(re.sub(_BLANKS_AT_THE_END, r"\1", printed.get()), nl=False, colours=True)

    return Results(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(letter) or ascii(letter)[1:-1] for letter in lacking), error.end


def _aligned(words: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(map(str.ljust, words, widths))


def _wanted_colours() -> bool | None:
    """Return what the environment says of colours, as rich reads it; None leaves it to click, which asks the stream."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None
