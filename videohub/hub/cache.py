"""Where downloaded and converted files are kept: by content, never by name."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from videohub.errors import DownloadError
from videohub.files import written_whole


@dataclass(frozen=True)
class Pin:
    """The digest that a URL without a published one had when it was first seen here."""

    url: str
    sha256: str
    size: int
    first_seen: str


def home() -> Path:
    """Return the cache folder: `VIDEOHUB_HOME`, else `videohub` in the XDG cache folder."""
    if own := os.environ.get("VIDEOHUB_HOME"):
        return Path(os.path.expandvars(own)).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "videohub"


def raw_file(sha256: str) -> Path:
    """Return the place of a downloaded file with this digest."""
    return home() / "raw" / sha256


def converted_file(source_sha256: str, recipe: str) -> Path:
    """Return the place of the weights made from a file with this digest; `recipe` is a digest of how."""
    return home() / "converted" / f"{source_sha256}-{recipe[:16]}.safetensors"


def pin_of(url: str) -> Pin | None:
    """Return what is known here of a URL's content, or None."""
    try:
        text = _pin_file(url).read_text()
    except FileNotFoundError:
        return None
    try:
        return Pin(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise DownloadError(f"{_pin_file(url)}: damaged, expected the digest of {url}; remove the file") from error


def pin(url: str, sha256: str, size: int) -> Pin:
    """Remember the digest of a URL's content; the next file from there must be the same."""
    fresh = Pin(url, sha256, size, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    with written_whole(_pin_file(url)) as part:
        part.write_text(json.dumps(fresh.__dict__, indent=2) + "\n")
    return fresh


def forget(url: str) -> None:
    """Drop what is known of a URL whose digest nobody has published, and the file that came from it."""
    if known := pin_of(url):
        raw_file(known.sha256).unlink(missing_ok=True)
        _pin_file(url).unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _pin_file(url: str) -> Path:
    return home() / "pins" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
