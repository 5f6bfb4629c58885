"""The lists of a data set, in the formats people have them, become samples. Each module here reads its own data sets.

A module that declares `DATASETS`, names of a protocol's `dataset`, and `read` is found by lying in this folder, so that
a new data set is one new file. A data set that none of them claims, a company's own, is read as Kinetics' lists are.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from videohub.data.samples import DataSet
from videohub.data.sets import kinetics
from videohub.errors import UsageError
from videohub.registry.schema import Record


class Reader(Protocol):
    """What a module of this folder offers, if it reads a data set."""

    DATASETS: tuple[str, ...]

    def read(self, data: Path, *, root: Path | None, record: Record) -> DataSet:
        """Read the data set that `record` is tested on; arguments and errors are those of `videohub.data.sets.read`."""
        ...


def read(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read the data set that a record's protocol is tested on.

    Whether the videos exist is not looked at, except where it tells which of several layouts is there: missing ones
    are for the evaluation to count.

    Args:
        data: Folder of the data set, or one of its lists.
        root: Folder that the paths of the lists start from; None: where that data set's releases have them.
        record: Says which data set, which split and how many classes.
    Returns: each sample once, in the order of the lists, and what a reader had to decide, as notes.
    Raises: UsageError if `data`, `root` or a file that belongs to the data set is missing; DataError if one is
        malformed, contradicts another or holds no sample. Both name the file, and the line where there is one.
    """
    try:
        for path in filter(None, (data, root)):
            if not path.exists():
                raise UsageError(f"{path}: no such file or folder; {record.protocol.dataset} was to be found there")
        if root is not None and not root.is_dir():
            raise UsageError(f"{root}: this is a file; a folder that the lists' paths start from was expected")
        return reader_of(record.protocol.dataset).read(data, root=root, record=record)
    except OSError as error:  # a folder without permission, a disk that fails
        raise UsageError(f"{error.filename or data}: cannot be read: {error.strerror}") from error


def reader_of(dataset: str) -> Reader:
    """Return the module that claims a data set, or Kinetics' for one that nobody claims."""
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        if dataset in getattr(module, "DATASETS", ()):
            return cast(Reader, module)
    return cast(Reader, kinetics)
