"""Reads a checkpoint of any container: its bytes say which one it is, its name nothing, and no code in it is run."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from videohub.convert import archives, caffe2_pickle, kept_weights, torch_file
from videohub.convert.archives import HEAD, refuse, sniff
from videohub.convert.recognition import OURS, layout_of
from videohub.convert.zip_file import is_npz, open_zip, read_npz
from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import visible
from videohub.files import existing_checkpoint
from videohub.pickles.stored_values import StoredTensor, damaged


@dataclass(frozen=True)
class Listing:
    """A checkpoint as published, of which only names, shapes and types were read; its file is open.

    `container` is `caffe2`, `torch`, `torch_legacy`, `safetensors` or `npz`; `wrapping` is what had to be taken off
    first, outermost first: `("gzip", "tar")`. Plain numbers of the file (`model_iter`) are arrays of no dimension.
    `source` is the path, and `path::member` inside an archive.
    """

    container: str
    wrapping: tuple[str, ...]
    tensors: Mapping[str, StoredTensor | np.ndarray]
    meta: dict[str, Any]
    source: str

    @property
    def is_converted(self) -> bool:
        """Whether we wrote this file, and it says of which record it holds the weights."""
        return self.container == "safetensors" and "videohub" in self.meta

    @property
    def layout(self) -> str:
        """How the keys are spelt, behind any prefix: a layout that has a table, `videohub` (our own) or `unknown`."""
        return OURS if self.is_converted else layout_of(self.tensors)


@dataclass(frozen=True)
class Checkpoint(Listing):
    """A checkpoint as published: names and values are the file's own, nothing is renamed or dropped."""

    tensors: dict[str, np.ndarray]


MAX_WRAPPINGS = 3


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a Caffe2 pickle, a torch file (zip or legacy), safetensors or npz, plain or inside gzip, tar and zip.

    Checksums that a file holds are compared: of gzip and zip (torch and npz among them), and our own weights' own.

    Args:
        path: A local file; its suffix is not looked at.
    Returns: all tensors by the file's own names, as contiguous little-endian arrays; bfloat16 becomes float32.
    Raises: UsageError for a missing path or a folder; FormatError that says what else the file is;
        UnsafeFileError (a FormatError) naming the global that it asks to run, or the memory that it asks for.
    """
    with opened(path) as listing:
        arrays: dict[StoredTensor, np.ndarray] = {}  # two names of one tensor share it
        tensors = {}
        for name, stored in listing.tensors.items():
            if isinstance(stored, StoredTensor):
                if stored not in arrays:
                    arrays[stored] = np.asarray(stored)
                stored = arrays[stored]
            tensors[name] = stored
        return Checkpoint(listing.container, listing.wrapping, tensors, listing.meta, listing.source)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Listing]:
    """Yield what a file holds before any tensor is read: `numpy.asarray` of one reads it, as long as the block lasts.

    Whoever knows which tensors, shapes and types are expected looks at them first, and reads them one at a time.
    Raises: as `read` does, here and where a tensor is read.
    """
    file = Path(path)
    existing_checkpoint(file)
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="videohub-"))
            yield _read(file, Path(folder), stack)
    except FormatError as error:
        error.args = ("\n".join(visible(line) for line in str(error).split("\n")),)
        raise


@contextmanager
def opened_together(paths: Sequence[Path], source: str) -> Iterator[Listing]:
    """Yield what several files of one network hold, as one; see `opened`. Raises: FormatError if two have one name."""
    with ExitStack() as stack:
        files = [stack.enter_context(opened(path)) for path in paths]
        tensors: dict[str, StoredTensor | np.ndarray] = {}
        for file in files:
            if twice := tensors.keys() & file.tensors.keys():
                raise FormatError(
                    f"{source}: two of its files hold {visible(min(twice)):.200}, expected each tensor once"
                )
            tensors.update(file.tensors)
        yield Listing(files[0].container, (), tensors, {}, source)


def _read(path: Path, folder: Path, stack: ExitStack) -> Listing:
    """Look into a file; what it is wrapped in is taken off in `folder`, and what is read stays open with `stack`."""
    source, wrapping = str(path), list[str]()
    limit = archives.cap(path.stat().st_size)  # of each: wrappings inside wrappings multiply, this does not
    while True:
        file = stack.enter_context(path.open("rb"))
        head = file.read(HEAD)
        kind = sniff(head)
        if kind is None:
            raise refuse(path, head, source)
        archive = open_zip(file, source, limit) if kind == "zip" else None
        if content := _content(kind, file, archive, source):
            container, tensors, meta = content
            if not tensors:
                raise damaged(source, f"a {container} file without a tensor, expected a checkpoint")
            return Listing(container, tuple(wrapping), tensors, meta, source)
        if len(wrapping) >= MAX_WRAPPINGS:
            outer = ", ".join(reversed(wrapping))
            raise UnsafeFileError(
                f"{source}: {kind} inside {outer}, expected at most {MAX_WRAPPINGS} wrappings.\n"
                "  Unpack it by hand, if you trust it."
            )
        inner = folder / str(len(wrapping))
        if kind == "gzip":
            archives.gunzip(path, inner, source, limit)
        else:
            name = archives.unzip(archive, inner, source) if archive else archives.untar(path, inner, source)
            source = f"{source}::{visible(name)}"
        file.close()
        if wrapping:
            path.unlink()
        path = inner
        wrapping.append(kind)


def _content(
    kind: str, file: IO[bytes], archive: zipfile.ZipFile | None, source: str
) -> tuple[str, Mapping[str, StoredTensor | np.ndarray], dict[str, Any]] | None:
    """Return the container of a file, its tensors and what else is known of it; None if it is around another file."""
    if archive:
        if root := torch_file.torch_root(archive, source):
            return "torch", *torch_file.read_zip(file, archive, root, source)
        return ("npz", read_npz(archive, source), {}) if is_npz(archive) else None
    if kind in ("gzip", "tar"):
        return None
    end = file.seek(0, 2)
    file.seek(0)
    if kind == "torch_legacy":
        return kind, *torch_file.read_legacy(file, end, source)
    if kind == "safetensors":
        tensors, meta = kept_weights.read_safetensors(file, source)
        if "videohub" in meta:
            kept_weights.check_checksum(meta, tensors, source)
        return kind, tensors, meta
    return "caffe2", *caffe2_pickle.read(file, end, source)
