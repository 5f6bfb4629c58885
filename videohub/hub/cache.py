"""Where files are kept: by content and never by name, in a folder of one's own behind read-only ones that are shared.

raw/        files as published, each under its SHA-256
converted/  weights as videohub keeps them, each under the digest of its source and of its making
pins/       the digests of URLs for which nobody has published one
partial/    downloads that were cut off
registries/ records that came in bundles and are not known otherwise
locks/      who is at work on what; these only save bandwidth
"""

from __future__ import annotations

import errno
import functools
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from videohub.errors import CacheError

_log = logging.getLogger("videohub")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def home() -> Path:
    """Return the folder to write to: `VIDEOHUB_HOME`, else `videohub` in the XDG cache folder."""
    if own := os.environ.get("VIDEOHUB_HOME"):
        return _path(own)
    return _path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "videohub"


def layers() -> list[Path]:
    """Return where to look, in order: the read-only folders of `VIDEOHUB_CACHE_RO`, then our own."""
    shared = [_path(part) for part in os.environ.get("VIDEOHUB_CACHE_RO", "").split(os.pathsep) if part]
    return [*shared, home()]


def find(kind: str, name: str) -> Path | None:
    """Return the first layer's entry of this kind and name, or None."""
    for layer in layers():
        try:
            if (path := layer / kind / name).is_file():
                return path
        except PermissionError:
            if layer == home():
                raise
            _tell_once(layer)
    return None


def place(kind: str, name: str = "") -> Path:
    """Return where an entry of our own is or belongs."""
    return home() / kind / name


def converted_name(source_sha256: str, recipe: str) -> str:
    """Return the name of the weights made from a file with this digest; `recipe` is a digest of how."""
    return f"{source_sha256}-{recipe[:16]}.safetensors"


def key_of(url: str) -> str:
    """Return a name for what belongs to a URL; hexadecimal, so that letters' case never matters."""
    return hashlib.sha256(url.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_room(needed: int) -> None:
    """Refuse to begin what the disk cannot hold. Raises: CacheError."""
    free = shutil.disk_usage(place("partial")).free
    if needed > free:
        raise CacheError(
            f"{home()}: {free} bytes are free, {needed} are needed.\n"
            "  `videohub cache prune` makes room; VIDEOHUB_HOME names another folder."
        )


@contextmanager
def at_work(doing: str) -> Iterator[None]:
    """Turn what the file system refuses inside the block into a CacheError that says what to do."""
    try:
        yield
    except OSError as error:
        room = "`videohub cache prune` makes room there; " if error.errno in _FULL else ""
        raise CacheError(
            f"{doing}: {error.strerror or error} ({error.filename or home()})\n"
            f"  The cache is {home()}; {room}VIDEOHUB_HOME names another folder."
        ) from error


def _path(text: str) -> Path:
    try:
        return Path(os.path.expandvars(text)).expanduser().absolute()
    except RuntimeError as error:  # no HOME, and a user whom the machine does not know
        raise CacheError(f"{text}: {error}; name a folder for the cache with VIDEOHUB_HOME") from error


@functools.cache
def _tell_once(layer: Path) -> None:
    _log.warning("%s, in VIDEOHUB_CACHE_RO, may not be read by you; going on without it", layer)
