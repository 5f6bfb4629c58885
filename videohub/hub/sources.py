"""Where a published file can be had, in the order in which it is tried: mirrors, its publisher, alternates."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from videohub.errors import DownloadError, UsageError

_TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface_hub reads its own
_BY_HAND = {"drive.google.com", "docs.google.com"}


@dataclass(frozen=True)
class Source:
    """One place that may have the file; `scheme` is file, http, https or hf."""

    address: str
    role: str  # what it is to the record: a mirror, the publisher, an alternate
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def scheme(self) -> str:
        return urlsplit(self.address).scheme

    @property
    def path(self) -> Path:
        """The path of a file source."""
        return path_of(self.address)


def offline() -> str | None:
    """Return the name of the variable that forbids connections, None if they are allowed."""
    names = ("VIDEOHUB_OFFLINE", "HF_HUB_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").strip().upper() in _TRUE), None)


def sources(url: str, alternates: Sequence[str] = ()) -> Iterator[Source]:
    """Yield where the file of a record may come from, best first.

    A mirror keeps a file at <mirror>/<host>/<path>, as `wget --force-directories` lays it out; it is a folder or a
    URL, and `VIDEOHUB_MIRRORS` names several, separated by commas.
    Raises: UsageError if a mirror's folder does not exist.
    """
    for mirror in os.environ.get("VIDEOHUB_MIRRORS", "").split(","):
        if mirror := mirror.strip():
            yield Source(_in_mirror(mirror, url), "mirror")
    yield Source(url, "publisher")
    for alternate in alternates:
        yield Source(alternate, "alternate")


def path_of(url: str) -> Path:
    """Return the path of a file URL."""
    return Path(url2pathname(urlsplit(url).path))


def check(source: Source, *, name: str) -> None:
    """Refuse an address that no program can fetch from.

    Raises: DownloadError that says what to do by hand.
    """
    if source.scheme not in ("http", "https", "hf", "file"):
        raise DownloadError(
            f"{name}: found the URL {source.address}, expected http, https or file, or hf://org/repo/file@revision"
        )
    if urlsplit(source.address).hostname in _BY_HAND:
        raise DownloadError(
            f"{name}: {source.address} is a page of Google Drive for people, which gives programs no file.\n"
            "  Open it in a browser, download the file, and pass it with --checkpoint FILE."
        )


def _in_mirror(mirror: str, url: str) -> str:
    """Return where a mirror keeps the file of a URL."""
    parts = urlsplit(url)
    host, path = parts.netloc.rpartition("@")[2], parts.path
    query = f"?{parts.query}" if parts.query else ""  # it may be all that tells two files apart
    if parts.scheme == "hf":  # hf://org/repo/file@revision
        path, _, revision = url.removeprefix("hf://").rpartition("@")
        org, repository, file = [*path.split("/", 2), "", ""][:3]
        host, path = "huggingface.co", f"/{org}/{repository}/resolve/{revision}/{file}"
    if ".." in unquote(path).split("/") or not host:
        raise DownloadError(f"{url}: has no place in a mirror, expected https://host/path")
    if "://" in mirror:
        return f"{mirror.rstrip('/')}/{host}{path}" + (quote(query) if mirror.startswith("file:") else query)
    folder = Path(os.path.expandvars(mirror)).expanduser()
    if not folder.is_dir():
        raise UsageError(f"VIDEOHUB_MIRRORS: {folder} is no folder; expected folders or URLs, separated by commas")
    return (folder.resolve() / f"{host}{url2pathname(path)}{query}").as_uri()
