"""Words of strangers, on a screen, in a log or on a page: what a file or a server says is shown, and never obeyed."""

from __future__ import annotations

import encodings.unicode_escape  # noqa: F401 - else the first odd letter of a file would import it
import re

# What steers whoever shows it: controls (C0, DEL, C1), line and paragraph ends, directions, halves of characters, and
# letters without a look. Joiners and spaces of every width stay: Persian, Hindi, French and emoji need them.
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE, _MESSAGE = 1_000, 20_000  # letters

# Every mark that Markdown or a reader of it could take for more than itself: emphasis, tables, links, tags, mentions.
_MARKDOWN = r"([\\`*_{}\[\]()<>#|~!&$@:])|(?<=www)\."
_JOINT = r"(?<=[\w)])([/_])(?=\w)"  # where browsers do not break by themselves, as they do after a hyphen


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


def in_html(text: object) -> str:
    """Return text for HTML, between tags or inside of quotes."""
    import html  # pages alone need it

    return html.escape(visible(str(text)), quote=True)


def in_narrow_html(text: object) -> str:
    """Return text for a narrow column of HTML: `something/someone` may be broken between its words, not within them."""
    return re.sub(_JOINT, r"\1<wbr/>", in_html(text))


def in_markdown(text: object) -> str:
    """Return text for a paragraph or a table's cell of Markdown."""
    return re.sub(_MARKDOWN, lambda mark: f"\\{mark[0]}", visible(str(text)))


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


def encodable(text: str) -> str:
    r"""Return a text that any file in UTF-8 takes: bytes of a file's name that are no text become such as `\udce9`."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def shortened(text: str, most: int) -> str:
    """Return text of about `most` letters: the beginning, how many were left out, and the end, where advice stands."""
    if len(text) <= most:
        return text
    head, tail = most * 3 // 4, most // 4
    return f"{text[:head]} … ({len(text) - head - tail:,} more letters) … {text[-tail:]}"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
