"""The page of errata, made from docs/errata.yaml, and which of them are about a record.

`python -m tools.site.errata` writes docs/errata.md, which has no links to the records' pages; the site's page has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from videohub import registry
from videohub.registry import Registry, strict_yaml

FILE = Path(__file__).resolve().parents[2] / "docs" / "errata.yaml"
SHOWN = 4  # records that a cell names


class Erratum(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that a publisher states of a checkpoint, and what contradicts it; docs/errata.yaml tells each field."""

    where: str
    prints: str
    right: str
    known_by: str | None
    records: tuple[str, ...] = ()

    def about(self, known: Registry) -> list[str]:
        """Return the ids of the records that it is about."""
        return [name for name in known.records if any(fnmatchcase(name, pattern) for pattern in self.records)]

    def in_words(self) -> str:
        """Return it as a sentence in Markdown."""
        known_by = f" ({self.known_by})" if self.known_by else ""
        return f"{self.where}: it prints {self.prints}. Right, or against it: {self.right}.{known_by}"


class OfPublisher(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The errata of one publisher's tables."""

    name: str  # as the registry calls it
    read: str  # what was read, and at which commit
    errata: tuple[Erratum, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    publishers: tuple[OfPublisher, ...]


def read() -> tuple[OfPublisher, ...]:
    """Return all errata, publisher by publisher."""
    return msgspec.convert(strict_yaml.read(FILE).value, type=_File).publishers


def pages(known: Registry) -> Iterator[tuple[str, str]]:
    """Yield the page."""
    yield "errata.md", page(known, link="[{0}](records/{0}.md)")


def main() -> None:
    """Write docs/errata.md."""
    FILE.with_suffix(".md").write_text(page(registry.load(registry.files()[0])), encoding="utf-8")


def page(known: Registry, link: str = "`{0}`") -> str:
    """Return the page: a table for each publisher. `link` is what a record's id is written as."""
    parts = [_BEGINNING]
    for publisher in read():
        rows = [
            (
                each.where + _records(each.about(known), link),
                each.prints,
                each.right,
                each.known_by or "not noted",
            )
            for each in publisher.errata
        ]
        header = ("where", "what it prints", "what is right, or against it", "how it is known")
        lines = [header, ["---"] * len(header), *rows]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        parts += [
            f"## {known.publishers[publisher.name].title}",
            publisher.read,
            f'<div class="errata" markdown>\n\n{table}\n\n</div>',
        ]
    return "\n\n".join(parts) + "\n"


_BEGINNING = """\
# Errata of published tables

What a publisher's own table, configuration or documentation says of a checkpoint, what is right or contradicts it, and
how that is known. What follows for a record is in its notes. Made from `errata.yaml`; write a new one there."""


def _records(names: Sequence[str], link: str) -> str:
    """Return the records that an erratum is about, on a line of their own."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"<br>{', '.join(map(link.format, names[:SHOWN]))}{more}" if names else ""


if __name__ == "__main__":
    main()
