"""Trust on first use, as people see it: what is bound, what the registry could take over, and how to let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from videohub import registry
from videohub.errors import CacheError, UsageError
from videohub.hub import cache, keeping, pins
from videohub.inventory.items import Item, Known, items
from videohub.registry import patching


@dataclass(frozen=True)
class Pinned:
    """A URL, the first file that came from it, and the records that name it; `problem` if the note is damaged."""

    records: Sequence[str]
    url: str | None
    sha256: str | None
    size: int | None
    first_seen: str | None
    source: str | None
    status: str
    read_only: bool
    path: str
    problem: str | None


@dataclass(frozen=True)
class Forgotten:
    """A pin that was dropped; `sha256` is None if there was none, or if it was damaged."""

    name: str
    url: str
    was_pinned: bool
    sha256: str | None = None
    first_seen: str | None = None


def pinned() -> list[Pinned]:
    """Return the pins of all layers, by URL."""
    found = [_pinned(item) for item in items() if item.entry.kind == "pin"]
    return sorted(found, key=lambda pin: (pin.url or "", pin.path))


def patch() -> patching.Patch:
    """Return the patch that writes what was first seen here into the registry files that leave it null.

    Raises: RegistryError if a file cannot be read.
    """
    known = Known(keeping.entries())
    learnt: dict[str, dict[str, str | int]] = {}
    contradicted: dict[str, str] = {}
    for name, record in known.records.items():
        published, pin = record.checkpoint, known.pins.get(record.checkpoint.url or "")
        if pin is None:
            continue
        if published.sha256 not in (None, pin.sha256) or published.size not in (None, pin.size):
            contradicted[name] = f"the registry states another file than was first seen here, {pin.first_seen}"
            continue
        seen: dict[str, str | int] = {"sha256": pin.sha256, "size": pin.size}
        if fields := {field: value for field, value in seen.items() if getattr(published, field) is None}:
            learnt[name] = fields
    made = patching.patch(learnt, registry.files())
    return replace(made, left={**made.left, **contradicted})


def url_of(name: str) -> str:
    """Return the URL of a record, or the URL that was given.

    Raises: UnknownNameError; UsageError if the record has no URL.
    """
    url = name if "://" in name else registry.record(name).checkpoint.url
    if url is None:
        raise UsageError(f"{name}: was never released, so that nothing of it was seen here")
    return url


def forget(name: str) -> Forgotten:
    """Drop what is known of a record's URL, or of a URL, so that the next fetch takes what it finds.

    The file that came from it goes too.
    Raises: UnknownNameError; UsageError if the record has no URL; CacheError if a read-only layer binds it.
    """
    url = url_of(name)
    note = f"{cache.key_of(url)}.json"
    shared = [layer / "pins" / note for layer, is_shared in keeping.layers() if is_shared]
    if binding := next((path for path in shared if path.is_file()), None):
        raise CacheError(
            f"{binding}: lies in VIDEOHUB_CACHE_RO, and binds {url}.\n"
            "  Whoever keeps that folder has to remove the file, or unset the variable."
        )
    entry = next((entry for entry in keeping.entries() if entry.kind == "pin" and entry.path.name == note), None)
    if entry is None:
        return Forgotten(name, url, was_pinned=False)
    if entry.pin is None:  # damaged, and names no file to remove with it
        keeping.remove(entry)
        return Forgotten(name, url, was_pinned=True)
    with cache.at_work(f"{name}: the pin cannot be removed"):
        pins.forget(url)
    return Forgotten(name, url, True, entry.pin.sha256, entry.pin.first_seen)


def _pinned(item: Item) -> Pinned:
    entry, pin = item.entry, item.entry.pin
    return Pinned(
        records=item.records,
        url=item.url,
        sha256=pin.sha256 if pin else None,
        size=pin.size if pin else None,
        first_seen=pin.first_seen if pin else None,
        source=pin.source if pin else None,
        status=item.status,
        read_only=entry.shared,
        path=str(entry.path),
        problem=item.problem,
    )
