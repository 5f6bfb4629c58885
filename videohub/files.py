"""Files that appear whole or not at all, and what a user names that is to be one."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from videohub.errors import FormatError, UsageError

ABANDONED_S = 24 * 3600.0  # a temporary file that nobody has written to for so long has no writer any more
_LONGEST = 200  # bytes of a name; disks take 255

Version: TypeAlias = tuple[int, int, int]  # of a file: inode, bytes, nanoseconds


def as_json(value: Any) -> bytes:
    """Return a value as a file of JSON has it that people can read, too."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; json's `object_pairs_hook`. Raises: ValueError if it has a name twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r:.80} stands there twice")
    return fields


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` that becomes `path` when the block ends well.

    If the block fails, nothing is left of it and `path` is what it was before.
    Raises: UsageError, before anything is written, if `path` is a folder or a device.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: found a folder or a device, expected a file to write")
    with temp_path_beside(path) as temp:
        yield temp
        fsync_and_replace(temp, path)


def claim(path: Path, content: bytes) -> None:
    """Make a file with this content unless there is one already; nobody ever sees half of it."""
    with temp_path_beside(path) as temp, suppress(FileNotFoundError):  # another process took ours for a left-over
        temp.write_bytes(content)
        _fsync(temp)
        try:
            os.link(temp, path)
        except FileExistsError:
            return
        except OSError:  # a file system without links: there the last one wins, and all compare with what is left
            replace(temp, path)


def existing_file(path: str | Path, kind: str) -> Path:
    """Return `path` as a Path to an existing file.

    Args:
        path: What the user gave.
        kind: What the file should be, for the message: "video", "image", "list" or "checkpoint".
    Raises: UsageError if nothing is there, or a folder, or what opening could wait for without end (a pipe, a device),
        or the path cannot be followed: a name too long for the disk, a folder without permission, a zero byte.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{file}: no such {kind} file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{file}: this path leads to no {kind} file: {reason}") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{file}: this is a folder, expected one {kind} file")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{file}: this is a pipe or a device, expected one {kind} file")
    return file


def existing_checkpoint(path: str | Path) -> Path:
    """Return `path` as a Path to an existing file of weights that may be read.

    Raises: UsageError as `existing_file`, which also says what folders of other libraries are to become.
    """
    file = Path(path)
    try:
        existing_file(file, "checkpoint")
    except UsageError as error:
        if os.path.islink(file) and "annex" in os.readlink(file):
            raise FormatError(
                f"{file}: a git-annex link to a file that is not here, expected the checkpoint.\n"
                "  Run `git annex get` on it in its repository."
            ) from None
        remedies = {
            ".metadata": "torch.distributed.checkpoint, whose format_utils.dcp_to_torch_save makes a file of it",
            "config.json": "transformers; name it in place of a record, or the file in it that has the weights",
        }
        if of := next((remedy for name, remedy in remedies.items() if os.path.isfile(file / name)), None):
            raise UsageError(f"{error}.\n  It is one of {of}.") from None
        raise
    if not os.access(file, os.R_OK):
        raise UsageError(f"{file}: not readable by you.\n  Check its permissions.")
    return file


def check_is_no_url(path: str | Path) -> None:
    """Refuse a bucket or another URL where a folder is to be filled. Raises: UsageError."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)) and not Path(path).exists():
        raise UsageError(
            f"{path}: found a URL, expected a folder on a disk: its files are appended to, linked and renamed while "
            "several processes write, so that an interruption loses nothing, and buckets know none of that.\n"
            "  Name a folder on a disk that all processes see; or give each its part (--shard) and a folder of its "
            "own, and copy them together afterwards."
        )


def check_parent_exists(path: Path) -> None:
    """Refuse, before any work, to write a file that a user named into a folder that does not exist.

    Raises: UsageError.
    """
    if not path.parent.is_dir():
        raise UsageError(
            f"{path}: found no folder {path.parent}, expected one to write into.\n  Make it, or check the path."
        )


def version_of(path: Path) -> Version | None:
    """Return what is another one once a file was replaced or written to; None if it is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_file(path: Path) -> bytes:
    """Return a file's content. Raises: OSError, as `check_is_no_pipe` and `Path.read_bytes`."""
    check_is_no_pipe(path)
    return path.read_bytes()


def check_is_no_pipe(path: Path) -> None:
    """Refuse what keeps its reader waiting, or has no end; a folder that came from elsewhere may hold it.

    Raises: OSError.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "a pipe or a device, expected a file", str(path))


@contextmanager
def temp_path_beside(path: Path) -> Iterator[Path]:
    """Yield an empty file of its own beside `path`, on the same disk; it is gone afterwards unless it was published.

    Raises: OSError that names `path`, which its user knows, and not the temporary name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.parent / f"{_temp_prefix(path)}{secrets.token_hex(8)}.part"
    with _naming(path):
        temp.open("xb").close()
    try:
        yield temp
    finally:
        temp.unlink(missing_ok=True)


def remove_stale_temps(path: Path) -> None:
    """Remove what killed writers of `path` left beside it; for those who know that nobody else writes it now."""
    for temp in temps_beside(path):
        temp.unlink(missing_ok=True)


def remove_abandoned(temps: Iterable[Path]) -> None:
    """Remove the temporary files that nobody has written to for a day, for their writers were killed.

    A writer that is at work keeps its own, whether its file system knows locks or not.
    """
    for temp in temps:
        with suppress(FileNotFoundError):  # another process may do the same
            if temp.stat().st_mtime < time.time() - ABANDONED_S:
                temp.unlink()


def temps_beside(path: Path) -> list[Path]:
    """Return the temporary names beside a path, of writers that are at work or were killed."""
    return list(path.parent.glob(f"{glob.escape(_temp_prefix(path))}*.part"))


def fsync_and_replace(temp: Path, path: Path) -> None:
    """Flush `temp` to disk and give it its final name in one step."""
    _fsync(temp)
    replace(temp, path)


def replace(temp: Path, path: Path) -> None:
    """Give `temp` its final name in one step; a power cut may take the content, so whoever reads it has to check it."""
    with _naming(path):
        temp.replace(path)


def _fsync(temp: Path) -> None:
    with temp.open("rb+") as file:
        os.fsync(file.fileno())


def _temp_prefix(path: Path) -> str:
    """Return what temporary names beside a path begin with; a digest of its name where that leaves no room for more."""
    name = os.fsencode(path.name)
    return f".{path.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()}-"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an OSError name `path`, which its user knows, and not the temporary name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
