"""What mkdocs asks while it builds the site: the pages that are made from the project's own data.

A module of this folder that makes pages offers `pages(known)`, which yields the path of each below `docs/`, and its
text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.site import documents, errata, measurements, notebooks, proved, records, reference, zoo
from videohub import registry
from videohub.registry import Registry

PAGES: tuple[Callable[[Registry], Iterator[tuple[str, str]]], ...] = (
    documents.pages,
    errata.pages,
    measurements.pages,
    notebooks.pages,
    proved.pages,
    records.pages,
    reference.pages,
    zoo.pages,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here; one that `docs/` has by the same path gives way."""
    known = registry.load(registry.files()[0])
    for make in PAGES:
        for path, text in make(known):
            if (written := files.get_file_from_path(path)) is not None:
                files.remove(written)
            files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to the repository's files and notebooks lead to the pages that show them.

    What a guide says behind a block's language is for the tests, and no fence to mkdocs.
    """
    text = re.sub(r"^```(\w+) no-run$", r"```\1", markdown, flags=re.MULTILINE)
    return notebooks.relink(documents.relink(text, page.file.src_uri))
