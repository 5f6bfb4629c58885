"""The repository's own documents as pages of the site, and links of pages to what lies outside of `docs/`."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from videohub.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
# Each document, and the page that is made of it; the README is the site's home.
DOCUMENTS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/finetune.py": "examples/finetune.md",
    "registry/README.md": "publishers.md",
    "tests/zoo/results.md": "zoo_walk.md",
}
# What mkdocs is told of a page: pages with wide tables get the contents' column, and what repeats other pages' words is
# not found before those.
SETTINGS = {
    "benchmarks.md": "hide: [toc]",
    "changelog.md": "search: {boost: 0.1}",
    "zoo_walk.md": "hide: [toc]\nsearch: {exclude: true}",
}
_PICTURE = re.compile(r"!\[(?P<words>[^][]+)\]\((?P<path>[\w./-]+)\.png\)")
_LINK = re.compile(r"\]\((?P<path>[\w./-]+)(?P<anchor>#[\w-]+)?\)")


def pages(known: Registry) -> Iterator[tuple[str, str]]:
    """Yield the page of each document."""
    for document, page in DOCUMENTS.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        settings = f"---\n{SETTINGS[page]}\n---\n" if page in SETTINGS else ""
        yield page, settings + (text if document.endswith(".md") else f"# {document}\n\n```python\n{text}```\n")


def relink(text: str, page: str) -> str:
    """Return a page's text with links that lead from it, where it lies in the repository, to pages of the site.

    A link to a file of the repository that no page shows becomes its text alone, followed by the file's path. A picture
    that has one for dark pages beside it, `NAME_dark.png`, is followed by that; the theme shows one of them.
    """
    source = {made: document for document, made in DOCUMENTS.items()}.get(page, f"docs/{page}")

    def replace(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["path"]))
        if not (ROOT / target).exists():  # no link, or a page that is made: mkdocs looks at it
            return match[0]
        within = target.removeprefix("docs/") if target.startswith("docs/") else None
        shown = DOCUMENTS.get(target) or within
        if shown is None:
            return f"] (`{target}`)"
        return f"]({os.path.relpath(shown, posixpath.dirname(page) or '.')}{match['anchor'] or ''})"

    def for_both(match: re.Match[str]) -> str:
        words, path = match["words"], match["path"]
        if not (ROOT / "docs" / posixpath.dirname(page) / f"{path}_dark.png").exists():
            return match[0]
        return f"![{words}]({path}.png#only-light) ![{words}]({path}_dark.png#only-dark)"

    return _PICTURE.sub(for_both, re.sub(r"\[([^][]*)\] \(", r"\1 (", _LINK.sub(replace, text)))
