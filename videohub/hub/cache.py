"""Where files are kept: by content and never by name, in a folder of one's own behind read-only ones that are shared.

raw/        files as published, each under its SHA-256
converted/  weights as videohub keeps them, each under the digest of its source and of its making
pins/       the digests of URLs for which nobody has published one
partial/    downloads that were cut off
registries/ records that came in bundles and are not known otherwise
locks/      who is at work on what; these only save bandwidth
compiled/   registries as they were read; these only save time, and are no entries
shards/     indexes of tars and what was found of videos in them, likewise
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from videohub.errors import CacheError
from videohub.log import warn_once
from videohub.resources import cache_home, expanded

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LARGEST_NOTE = 1 << 16  # bytes of a pin or of what is noted beside a download
_Struct = TypeVar("_Struct", bound=msgspec.Struct)

# What entries are called, by the folder they lie in. Most names are made of what a file says, a pin or a bundle: these
# are all that a path in the cache is ever made of, so that nothing else is reached, read or removed.
NAMES = {
    "raw": re.compile(r"(?P<sha256>[0-9a-f]{64})"),
    "converted": re.compile(r"(?P<sha256>[0-9a-f]{64})-[0-9a-f]{16}\.safetensors"),
    "pins": re.compile(r"[0-9a-f]{64}\.json"),
    "partial": re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}\.(part|json)"),
    "registries": re.compile(r"[0-9a-f]{16}\.yaml"),
    "locks": re.compile(r"[0-9a-f]{32}\.lock"),
}


def dirs() -> list[Path]:
    """Return where to look, in order: the read-only folders of `VIDEOHUB_CACHE_RO`, then our own."""
    shared = [expanded(part) for part in os.environ.get("VIDEOHUB_CACHE_RO", "").split(os.pathsep) if part]
    return [*shared, cache_home()]


def find(kind: str, name: str) -> Path | None:
    """Return the first cache dir's entry of this kind and name, or None.

    Raises: CacheError if it may not be read, or if no entry has such a name.
    """
    for cache_dir in dirs():
        path = _entry(cache_dir, kind, name)
        try:
            is_there = path.is_file()
        except PermissionError as error:
            if cache_dir == cache_home():
                raise CacheError(
                    f"{path.parent}: may not be read by you; VIDEOHUB_HOME names another folder"
                ) from error
            tell_once(cache_dir)
            continue
        if is_there:
            if problem := unreadable(path):
                raise CacheError(f"{path}: {problem}.\n  {readable_by_all(cache_dir)}")
            return path
    return None


def unreadable(path: Path) -> str | None:
    """Return whose file it is and how it is kept from us, None if we may read it."""
    try:
        path.open("rb").close()
    except PermissionError:
        status = path.stat()
        return (
            f"may not be read by you: it belongs to the user {status.st_uid}, with the mode {status.st_mode & 0o7777:o}"
        )
    return None


def readable_by_all(cache_dir: Path) -> str:
    """Return what lets others read a folder of the cache."""
    otherwise = "" if cache_dir == cache_home() else ", or unset VIDEOHUB_CACHE_RO"
    return f"Its owner lets you with `chmod -R a+rX {cache_dir}`{otherwise}."


def place(kind: str, name: str) -> Path:
    """Return where an entry of our own is or belongs. Raises: CacheError if no entry has such a name."""
    return _entry(cache_home(), kind, name)


def folder(kind: str) -> Path:
    """Return where our own entries of a kind are."""
    return cache_home() / kind


def is_ours(path: Path) -> bool:
    """Tell whether an entry is ours to remove: in our own folder, which is no link and not named as read-only, too."""
    within, kind = os.path.realpath(path.parent), path.parent.name
    shared = {os.path.realpath(cache_dir / kind) for cache_dir in dirs()[:-1]}
    return within == os.path.join(os.path.realpath(cache_home()), kind) and within not in shared


def remove(path: Path) -> None:
    """Remove an entry of our own, if it is still there; of a link nothing but the link.

    Raises: CacheError if it is not ours; OSError.
    """
    if not is_ours(path):
        raise CacheError(f"{path}: is not ours to remove.\n  {whose(path)}")
    path.unlink(missing_ok=True)


def whose(path: Path) -> str:
    """Return who has to see to an entry that is not ours."""
    if path.parent.parent in dirs()[:-1]:
        return "It lies in VIDEOHUB_CACHE_RO: whoever keeps that has to remove it, or unset the variable."
    return f"Its folder leads out of the cache, to {os.path.realpath(path.parent)}: remove it there by hand."


def read_note(path: Path, kind: type[_Struct]) -> _Struct:
    """Return what a small JSON file of ours says. Raises: OSError; ValueError that tells what is wrong with it."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("cannot be read: a pipe, a folder or a device, expected a file")  # a pipe may keep us waiting
    with path.open("rb") as file:
        content = file.read(_LARGEST_NOTE + 1)
    if len(content) > _LARGEST_NOTE:
        raise ValueError(f"cannot be read: more than {_LARGEST_NOTE} bytes")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"cannot be read: {error!s:.200}") from error


def converted_name(source_sha256: str, conversion_key: str) -> str:
    """Return the name of the weights made from a file with this digest; `conversion_key` is a digest of how."""
    return f"{source_sha256}-{conversion_key[:16]}.safetensors"


def key_of(url: str) -> str:
    """Return a name for what belongs to a URL; hexadecimal, so that letters' case never matters."""
    return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_room(needed: int) -> None:
    """Refuse to begin what the disk cannot hold. Raises: CacheError."""
    _, free = _disk()
    if needed > free:
        raise CacheError(
            f"{cache_home()}: {free} bytes are free, {needed} are needed.\n"
            "  `videohub cache prune` makes room; VIDEOHUB_HOME names another folder."
        )


def check_reserve(name: str, came: int, coming: int) -> None:
    """Refuse the next bytes of a file of unknown length, of which so many came, where they would fill the disk.

    Raises: CacheError.
    """
    total, free = _disk()
    reserve = min(total // 20, 1 << 30)
    if free - coming < reserve:
        raise CacheError(
            f"{name}: {cache_home()}: {free} bytes are free, {reserve} of the disk's {total} are left to others.\n"
            f"  {came} bytes came of a file whose length its server does not tell; they were removed.\n"
            "  `videohub cache prune` makes room; VIDEOHUB_HOME names another folder."
        )


@contextmanager
def at_work(doing: str, *, needed: int | None = None) -> Iterator[None]:
    """Turn what the file system refuses inside the block into a CacheError that says what to do.

    `needed` are the bytes that were to be written, if that is known.
    """
    try:
        yield
    except OSError as error:
        room = figures = ""
        if error.errno in _FULL:
            room = "`videohub cache prune` makes room there; "
            figures = f"; {_disk()[1]} bytes are free, {needed or 'more'} are needed"
        raise CacheError(
            f"{doing}: {error.strerror or error} ({error.filename or cache_home()}){figures}\n"
            f"  The cache is {cache_home()}; {room}VIDEOHUB_HOME names another folder."
        ) from error


def _disk() -> tuple[int, int]:
    """Return the bytes of the disk that the cache is on, or will be on: all of them, and the free ones."""
    usage = shutil.disk_usage(next(place for place in (cache_home(), *cache_home().parents) if place.exists()))
    return usage.total, usage.free


def _entry(cache_dir: Path, kind: str, name: str) -> Path:
    """Return the path of an entry in a cache dir: this alone makes paths of names."""
    if kind not in NAMES or not NAMES[kind].fullmatch(name):
        raise CacheError(f"found {name!r:.100}, expected a name that an entry of {cache_dir / kind} can have")
    return cache_dir / kind / name


def tell_once(cache_dir: Path) -> None:
    """Say that a cache dir of others is passed over."""
    warn_once("%s, in VIDEOHUB_CACHE_RO, may not be read by you; going on without it", cache_dir)
