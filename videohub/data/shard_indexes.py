"""The indexes of many tars: read at once, once for each version of a file, and kept in the cache for the next time."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from tqdm import tqdm

from videohub import resources, storage
from videohub.data import dali_index
from videohub.data.tar_index import TarIndex, read_headers
from videohub.errors import DataError, DownloadError, FileMissingError, OfflineError
from videohub.files import atomic_write, read_file
from videohub.log import log

_FORMAT = "videohub tar index 2"
_AT_ONCE = 16  # tars; the headers of one can only be asked for one after the other
_TOLD = 20  # tars that cannot be used, in a message


class _Kept(msgspec.Struct, frozen=True):
    format: str
    index: TarIndex


def read_indexes(locations: Sequence[str], *, labels: bool = True) -> list[TarIndex]:
    """Return the index of each tar, in their order.

    An index that is kept in the cache counts if the file there has the same size and version; where no `labels` are
    wanted, also one that DALI's tool has written beside the tar, if it agrees.
    Raises: DataError that names all tars that are missing, cut short or otherwise unusable, and why; UsageError,
        OfflineError.
    """
    with (
        ThreadPoolExecutor(min(_AT_ONCE, len(locations)), thread_name_prefix="videohub-indexing") as threads,
        tqdm(total=len(locations), desc="reading shards", unit="shard", leave=False, disable=None) as bar,
    ):
        found: list[TarIndex | DataError | DownloadError] = []
        for each in threads.map(functools.partial(_index_or_error, labels=labels), locations):
            found.append(each)
            bar.update()
    errors = [each for each in found if not isinstance(each, TarIndex)]
    if errors:
        raise DataError(_in_words(errors, len(locations)))
    return [each for each in found if isinstance(each, TarIndex)]


def kept_place(location: str, suffix: str) -> Path:
    """Return where what was found out about a tar, or a pattern of them, is kept; the name does not tell of what."""
    name = storage.shown(location) if storage.is_remote(location) else os.path.abspath(location)
    return resources.cache_home() / "shards" / f"{hashlib.sha256(os.fsencode(name)).hexdigest()}{suffix}"


def _in_words(errors: Sequence[DataError | DownloadError], total: int) -> str:
    if total == 1:
        return str(errors[0])
    more = f"\n  … and {len(errors) - _TOLD} more" if len(errors) > _TOLD else ""
    told = "".join(f"\n  {error}" for error in errors[:_TOLD])
    absent = sum(isinstance(error, FileMissingError) for error in errors)
    counts = f", {absent} of them missing" if absent else ""
    return f"{len(errors)} of {total} shards cannot be used{counts}; expected all of them, whole:{told}{more}"


def _index_or_error(location: str, *, labels: bool) -> TarIndex | DataError | DownloadError:
    try:
        return _index(location, labels=labels)
    except OfflineError:
        raise
    except (DataError, DownloadError) as error:
        return error


def _index(location: str, *, labels: bool) -> TarIndex:
    found = storage.stat(location)
    place = kept_place(location, ".msgpack")
    if found.tells_changes and (kept := _kept(place)) and (kept.size, kept.version) == (found.size, found.version):
        return kept
    if not labels and (beside := dali_index.read_beside(location, found)):
        return beside  # and not kept: it has no labels
    index = read_headers(location, found)
    if not found.tells_changes:
        return index
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(place) as part:
            part.write_bytes(msgspec.msgpack.encode(_Kept(_FORMAT, index)))
    except OSError as error:
        log.info("the index of %s is not kept: %s", storage.shown(location), error.strerror)
    return index


def _kept(place: Path) -> TarIndex | None:
    """Return the index that is kept at a place; None where there is none that can be understood."""
    try:
        kept = msgspec.msgpack.decode(read_file(place), type=_Kept)
        return kept.index if kept.format == _FORMAT else None
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
