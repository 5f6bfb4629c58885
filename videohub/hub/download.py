"""From a URL or a local path to a file whose digest is known and right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from videohub.errors import ChecksumError, DownloadError, UsageError
from videohub.files import part_in, publish
from videohub.hub import cache

_CONNECT_S, _READ_S = 10, 60
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """A file on this machine, and its digest."""

    path: Path
    sha256: str


def fetch(url: str, *, name: str, sha256: str | None = None, size: int | None = None) -> Fetched:
    """Return the file behind an http(s) or file URL, from the cache if it is there.

    Args:
        url: Where the publisher keeps it.
        name: The record's name, for messages and the progress bar.
        sha256: The digest that the registry states; None: the first one seen here is remembered and binds.
        size: Its size in bytes, if the registry states it.
    Raises: DownloadError if it cannot be brought here; ChecksumError if it is not the file that was expected.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        path = Path(url2pathname(urlsplit(url).path))
        if not path.is_file():
            raise DownloadError(f"{name}: {path} does not exist; the registry names it as {url}")
        if size is not None and path.stat().st_size != size:
            raise ChecksumError(f"{name}: {path} has {path.stat().st_size} bytes, the registry says {size}")
        return local(path, name=name, sha256=sha256)
    if scheme not in ("http", "https"):
        raise DownloadError(f"{name}: found the URL {url}, expected http, https or file")
    pinned = None if sha256 else cache.pin_of(url)
    known = sha256 or (pinned.sha256 if pinned else None)
    if known and cache.raw_file(known).is_file():
        return Fetched(cache.raw_file(known), known)
    with part_in(cache.home() / "raw") as part:
        found = _download(url, part, name=name, size=size)
        if known and found != known:
            known_from = f"when first seen here, {pinned.first_seen}, it had" if pinned else "the registry says"
            raise ChecksumError(
                f"{name}: {Path(urlsplit(url).path).name} has sha256 {found}, {known_from} {known}.\n"
                "  The download was cut short, or its publisher replaced the file.\n"
                f"  The file was removed. Run `videohub fetch {name}` again; if it repeats, report the new hash."
            )
        received = part.stat().st_size
        publish(part, cache.raw_file(found))
    if not known:
        cache.pin(url, found, received)
    return Fetched(cache.raw_file(found), found)


def local(path: Path, *, name: str, sha256: str | None = None) -> Fetched:
    """Return a file that is already here, with its digest; it stays where it is.

    Raises: UsageError if there is no such file; ChecksumError if `sha256` is given and differs.
    """
    if not path.is_file():
        raise UsageError(f"{name}: {path} is not a file; expected a checkpoint")
    found = cache.sha256_of(path)
    if sha256 and found != sha256:
        raise ChecksumError(f"{name}: {path} has sha256 {found}, the registry says {sha256}; it was left alone")
    return Fetched(path, found)


def _download(url: str, part: Path, *, name: str, size: int | None) -> str:
    """Write the body of `url` to `part` and return its digest."""
    import requests
    from tqdm import tqdm

    digest, received = hashlib.sha256(), 0
    try:
        with requests.get(url, stream=True, timeout=(_CONNECT_S, _READ_S)) as answer:
            answer.raise_for_status()
            encoded = "content-encoding" in answer.headers
            announced = None if encoded else int(answer.headers.get("content-length", 0)) or None
            bar = tqdm(total=size or announced, desc=name, unit="B", unit_scale=True, unit_divisor=1024, disable=None)
            with part.open("wb") as file, bar:
                for block in answer.iter_content(_BLOCK):
                    file.write(block)
                    digest.update(block)
                    received += len(block)
                    bar.update(len(block))
    except requests.RequestException as error:
        raise DownloadError(
            f"{name}: {url} could not be downloaded: {error}\n"
            "  Nothing was kept. Check the connection, or bring the file here and pass it with --checkpoint."
        ) from error
    wanted = size or announced
    if received == 0 or (wanted is not None and received != wanted):
        expected = wanted or "more"
        raise DownloadError(f"{name}: {url} gave {received} bytes, expected {expected}; nothing was kept, try again")
    return digest.hexdigest()
