"""How a fetch may end: with the right file and nothing besides, or with an error and nothing at all."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from videohub.errors import DownloadError
from videohub.hub import download

CONTENT = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(10_000))  # 320,000 bytes, no two parts alike
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def kept(home: Path) -> list[str]:
    """Every file in the cache but the notes on what URLs held."""
    names = (path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())
    return sorted(name for name in names if not re.fullmatch(r"pins/[0-9a-f]{64}\.json", name))


def assert_fetched(home: Path, url: str, **known: object) -> None:
    """The file comes whole and right, and nothing else is left."""
    fetched = download.fetch(url, name="model", **known)
    assert fetched == download.Fetched(home / "raw" / SHA256, SHA256)
    assert fetched.path.read_bytes() == CONTENT
    assert kept(home) == [f"raw/{SHA256}"]


def refusal(home: Path, url: str, **known: object) -> str:
    """Return what is said of a URL whose file is refused; nothing at all is left."""
    text = failure(home, url, **known)
    assert [path for path in home.rglob("*") if path.is_file()] == []
    return text


def failure(home: Path, url: str, **known: object) -> str:
    """Return what is said of a URL whose file does not come; only its beginning may be left for the next call."""
    with pytest.raises(DownloadError) as error:
        download.fetch(url, name="model", **known)
    assert [name for name in kept(home) if not name.startswith("partial/")] == []
    assert "model" in str(error.value)
    return str(error.value)
