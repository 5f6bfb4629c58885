"""Unfinished downloads: each is written by one process only; any other may copy what is there and go on from it.

What nobody can be writing to, as its lock tells, is gone on with where it lies: there may be no room for a copy. Else
it is copied, which costs one pass over the bytes, and their digest needs that anyway. So two writers never meet in one
file; where locks do nothing they might, and what was gone on with is therefore read again before it is published.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated

import msgspec

from videohub.errors import CacheError
from videohub.files import replace
from videohub.hub import cache
from videohub.hub.file_lock import STALE_AFTER_S, try_flock

ETAG = r'\A"[\x21\x23-\x7e\x80-\xff]+"\Z'  # a strong one that is not empty; nothing in it breaks a header
_BLOCK = 1 << 20
_BATCH, _BEHIND = 4 << 20, 3  # bytes that the digest's thread takes at once, and how many such it may be behind


class Note(msgspec.Struct, frozen=True):
    """What a server said of a file when it began to send it."""

    file: str  # the record's URL, whatever mirror it comes from
    url: str
    validator: Annotated[str, msgspec.Meta(pattern=ETAG)] | None  # a strong ETag, for If-Range
    total: Annotated[int, msgspec.Meta(ge=0)] | None
    encoded: bool = False  # compressed on its way: what is here is decoded, and no range of theirs fits it
    boot: str = ""  # of the machine that wrote it: what was not flushed before another start may be lost


class Part:
    """The beginning of a file, with the digest of what is there so far.

    Its writer holds a lock on it as long as it lives, where locks work.
    """

    def __init__(self, note: Note, left: IO[bytes] | None = None) -> None:
        """Begin a part, or go on with the open file `left`, whose lock is held, and which lies where its name says."""
        self.note = note
        self.size = 0
        self.pieced = left is not None  # received in more than one answer
        self._exposed = left is not None  # another process may have written to it: not where locks work
        self._digest = _Digest()
        if left is not None:
            self.path, self._file = Path(left.name), left
            while block := left.read(_BLOCK):
                self._digest.update(block)
                self.size += len(block)
            return
        folder = cache.folder("partial")
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{_stem(note.file)}-{secrets.token_hex(8)}.part"
        self._file = self.path.open("x+b", buffering=0)
        try_flock(self._file.fileno())
        try:
            with _note_of(self.path).open("xb") as file:
                file.write(msgspec.json.encode(note))
        except OSError:
            self.drop()
            raise

    @property
    def sha256(self) -> str:
        """The digest of what is there, in hexadecimal."""
        return self._digest.hexdigest()

    @property
    def whole(self) -> bool:
        """Whether all is here that the server announced."""
        return self.size > 0 and self.size == self.note.total

    def write(self, block: bytes) -> None:
        """Append a block."""
        left = memoryview(block)
        while left:  # an unbuffered file may take less than it is given
            left = left[self._file.write(left) :]
        self._digest.update(block)
        self.size += len(block)

    def give(self, place: Path) -> None:
        """Make this the file `place`.

        Where locks do nothing, another process may have taken it for a left-over and removed it. Then that one has
        published the same file, or the content is still in our hands.
        """
        while True:
            try:
                if self._exposed and cache.sha256_of(self.path) != self.sha256:
                    raise CacheError(f"{self.path}: another process has written to it as well; fetch again")
                return replace(self.path, place)
            except FileNotFoundError:
                if place.is_file():
                    return None
            self._file.seek(0)
            other = copy(self._file, self.note)
            self.drop()
            self.path, self._file, self._exposed = other.path, other._file, True

    def close(self) -> None:
        """Let go of the file; it stays for whoever comes next, and is not taken for one that is being written."""
        self._digest.close()
        self._file.close()
        then = time.time() - STALE_AFTER_S
        with suppress(OSError):  # it has been published, or is gone
            os.utime(self.path, (then, then))

    def drop(self) -> None:
        """Remove what there is."""
        self._digest.close()
        self._file.close()
        _remove(self.path)


class _Digest:
    """A SHA-256, worked out in a thread of its own while the next bytes are received and written.

    It is handed whole batches, since each hand-over may wait for the interpreter's lock. Downloads run at 798 MB/s
    where one thread comes to 696, and batches of 1 MiB to 783.
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, "videohub-sha256")
        self._behind: deque[Future[None]] = deque()
        self._batch: list[bytes] = []
        self._size = 0  # of the batch

    def update(self, block: bytes) -> None:
        """Append a block; waits if the thread is too far behind."""
        self._batch.append(block)
        self._size += len(block)
        if self._size >= _BATCH:
            if len(self._behind) == _BEHIND:
                self._behind.popleft().result()
            self._behind.append(self._thread.submit(self._work_in, self._batch))
            self._batch, self._size = [], 0

    def hexdigest(self) -> str:
        """Return the digest of all blocks so far, once the thread has come to their end."""
        while self._behind:
            self._behind.popleft().result()
        self._work_in(self._batch)
        self._batch, self._size = [], 0
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Let the thread end; the digest can still be read."""
        self._thread.shutdown(wait=False)

    def _work_in(self, blocks: list[bytes]) -> None:
        for block in blocks:
            self._sha256.update(block)


def adopt(file: str, url: str, *, exclusive: bool) -> Part | None:
    """Return a copy of the longest beginning that earlier calls got of a record's file from this URL, or None.

    If nobody else can be at work on it (`exclusive`), what was left is removed.
    """
    notes = {path: _read_note(path) for path in left(file)}
    ours = {path: note for path, note in notes.items() if note and (note.file, note.url) == (file, url)}
    longest = max(ours, key=_size, default=None)
    part = None
    if longest is not None and _size(longest):
        # its writer may finish in this moment, or be another user who does not share
        with suppress(FileNotFoundError, PermissionError):
            part = _taken_over(longest, ours[longest]) or _copied(longest, ours[longest])
    if exclusive:
        remove_left_parts(file, keep=part)
    return part


def boot() -> str:
    """Return what changes with every start of this machine, nothing where that is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def copy(file: IO[bytes], note: Note) -> Part:
    """Return a part with the content of an open file."""
    part = Part(note)
    try:
        while block := file.read(_BLOCK):
            part.write(block)
    except BaseException:
        part.drop()
        raise
    return part


def _taken_over(path: Path, note: Note) -> Part | None:
    """Return the very part that an earlier call left, which takes no more room; None where its writer may be alive.

    Nor is a part taken over that may be written by others in another way: another user's, or one with a second name.
    """
    if note.boot != boot():  # perhaps another machine's, whose locks are not seen here
        return None
    left = open(path, "r+b", buffering=0, opener=_no_link)  # noqa: SIM115 (the part closes it)
    status = os.fstat(left.fileno())
    is_mine = status.st_nlink == 1 and hasattr(os, "geteuid") and status.st_uid == os.geteuid()
    if is_mine and try_flock(left.fileno()) and _is_still(path, left.fileno()):
        return Part(note, left)
    left.close()  # it was published in this moment, if it is not what its name leads to any more
    return None


def _is_still(path: Path, handle: int) -> bool:
    """Tell whether the name still leads to the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _copied(path: Path, note: Note) -> Part:
    """Return a part with the content of another one."""
    with open(path, "rb", opener=_no_link) as beginning:
        cache.check_room(os.fstat(beginning.fileno()).st_size)
        part = copy(beginning, note)
    part.pieced = True
    return part


def remove_left_parts(file: str, *, keep: Part | None = None) -> None:
    """Remove every beginning of a record's file, but one."""
    for path in left(file):
        if keep is None or path != keep.path:
            with suppress(PermissionError):  # another user's
                _remove(path)


def left(file: str) -> list[Path]:
    """Return the parts of a record's file, also those whose process ended between a part and its note."""
    parts = cache.folder("partial").glob(f"{_stem(file)}-*")
    return sorted({path.with_suffix(".part") for path in parts})


def _read_note(path: Path) -> Note | None:
    """Return a part's note if it is whole; without one nobody can tell what the part is of."""
    try:
        return cache.read_note(_note_of(path), Note)
    except (FileNotFoundError, PermissionError, ValueError):
        return None


def _size(path: Path) -> int:
    """Return the size of a part, 0 for what is none: a link may lead to any file, a pipe nowhere."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _note_of(path).unlink(missing_ok=True)


def _note_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _stem(file: str) -> str:
    return cache.key_of(file)[:32]
