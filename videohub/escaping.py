"""Words of strangers on a screen or in a log: what a file, its name or a server says is shown, and never obeyed."""

from __future__ import annotations

import encodings.unicode_escape  # noqa: F401 - else the first odd letter of a file would import it
import re

# What steers whoever shows it: controls (C0, DEL, C1), line and paragraph ends, directions, halves of characters, and
# letters without a look. Joiners and spaces of every width stay: Persian, Hindi, French and emoji need them.
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE, _MESSAGE = 1_000, 20_000  # letters


def visible(text: str) -> str:
    r"""Return text on one line, in which all that steers is an escape of Python's, such as `\x1b`, `\n` or `\u202e`."""
    return _STEERING.sub(_escape, text)


def visible_json(text: str, *, encoding: str = "utf-8") -> str:
    r"""Return JSON text that says the same, in which all that steers is an escape of JSON's; line ends stay.

    Args:
        encoding: Where it lacks a letter, every letter beyond ASCII is an escape.
    """
    shown = _STEERING.sub(lambda found: found[0] if found[0] == "\n" else _json_escape(found[0]), text)
    try:
        shown.encode(encoding)
    except UnicodeEncodeError:
        return "".join(letter if letter.isascii() else _json_escape(letter) for letter in shown)
    return shown


def message(text: str) -> str:
    """Return a message of several lines for a screen or a log, cut to a length that can be read.

    Lines after the first are set in, so that none of a stranger's can be taken for another message.
    """
    bounded = shortened("\n".join(shortened(line, _LINE) for line in text.split("\n")), _MESSAGE)
    first, *rest = bounded.split("\n")
    return "\n".join(map(visible, [first, *(line if line[:1] in ("", " ") else f"  {line}" for line in rest)]))


def encodable(text: str) -> str:
    r"""Return a text that any file in UTF-8 takes: bytes of a file's name that are no text become such as `\udce9`."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def shortened(text: str, most: int) -> str:
    """Return text of about `most` letters: the beginning, how many were left out, and the end, where advice stands."""
    if len(text) <= most:
        return text
    head, tail = most * 3 // 4, most // 4
    return f"{text[:head]} … ({len(text) - head - tail:,} more letters) … {text[-tail:]}"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
