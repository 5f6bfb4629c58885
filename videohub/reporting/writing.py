"""A report on the disk: `report.json`, and the two pages that are made from it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from videohub.errors import CacheError, DataError, UsageError
from videohub.files import atomic_write, read_file
from videohub.reporting import markdown, pages
from videohub.reporting.report import SCHEMA_VERSION, Report

NAME = "report.json"


class _Head(msgspec.Struct):
    """What report.json of any version holds."""

    schema_version: int


def write(report: Report, folder: str | Path) -> list[Path]:
    """Write `report.json`, `report.md` and `report.html` into a folder, each whole or not at all.

    Raises: UsageError if there is a file in the folder's place; CacheError if the disk refuses.
    """
    return write_into(
        folder,
        {
            NAME: report.encoded(),
            "report.md": markdown.page(report).encode(),
            "report.html": pages.page(report).encode(),
        },
    )


def write_into(folder: str | Path, contents: dict[str, bytes]) -> list[Path]:
    """Write files into a folder, which is made if need be; each whole or not at all. Raises: as `write`."""
    written = [Path(folder) / name for name in contents]
    try:
        for path, content in zip(written, contents.values(), strict=True):
            with atomic_write(path) as part:
                part.write_bytes(content)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: found a file, expected a folder to write into") from None
    except OSError as error:
        raise CacheError(
            f"{folder}: {path.name} cannot be written ({error.strerror or error}).\n"
            "  What was scored is kept. Make room, or name another folder, and run the same command again: it scores "
            "nothing twice."
        ) from error
    return written


def read(path: str | Path) -> Report:
    """Return the report of a `report.json`, or of the folder it lies in.

    Raises: UsageError if there is none, or it is another version's; DataError if it is no report or a damaged one.
    """
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    try:
        content = read_file(file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror or error}); expected the report of a run") from error
    try:
        version = msgspec.json.decode(content, type=_Head).schema_version
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"{file}: is a report of version {version}, and this videohub reads version {SCHEMA_VERSION}.\n"
                "  Make it again from the kept scores: `videohub report FOLDER`."
            )
        return msgspec.json.decode(content, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{file}: is not a report, or a damaged one: {error!s:.200}.\n"
            "  Make it again from the kept scores: `videohub report FOLDER`."
        ) from None
