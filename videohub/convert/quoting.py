"""How what a file says is shown in an error: short, on one line, and with nothing in it that a terminal would obey."""

from __future__ import annotations

from videohub.escaping import shortened, visible


def quote(value: object) -> str:
    """Return a string of a file in quotes, a whole number in digits, and of anything else no more than its kind.

    A list that holds one list twice, which holds another one twice, is short in the file and endless when shown.
    """
    if isinstance(value, str | bytes):
        return repr(value[:80])
    if isinstance(value, int):
        return str(value) if abs(value) < 2**63 else "a huge number"
    return type(value).__name__


def brief(name: str) -> str:
    """Return a name that a file gives as a message shows it: on one line, and of bounded length."""
    return visible(shortened(name, 200))
