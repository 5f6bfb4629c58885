"""What earlier looks gave, kept in a small file: a second check of 20,000 videos takes seconds."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import msgspec

from videohub.errors import UsageError
from videohub.files import atomic_write, read_file
from videohub.preflight.looking import Probe
from videohub.preflight.targets import Stamp, Target

_FORMAT = "videohub index 2"


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What is known about one file as it was; an array, for there are many."""

    size: int
    mtime_ns: int
    probe: Probe | None = None
    ends: str = ""  # sha256 of the first and the last block of a file
    whole: str = ""  # sha256 of all of it


class _Content(msgspec.Struct, frozen=True):
    format: str
    entries: dict[str, Entry]


class Index:
    """What is known of files, by path and stamp. Paths are kept relative to the index's folder where they lie below it.

    A file that cannot be understood, or that another version of the decoder has written, counts as empty: all of it
    can be found out again.
    """

    def __init__(self, path: Path | None) -> None:
        """Read an index; None: remember nothing beyond this run. Raises: UsageError if `path` is a folder."""
        self.path = path
        self.trouble: str | None = None  # why it could not be written
        self._entries: dict[str, Entry] = {}
        self._changed = False
        self._format = f"{_FORMAT}, av {version('av')}, pillow {version('pillow')}"
        if path is None:
            return
        try:
            content = msgspec.json.decode(read_file(path), type=_Content)
        except FileNotFoundError:
            return
        except IsADirectoryError as error:
            raise UsageError(f"{path}: this is a folder; a file for the index was expected") from error
        except OSError as error:
            self.trouble = f"{path} cannot be read: {error.strerror}"
            return
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if content.format == self._format:
            self._entries = content.entries

    def entry(self, target: Target) -> Entry | None:
        """Return what is known of a target, as it is now."""
        kept = self._entries.get(self._key(target))
        return kept if kept and target.stamp == Stamp(kept.size, kept.mtime_ns) else None

    def probe(self, target: Target) -> Probe | None:
        """Return an earlier look at a target that was as deep as the one that is wanted now."""
        entry = self.entry(target)
        if entry is None or entry.probe is None:
            return None
        return entry.probe if entry.probe.deep or entry.probe.problem or not target.job.deep else None

    def keep(self, target: Target, *, probe: Probe | None = None, ends: str = "", whole: str = "") -> None:
        """Remember something about a target, beside what is known already; what may pass is not remembered."""
        if target.stamp is None or (probe and probe.passing):
            return
        known = self.entry(target) or Entry(*target.stamp)
        self._changed = True
        self._entries[self._key(target)] = Entry(
            *target.stamp, probe=probe or known.probe, ends=ends or known.ends, whole=whole or known.whole
        )

    def save(self) -> None:
        """Write the index; a folder that may not be written to is no failure, but `trouble` says so."""
        if self.path is None or self.trouble or not self._changed:
            return
        try:
            with atomic_write(self.path) as part:
                part.write_bytes(msgspec.json.encode(_Content(self._format, self._entries)))
            self._changed = False
        except OSError as error:
            self.trouble = f"{self.path} cannot be written: {error.strerror}"

    def _key(self, target: Target) -> str:
        """Return a target's path, relative where a moved or differently mounted folder would keep it."""
        if self.path is None:
            return target.key
        return target.key.removeprefix(f"{self.path.parent}{os.sep}")
