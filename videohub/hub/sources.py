"""Which published file is looked for, and where it can be had: mirrors, its publisher, alternates, in this order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import url2pathname

from videohub.errors import DownloadError, UsageError
from videohub.hub import pins

_TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface_hub reads its own
_FALSE = {"0", "OFF", "NO", "FALSE", ""}
_BY_HAND = {"drive.google.com", "docs.google.com"}
CHECKPOINT_OPTION = "`--checkpoint FILE` (in Python `checkpoint=`)"


@dataclass(frozen=True)
class Purpose:
    """What a file is for, mostly in the words of messages."""

    what: str = "checkpoint"
    by_hand: str = f"pass it with {CHECKPOINT_OPTION}"  # what to do with one that was brought here so
    trusted: str = "State its sha256 in the record, and the way no longer matters."
    resumed: bool = True  # whether what came of it waits for a next call
    largest: int | None = None  # bytes that such a file may have, where that is known


CHECKPOINT = Purpose()


@dataclass(frozen=True)
class Requested:
    """The file that is looked for: the record's name, its URL, and what is known of its content."""

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None
    purpose: Purpose = CHECKPOINT
    pin: pins.Pin | None = None

    def now(self) -> Requested:
        """Return it with the pin that the URL has at this moment, unless a digest is stated."""
        return replace(self, pin=None if self.sha256 else pins.pin_of(self.url))

    @property
    def digest(self) -> str | None:
        """The SHA-256 that it must have, None if nobody has stated or seen one."""
        return self.sha256 or (self.pin.sha256 if self.pin else None)


@dataclass(frozen=True)
class Source:
    """One place that may have the file; `scheme` is file, http, https or hf."""

    address: str
    role: str  # what it is to the record: a mirror, the publisher, an alternate
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def scheme(self) -> str:
        return split(self.address).scheme

    @property
    def shown(self) -> str:
        """The address as messages name it."""
        return without_user(self.address)

    @property
    def path(self) -> Path:
        """The path of a file source."""
        return path_of(self.address)


def without_user(text: str) -> str:
    """Return an address, or what a library says of one, without the user and password that a mirror may need.

    What stands before an @ of hf://org/name@revision is no user: a slash is in between.
    """
    return re.sub(r"(://)[^/?#\s'\"]*@", r"\1", text)


def split(url: str) -> SplitResult:
    """Return the parts of a URL. Raises: DownloadError if it is none, or holds what cannot be seen."""
    if not url.isprintable():  # one library leaves out such characters in silence, another one sends them
        raise DownloadError(f"found the URL {url!r:.200}, which has characters in it that cannot be seen")
    try:
        return urlsplit(url)
    except ValueError as error:
        raise DownloadError(f"found {url!r:.200}, expected a URL: {error}") from error


def offline() -> str | None:
    """Return the name of the variable that forbids connections, None if they are allowed.

    The second and the third are huggingface_hub's, and read as it does: the third if the second is empty, and whatever
    it does not know allows.
    Raises: UsageError if `VIDEOHUB_OFFLINE` says neither yes nor no.
    """
    value = os.environ.get("VIDEOHUB_OFFLINE", "").strip()
    if value.upper() not in _TRUE | _FALSE:
        raise UsageError(
            f"VIDEOHUB_OFFLINE: found {value[:40]!r}, expected 1, on, yes or true; or 0, off, no, false or nothing"
        )
    if value.upper() in _TRUE:
        return "VIDEOHUB_OFFLINE"
    theirs = next((name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.environ.get(name)), None)
    return theirs if theirs and os.environ[theirs].upper() in _TRUE else None


def sources(url: str, alternates: Sequence[str] = ()) -> Iterator[Source]:
    """Yield where the file of a record may come from, best first.

    A mirror keeps a file at <mirror>/<host>/<path>, as `wget --force-directories` lays it out; it is a folder or a
    URL, and `VIDEOHUB_MIRRORS` names several, separated by commas.
    Raises: UsageError if a mirror's folder does not exist.
    """
    for mirror in mirrors():
        yield Source(_in_mirror(mirror, url), "mirror")
    yield Source(url, "publisher")
    for alternate in alternates:
        yield Source(alternate, "alternate")


def mirrors() -> list[str]:
    """Return the folders and URLs that `VIDEOHUB_MIRRORS` names."""
    return [mirror for each in os.environ.get("VIDEOHUB_MIRRORS", "").split(",") if (mirror := each.strip())]


def path_in_mirror(url: str) -> str:
    """Return where in a mirror's folder the file of a URL lies. Raises: DownloadError if it has no place in one."""
    host, path, query = _parts_in_mirror(url)
    return f"{host}{url2pathname(path)}{query}"


def path_of(url: str) -> Path:
    """Return the path of a file URL. Raises: DownloadError if no file can have it."""
    path = url2pathname(split(url).path)
    if "\0" in path:
        raise DownloadError(f"found the URL {url!r:.200}, which has a NUL in it; expected the path of a file")
    return Path(path)


def check(source: Source, *, name: str, purpose: Purpose = CHECKPOINT) -> None:
    """Refuse an address that no program can fetch from.

    Raises: DownloadError that says what to do with a file that was brought here by hand.
    """
    if source.scheme not in ("http", "https", "hf", "file"):
        raise DownloadError(
            f"{name}: found the URL {source.shown}, expected http, https or file, or hf://org/repo/file@revision"
        )
    if split(source.address).hostname in _BY_HAND:
        raise DownloadError(
            f"{name}: {source.shown} is a page of Google Drive for people, which gives programs no file.\n"
            f"  Open it in a browser, download the file, and {purpose.by_hand}."
        )


def located(source: Source, *, name: str, purpose: Purpose) -> Source:
    """Return where a source's file lies. Raises: DownloadError, as `check` and `resolve_hf`."""
    check(source, name=name, purpose=purpose)
    return resolve_hf(source) if source.scheme == "hf" else source


def _in_mirror(mirror: str, url: str) -> str:
    """Return where a mirror keeps the file of a URL."""
    host, path, query = _parts_in_mirror(url)
    if "://" in mirror:
        return f"{mirror.rstrip('/')}/{host}{path}" + (quote(query) if mirror.startswith("file:") else query)
    folder = Path(os.path.expandvars(mirror)).expanduser()
    if not folder.is_dir():
        raise UsageError(f"VIDEOHUB_MIRRORS: {folder} is no folder; expected folders or URLs, separated by commas")
    return (folder.resolve() / path_in_mirror(url)).as_uri()


def _parts_in_mirror(url: str) -> tuple[str, str, str]:
    """Return host, path and query by which a mirror keeps the file of a URL."""
    parts = split(url)
    host, path = parts.netloc.rpartition("@")[2], parts.path
    query = f"?{parts.query}" if parts.query else ""  # it may be all that tells two files apart
    query = query.replace("/", "%2F")  # as wget does
    if parts.scheme == "hf":  # hf://org/repo/file@revision
        path, _, revision = url.removeprefix("hf://").rpartition("@")
        org, repository, file = [*path.split("/", 2), "", ""][:3]
        host, path = "huggingface.co", f"/{org}/{repository}/resolve/{revision}/{file}"
    names = [host, *unquote(path).split("/")]
    if not host or any(name in (".", "..") or "\\" in name or not name.isprintable() for name in names):
        raise DownloadError(f"{url!r:.200}: has no place in a mirror, expected https://host/path")
    return host, path, query


def resolve_hf(source: Source) -> Source:
    """Return where hf://org/repo/file@revision lies: in huggingface_hub's cache, else behind a URL of its endpoint.

    `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_CACHE` are honoured by the library.
    Raises: DownloadError if the address has no repository, file or revision.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    repository, file, revision = hf_parts(source.address)
    try:
        cached = try_to_load_from_cache(repository, file, revision=revision)
    except HFValidationError as error:
        raise DownloadError(f"{source.address}: {error}") from error
    return Source(Path(cached).resolve().as_uri(), source.role) if isinstance(cached, str) else hf_endpoint(source)


def hf_endpoint(source: Source) -> Source:
    """Return where hf://org/repo/file@revision lies behind a URL of the library's endpoint. Raises: as `resolve_hf`."""
    from huggingface_hub import get_token, hf_hub_url
    from huggingface_hub.errors import HFValidationError

    repository, file, revision = hf_parts(source.address)
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        return Source(hf_hub_url(repository, file, revision=revision), source.role, headers)
    except HFValidationError as error:
        raise DownloadError(f"{source.address}: {error}") from error


def hf_parts(address: str) -> tuple[str, str, str]:
    """Return repository, file and revision of hf://org/repo/path/to/file@revision.

    Raises: DownloadError if one of them is missing, for without a revision the file could change at any time; or if
        one leads elsewhere.
    """
    path, _, revision = address.removeprefix("hf://").rpartition("@")
    pieces = path.split("/", 2)
    if len(pieces) != 3 or not revision:
        raise DownloadError(f"found {address!r:.200}, expected hf://org/repo/file@revision")
    for name in (path, revision):
        hidden = not name.isprintable() or "\\" in name or re.search("%[0-9A-Fa-f]{2}", name)
        if hidden or not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise DownloadError(
                f"found {address!r:.200}, expected hf://org/repo/file@revision\n"
                f"  where all is seen: {name!r:.100} has a part that is empty, . or .., or hides a character."
            )
    return f"{pieces[0]}/{pieces[1]}", pieces[2], revision
