"""What tells that a file is another one by now, and the error for it."""

from __future__ import annotations

import msgspec

from videohub.errors import FileChangedError
from videohub.storage.locations import shown


class Stat(msgspec.Struct, frozen=True):
    """A file's size in bytes, and what changes with its content.

    `version` is the server's ETag (of a file on the hub the digest of its content, of one in Google's storage its
    generation); where there is none the date of its last change, with the size. Of a local file: size and date.
    """

    size: int
    version: str

    @property
    def tells_changes(self) -> bool:
        """Whether the server marks its files, so that another one of the same size has another version."""
        return self.version != f"{self.size} bytes"


def changed(location: str, *, found: str, expected: str) -> FileChangedError:
    """Return the error for a file that is another one by now."""
    return FileChangedError(
        f"{shown(location)}: has changed: found version {found}, expected {expected}.\n"
        "  What was read of it before was of another file. Begin anew, with an output folder of its own."
    )
