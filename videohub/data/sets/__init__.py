"""The lists of a data set, in the formats people have them, become samples: a module here for each kind of lists.

Which module reads a data set's lists is what its entry in `datasets.yaml` says, so a new kind is one new file. Those
of a company's own are read as Kinetics' are, if its entry names no other.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from videohub.errors import UsageError
from videohub.registry.schema import DatasetInfo, Record

if TYPE_CHECKING:
    from videohub.data.samples import DataSet


def read(
    data: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    record: Record,
    list_file: str | os.PathLike[str] | None = None,
) -> DataSet:
    """Read the data set that a record's protocol is tested on.

    Whether the videos exist is not looked at, except where it tells which of several layouts is there: missing ones
    are for the evaluation to count.

    Args:
        data: Folder of the data set, or one of its lists; or tars, on disk or behind a URL: see `shard_samples`.
        root: Folder that the paths of the lists start from; None: where that data set's releases have them.
        record: Says which data set, which split and how many classes.
        list_file: The list whose videos lie in the tars; None: their labels do, too.
    Returns: each sample once, in the order of the lists, and what a reader had to decide, as notes.
    Raises: UsageError if `data`, `root` or a file that belongs to the data set is missing; DataError if one is
        malformed, contradicts another or holds no sample. Both name the file, and the line where there is one.
    """
    from videohub.data.sets import shard_samples, shards

    if shards.are_named(data):
        if root is not None:
            raise UsageError(f"{root}: found a folder that paths start from, beside tars, which hold the files; a list "
                             "of their names is what --list takes")  # fmt: skip
        if list_file is None:
            return shard_samples.read(os.fspath(data), record, None)
        of_list = functools.partial(_read_files, Path(list_file), record=record)
        return shard_samples.read(os.fspath(data), record, lambda nowhere: of_list(root=nowhere))
    if list_file is not None:
        raise UsageError(f"{list_file}: found a list beside {data}, which is no tar; a list of files is what --data "
                         "takes, and the folder that its paths start from is --root")  # fmt: skip
    return _read_files(Path(data), root=None if root is None else Path(root), record=record)


def _read_files(data: Path, *, root: Path | None, record: Record) -> DataSet:
    """Read a folder or a list."""
    try:
        for path in filter(None, (data, root)):
            if not path.exists():
                raise UsageError(f"{path}: no such file or folder; {record.protocol.dataset} was to be found there")
        if root is not None and not root.is_dir():
            raise UsageError(f"{root}: this is a file; a folder that the lists' paths start from was expected")
        data_set: DataSet = reader_of(record.dataset).read(data, root=root, record=record)
        return data_set
    except OSError as error:  # a folder without permission, a disk that fails
        raise UsageError(f"{error.filename or data}: cannot be read: {error.strerror}") from error


def reader_of(dataset: DatasetInfo) -> ModuleType:
    """Return the module that reads a data set's lists: its `read(data, *, root, record)` gives the data set.

    Raises: UsageError if there is none of that name.
    """
    why = unread(dataset)
    module = None if why else importlib.import_module(f"{__name__}.{dataset.lists}")
    if module is None or not _reads(module):
        raise UsageError(f"{dataset.name}: {why or _unknown(dataset)}")
    return module


def unread(dataset: DatasetInfo) -> str | None:
    """Return why nothing reads the lists of a data set, so that no record can be tested on it; None if something does.

    Nothing is imported for it: `show` asks, and need not wait for numpy.
    """
    if dataset.lists is None:
        return (
            "nothing here reads its lists; an entry of the same data set in a registry of your own may say what does, "
            "such as `lists: kinetics` for lines of `path label`"
        )
    return None if dataset.lists in _modules() else _unknown(dataset)


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]


def _reads(module: ModuleType) -> bool:
    """Tell whether a module reads lists."""
    read = getattr(module, "read", None)
    return callable(read) and {"root", "record"} <= inspect.signature(read).parameters.keys()


def _unknown(dataset: DatasetInfo) -> str:
    readers = [name for name in _modules() if _reads(importlib.import_module(f"{__name__}.{name}"))]
    return (
        f"nothing reads lists of the kind {dataset.lists!r}; expected one of {', '.join(readers)}, or a module of that "
        "name with a function read(data, *, root, record), in a folder that `videohub.data.sets.__path__` names"
    )
