"""Score files: one for each process that ever wrote, read back without believing a damaged one.

A file is a mark and then blocks. A block is a head (lengths and checksums), a note in msgpack, and the scores as
little-endian float32. The first block's note says whose file it is; each later one is a sample's entry. Every block is
appended by a single write, so a process that is killed leaves at most one torn block, at the end. That one is passed
over and its sample is made again; anything else that is wrong is an error.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import secrets
import shlex
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn, TypeAlias
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from videohub.errors import CacheError, DataError, UsageError
from videohub.files import check_is_no_pipe
from videohub.runs.identity import MadeBy, Seconds, ShardFile, Terms

MARK = b"vhscore1"
_HEAD = struct.Struct("<IIIII")  # bytes of note and of scores; crc32 of note, of scores, and of these four
_PAGE = 4096  # read at once: a note is small, and the scores behind it may not be wanted
_PIECE = 1 << 20
_FLUSH_S = 5.0  # what a power cut may take; a kill takes nothing that was written
_SHARD = re.compile("([1-9][0-9]*)/([1-9][0-9]*)")

# Kind and detail of each way in which the header of a video contradicts its content.
Contradictions: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample that was scored, or failed; the scores stay in their file until someone asks for them."""

    index: int
    name: str
    views: str | None  # digest of the view set that was scored
    failure: str | None  # why there are no scores
    shape: tuple[int, int] | None  # of the scores: (views, classes), for AVA (boxes, 80); None: it failed
    seconds: float  # from the start of its process
    path: Path
    at: int  # offset of the scores in the file
    contradictions: Contradictions = ()

    @property
    def scores(self) -> NDArray[np.float32] | None:
        """The scores, read now; for many entries, `read_scores` opens each file once. Raises: DataError."""
        return next((scores for _, scores in read_scores([self])), None)


@dataclass(frozen=True)
class ScoreFile:
    """What one process has kept. `made_by` is None if it was killed before it could say who it was."""

    path: Path
    made_by: MadeBy | None
    entries: list[Entry]
    torn: bool  # whether a kill left an unfinished block at the end
    shards: Sequence[ShardFile] = ()  # that its samples were read from


def read(path: Path, terms: Terms, *, whole: bool) -> ScoreFile:
    """Return what a file holds; an unfinished block at its end is passed over.

    `whole`: the scores' bytes are checked too; otherwise only the last entry's, which a power cut may have spoiled.
    Raises: DataError, with file, offset and what to do, for anything that a kill cannot have left.
    """
    try:
        check_is_no_pipe(path)
        with path.open("rb", buffering=_PAGE) as file:
            size = os.fstat(file.fileno()).st_size  # what others append from here on is not looked at
            mark = file.read(len(MARK))
            if mark != MARK[: len(mark)]:
                raise DataError(f"{path}: found {mark!r}, expected a score file.\n  Remove it from the run's folder.")
            blocks = list(_blocks(file, path, size, whole))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not blocks:
        return ScoreFile(path, None, [], size > 0)
    head = _head(path, blocks[0], terms)
    made_by = head.made_by
    entries = _entries(path, blocks[1:], terms)
    if entries:
        made_by = msgspec.structs.replace(made_by, seconds=entries[-1].seconds)
    return ScoreFile(path, made_by, entries, blocks[-1].end < size, head.shards)


def read_scores(entries: Iterable[Entry]) -> Iterator[tuple[Entry, NDArray[np.float32]]]:
    """Yield the entries that have scores with them, file by file, each opened once.

    Raises: DataError if a file is no longer as it was when its entries were read.
    """
    ours = sorted((entry for entry in entries if entry.shape), key=lambda entry: (entry.path, entry.at))
    for path, together in itertools.groupby(ours, key=lambda entry: entry.path):
        try:
            with path.open("rb", buffering=0) as file:
                for entry in together:
                    yield entry, _scores(file, entry)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


class Writer:
    """Appends what one process makes to a file of its own. What `append` has returned from outlives the process.

    A write that fails, or that the disk takes only a part of, ends the writer: what would follow the torn entry could
    not be read. The next run of the same command goes on in a new file.
    """

    def __init__(self, folder: Path, terms: Terms, made_by: MadeBy, shards: Sequence[ShardFile] = ()) -> None:
        shard = _SHARD.fullmatch(made_by.shard)
        if shard is None or int(shard[1]) > int(shard[2]):
            raise UsageError(f"shard: found {made_by.shard!r}, expected one such as '2/16'")
        self.path = folder / f"{shard[1]}-of-{shard[2]}-{secrets.token_hex(8)}.scores"
        self._terms = terms
        self._began = self._flushed = time.monotonic()
        self._trouble: str | None = None
        self._handle: int | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            folder.mkdir(exist_ok=True)
            self._handle = os.open(self.path, flags, 0o666)
        except OSError as error:
            self._fail(error.strerror or str(error), error)
        self._write(header(terms.run, made_by, shards))

    def append(
        self,
        index: int,
        name: str,
        views: str | None,
        scores: NDArray[np.float32],
        *,
        contradictions: Contradictions = (),
    ) -> None:
        """Keep the scores of a sample of the truth: float32 (views, classes), for AVA (boxes, 80).

        Args:
            views: Digest of the view set that was scored.
            scores: Probabilities of every view in order.
            contradictions: In which kinds, and how, its header contradicts its content.
        Raises: DataError if they are not finite; UsageError if they are not this run's; CacheError if they cannot be
            written.
        """
        if scores.dtype != np.float32:
            raise UsageError(f"{name}: found scores of {scores.dtype}, expected float32")
        if wrong := self._terms.contradiction(index, name, scores.shape):
            raise UsageError(wrong)
        if not np.isfinite(scores).all():
            raise DataError(
                f"{name}: {int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite; they are not "
                "kept.\n  A reduced precision may have overflowed (try fp32), or the weights are damaged."
            )
        shape = scores.shape[0], scores.shape[1]
        note = _Note(index, name, views, None, shape, self._seconds(), contradictions)
        self._write(block(note, scores.astype("<f4", copy=False).tobytes()))

    def fail(self, index: int, name: str, reason: str) -> None:
        """Keep why a sample has no scores. Raises: UsageError if it is not this run's; CacheError if it cannot be."""
        if wrong := self._terms.contradiction(index, name, None):
            raise UsageError(wrong)
        message = reason.encode(errors="backslashreplace").decode()  # it may quote a file name that is not UTF-8
        self._write(block(_Note(index, name, None, message, None, self._seconds())))

    def flush(self) -> None:
        """Bring what was written to the disk itself. Raises: CacheError, also where somebody has removed the file."""
        try:
            os.fsync(self._open())
            is_there = os.fstat(self._open()).st_nlink > 0
        except OSError as error:
            self._fail(f"{error.strerror or error}; entries of the last seconds may be lost", error)
        if not is_there:
            self._trouble = f"{self.path}: was removed, with what it held.\n  Run the same command again."
            self._let_go()
            raise CacheError(self._trouble)
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and let go of the file. Raises: CacheError if the disk refuses what it seemed to have taken."""
        if self._handle is None:
            return
        try:
            self.flush()
        finally:
            self._let_go()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def _open(self) -> int:
        if self._trouble is not None:
            raise CacheError(self._trouble)
        if self._handle is None:
            raise UsageError(f"{self.path}: was closed; open another writer")
        return self._handle

    def _write(self, block: bytes) -> None:
        handle = self._open()
        try:
            written = os.write(handle, block)
        except OSError as error:
            self._fail(error.strerror or str(error), error)
        if written < len(block):
            self._fail(f"it took {written} of {len(block)} bytes, so the disk is full or a quota is used up")
        if time.monotonic() - self._flushed > _FLUSH_S:
            self.flush()

    def _fail(self, what: str, error: OSError | None = None) -> NoReturn:
        self._trouble = (
            f"{self.path}: cannot be written: {what}.\n"
            "  What was kept before is safe. Make room (or mend the disk) and run the same command again; it goes on "
            "from there."
        )
        self._let_go()
        raise CacheError(self._trouble) from error

    def _let_go(self) -> None:
        handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            os.close(handle)
        except OSError as error:  # some network disks tell of a full disk only now
            if self._trouble is None:
                self._fail(f"{error.strerror or error}; entries of the last seconds may be lost", error)


def header(run: str, made_by: MadeBy, shards: Sequence[ShardFile] = ()) -> bytes:
    """Return how a file of this run begins."""
    return MARK + block(_Header(run, made_by, list(shards)))


def block(of: object, scores: bytes = b"") -> bytes:
    """Return a note, and scores, as they stand in a file."""
    note = msgspec.msgpack.encode(of)
    numbers = len(note), len(scores), crc32(note), crc32(scores)
    check = crc32(_HEAD.pack(*numbers, 0)[:-4])
    return _HEAD.pack(*numbers, check) + note + scores


class _Header(msgspec.Struct, frozen=True, omit_defaults=True):
    run: str
    made_by: MadeBy
    shards: list[ShardFile] = []


class _Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    index: int
    name: str
    views: str | None
    failure: str | None
    shape: tuple[int, int] | None
    seconds: Seconds
    contradictions: Contradictions = ()  # left out where there are none, so that older versions read such entries


class _Block(NamedTuple):
    at: int
    note: bytes
    scores_at: int
    end: int


def _blocks(file: BinaryIO, path: Path, size: int, whole: bool) -> Iterator[_Block]:
    """Yield the blocks that are whole, and stop where the last one is not."""
    at = len(MARK)
    while at + _HEAD.size <= size:
        file.seek(at)
        head = file.read(_HEAD.size)
        note_length, length, note_crc, crc, check = _HEAD.unpack(head)
        if crc32(head[:-4]) != check:
            if not any(head) and not file.read(size - at).strip(b"\0"):
                return  # the file had its length and not yet its bytes when the power failed
            raise _damaged(path, at)
        scores_at = at + _HEAD.size + note_length
        end = scores_at + length
        if end > size:
            return
        note = file.read(note_length)
        last = end == size
        if crc32(note) != note_crc or ((whole or last) and _crc_of(file, length) != crc):
            if last:
                return
            raise _damaged(path, at)
        yield _Block(at, note, scores_at, end)
        at = end


def _crc_of(file: BinaryIO, length: int) -> int:
    crc = 0
    while length and (piece := file.read(min(length, _PIECE))):
        crc, length = crc32(piece, crc), length - len(piece)
    return crc


def _head(path: Path, block: _Block, terms: Terms) -> _Header:
    try:
        head = msgspec.msgpack.decode(block.note, type=_Header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: {_of_another_version(error)}") from None
    if head.run != terms.run:
        raise DataError(
            f"{path}: found scores of run {head.run[:12]}…, and run.json beside it is of run {terms.run[:12]}….\n"
            "  Another run's file was copied here, or run.json was exchanged: take the file out of this folder."
        )
    return head


def _entries(path: Path, blocks: Iterable[_Block], terms: Terms) -> list[Entry]:
    decoder, entries = msgspec.msgpack.Decoder(_Note), []
    for block in blocks:
        try:
            note = decoder.decode(block.note)
        except (msgspec.MsgspecError, ValueError) as error:
            raise DataError(f"{path}: at byte {block.at}: {_of_another_version(error)}") from None
        if wrong := terms.contradiction(note.index, note.name, note.shape):
            raise DataError(f"{path}: at byte {block.at}: {wrong}.\n  {_cut_here(path, block.at)}")
        size = 4 * math.prod(note.shape) if note.shape else 0
        if (note.shape is None) != (note.failure is not None) or block.end - block.scores_at != size:
            raise _damaged(path, block.at)
        name = terms.names[note.index]  # the one string for all
        entries.append(Entry(note.index, name, note.views, note.failure, note.shape, note.seconds, path,
                             block.scores_at, note.contradictions))  # fmt: skip
    return entries


def _scores(file: RawIOBase, entry: Entry) -> NDArray[np.float32]:
    assert entry.shape is not None
    scores = np.empty(entry.shape, dtype="<f4")
    left = memoryview(scores.data.cast("B"))
    file.seek(entry.at)
    while left:
        count = file.readinto(left)
        if not count:
            raise DataError(f"{entry.path}: ends before the scores at byte {entry.at}, which were there; read it again")
        left = left[count:]
    return scores.astype(np.float32, copy=False)


def _damaged(path: Path, at: int) -> DataError:
    return DataError(
        f"{path}: damaged at byte {at}: a checksum does not fit what stands there.\n  {_cut_here(path, at)}"
    )


def _cut_here(path: Path, at: int) -> str:
    return (
        f"What comes before is whole: `truncate -s {at} {shlex.quote(str(path))}` keeps it, and the command that made\n"
        "  the run scores the rest again."
    )


def _of_another_version(error: Exception) -> str:
    return f"cannot be understood ({error!s:.200}).\n  A newer videohub wrote it: update videohub here."
