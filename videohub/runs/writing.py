"""Appending to a run: one file for each process, one write for each sample, so that a kill costs one sample at most."""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from videohub.errors import CacheError, DataError, UsageError
from videohub.runs import scores as blocks
from videohub.runs.identity import MadeBy
from videohub.runs.scores import Contradictions, Terms

FLUSH_S = 5.0  # what a power cut may take; a kill takes nothing that was written
_SHARD = re.compile("([1-9][0-9]*)/([1-9][0-9]*)")


class Writer:
    """Appends what one process makes to a file of its own. What `append` has returned from outlives the process.

    A write that fails, or that the disk takes only a part of, ends the writer: what would follow the torn entry could
    not be read. The next run of the same command goes on in a new file.
    """

    def __init__(self, folder: Path, terms: Terms, made_by: MadeBy) -> None:
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
        self._write(blocks.header(terms.run, made_by))

    def append(
        self,
        index: int,
        name: str,
        views: str | None,
        scores: NDArray[np.float32],
        *,
        contradictions: Contradictions = (),
    ) -> None:
        """Keep the scores of a sample: float32 (views, classes), for AVA (boxes, 80).

        Args:
            index: Its place in the truth.
            name: Its name there.
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
        self._write(blocks.scored(index, name, views, scores, self._seconds(), contradictions))

    def fail(self, index: int, name: str, reason: str) -> None:
        """Keep why a sample has no scores. Raises: UsageError if it is not this run's; CacheError if it cannot be."""
        if wrong := self._terms.contradiction(index, name, None):
            raise UsageError(wrong)
        said = reason.encode(errors="backslashreplace").decode()  # it may quote a file name that is not UTF-8
        self._write(blocks.failed(index, name, said, self._seconds()))

    def flush(self) -> None:
        """Bring what was written to the disk itself. Raises: CacheError."""
        try:
            os.fsync(self._open())
        except OSError as error:
            self._fail(f"{error.strerror or error}; entries of the last seconds may be lost", error)
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        if time.monotonic() - self._flushed > FLUSH_S:
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
