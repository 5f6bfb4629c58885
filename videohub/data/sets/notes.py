"""What a reader tells about things that it passed over: what they are, how many, and the first few by name."""

from __future__ import annotations

from collections.abc import Sequence


def left_out(what: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a note on things that were left out; none where nothing was."""
    return note(f"left out: {what}", names)


def note(what: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a note such as `files that are no videos, 3 in all: a.txt, b.txt, c.txt`; none where there is nothing."""
    return (f"{what}, {len(names)} in all: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}",) if names else ()
