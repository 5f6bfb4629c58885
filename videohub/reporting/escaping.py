"""Words of strangers in our pages: names of videos and reasons of decoders are shown, and never obeyed."""

from __future__ import annotations

import html
import re
import unicodedata

# Every mark that Markdown or a reader of it could take for more than itself: emphasis, tables, links, tags, mentions.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#|~!&$@:])|(?<=www)\.")

_JOINT = re.compile(r"(?<=[\w)])([/_])(?=\w)")  # where browsers do not break by themselves, as they do after a hyphen


def visible(text: str) -> str:
    """Return text without anything that steers: control, direction and other invisible letters become escapes."""
    return "".join(letter if _shows(letter) else letter.encode("unicode_escape").decode() for letter in text)


def in_html(text: object) -> str:
    """Return text for HTML, between tags or inside of quotes."""
    return html.escape(visible(str(text)), quote=True)


def in_narrow_html(text: object) -> str:
    """Return text for a narrow column of HTML: `something/someone` may be broken between its words, not within them."""
    return _JOINT.sub(r"\1<wbr/>", in_html(text))


def in_markdown(text: object) -> str:
    """Return text for a paragraph or a table's cell of Markdown."""
    return _MARKDOWN.sub(lambda mark: f"\\{mark[0]}", visible(str(text)))


def _shows(letter: str) -> bool:
    return letter == " " or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
