"""What braces and stars in a location stand for."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path

from videohub.errors import UsageError
from videohub.storage import buckets
from videohub.storage.locations import check_online, scheme_of, shown

MOST = 100_000  # names of one pattern; more is a slip
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
_STAR = re.compile(r"[*?[]")


def expand(pattern: str) -> list[str]:
    """Return the locations that a pattern stands for, in alphabetic order, each once.

    `{000..063}` and `{a,b}` are written out whether such files exist or not, so that who reads them can name what is
    missing. `*`, `?` and `[…]` stand for the files that are there; web servers cannot list theirs, so in http(s) a `?`
    begins the query and `*` is refused. A local file that has exactly the name is taken as it is.
    Raises: UsageError if braces hold something else, or stars find nothing; what listing a bucket raises.
    """
    scheme = scheme_of(pattern)
    if not scheme and Path(pattern).exists():
        return [pattern]
    names: set[str] = set()
    for name in _written_out(pattern):
        names.update(_found(name, scheme) if _has_stars(name, scheme) else [name])
        if len(names) > MOST:
            raise UsageError(f"{shown(pattern)}: stands for more than {MOST} files")
    return sorted(names)


def _written_out(pattern: str) -> Iterator[str]:
    """Yield a pattern with each of the alternatives of its braces."""
    braces = _BRACES.search(pattern)
    if braces is None:
        if "{" in pattern or "}" in pattern:
            raise UsageError(f"{shown(pattern)}: found a brace without its other half, expected such as {{000..063}}")
        yield pattern
        return
    for choice in _choices(braces[1], pattern):
        yield from _written_out(pattern[: braces.start()] + choice + pattern[braces.end() :])


def _choices(text: str, pattern: str) -> list[str]:
    """Return what one pair of braces stands for; numbers keep the zeros that the first is written with."""
    if bounds := _RANGE.fullmatch(text):
        first, last = int(bounds[1]), int(bounds[2])
        if not 0 <= last - first < MOST:
            raise UsageError(
                f"{shown(pattern)}: found {{{text}}}, expected two numbers in ascending order, fewer than {MOST} apart"
            )
        width = len(bounds[1]) if bounds[1].startswith("0") else 0
        return [f"{number:0{width}d}" for number in range(first, last + 1)]
    if "," not in text:
        raise UsageError(f"{shown(pattern)}: found {{{text}}}, expected such as {{000..063}} or {{a,b}}")
    return text.split(",")


def _has_stars(name: str, scheme: str) -> bool:
    """Tell whether a name is to be looked up."""
    if scheme not in ("http", "https"):
        return _STAR.search(name) is not None
    if "*" in shown(name):
        raise UsageError(
            f"{shown(name)}: found *, but a web server cannot list its files.\n"
            "  Write the names out, such as val-{000..063}.tar."
        )
    return False


def _found(name: str, scheme: str) -> list[str]:
    """Return the files that a pattern with stars finds. Raises: UsageError if there are none."""
    if scheme:
        check_online(name)
        found = buckets.listed(name)
    else:
        found = glob.glob(name)
    if not found:
        raise UsageError(f"{shown(name)}: matches no file; check the path, and quote the pattern from your shell")
    return found
