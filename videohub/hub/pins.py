"""Trust on first use: a URL whose digest nobody has published is bound to the first file that came from it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec

from videohub.errors import CacheError
from videohub.files import as_json, claim, remove_stale_temps
from videohub.hub import cache
from videohub.value_types import Sha256


class Pin(msgspec.Struct, frozen=True):
    """What a URL held when it was first seen here; fields that a newer version adds are passed over."""

    url: str
    sha256: Sha256
    size: Annotated[int, msgspec.Meta(ge=0)]
    first_seen: str
    source: str = ""  # where it came from, if that was a mirror, an alternate or a bundle

    @property
    def bundle(self) -> str | None:
        """The bundle that alone says what the URL held, such as "bundle x.tar"; None if it was seen otherwise."""
        return self.source if self.source.startswith("bundle ") else None


def pin_of(url: str) -> Pin | None:
    """Return what is known here of a URL's content, or None.

    Raises: CacheError if the note is damaged.
    """
    path = cache.find("pins", _name(url))
    if path is None:
        return None
    try:
        return read(path)
    except ValueError as error:
        raise CacheError(
            f"{path}: damaged ({error}), expected the digest of {url}.\n"
            "  Without it a changed file would not be noticed. Remove this file to trust the URL anew."
        ) from error


def read(path: Path) -> Pin:
    """Return what a pin says, for the URL by which it is named. Raises: OSError; ValueError if it is damaged."""
    pin = cache.read_note(path, Pin)
    if path.name != _name(pin.url):
        raise ValueError("is under another URL's name")
    return pin


def pin(url: str, sha256: str, size: int, *, source: str = "") -> Pin:
    """Bind a URL to a digest and return what binds: an earlier pin stays, also one made a moment ago elsewhere."""
    fresh = Pin(url, sha256, size, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), source)
    while (known := pin_of(url)) is None:  # where locks do nothing, ours may be tidied away before it has its name
        claim(cache.place("pins", _name(url)), as_json(fresh))
    return known


def tidy(url: str) -> None:
    """Remove what a process left that was killed while it pinned this URL; for those who hold its lock."""
    remove_stale_temps(cache.place("pins", _name(url)))


def digest_of(url: str, stated: str | None) -> str | None:
    """Return the digest of what lies at a URL: the one that is stated, else the one first seen here, else None."""
    pin = None if stated else pin_of(url)
    return pin.sha256 if pin else stated


def forget(url: str) -> None:
    """Drop what is known of a URL, and the file that came from it."""
    if known := pin_of(url):
        cache.remove(cache.place("raw", known.sha256))
        unpin(url)


def unpin(url: str) -> None:
    """Drop what is known of a URL, be it damaged; the file that came from it stays."""
    cache.remove(cache.place("pins", _name(url)))


def _name(url: str) -> str:
    return f"{cache.key_of(url)}.json"
