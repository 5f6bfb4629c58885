"""Reads a checkpoint of any container: its bytes say which one it is, its name nothing, and no code in it is run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from videohub.convert import archives, caffe2_pickle, kept_weights, plain_files, torch_file
from videohub.convert.archives import HEAD, refuse, sniff
from videohub.convert.recognition import OURS, layout_of
from videohub.convert.stored_tensor import StoredTensor
from videohub.convert.zip_directory import DAMAGED_MEMBER, open_zip
from videohub.errors import FormatError, UnsafeFileError, UsageError
from videohub.escaping import visible
from videohub.files import existing_file


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
    _check_is_file(file)
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="videohub-"))
            room = _Room(Path(folder), archives.cap(file.stat().st_size), stack)
            yield _read(file, str(path), (), room)
    except FormatError as error:
        error.args = ("\n".join(visible(line) for line in str(error).split("\n")),)
        raise


@dataclass(frozen=True)
class _Room:
    """Where to unpack, how many bytes each layer may have (wrappings inside wrappings multiply, this does not), and
    which files are open.
    """

    folder: Path
    limit: int
    stack: ExitStack


def _read(path: Path, source: str, wrapping: tuple[str, ...], room: _Room) -> Listing:
    """Look into a file that lies inside `wrapping`; what is unpacked goes to the room's folder."""
    file = room.stack.enter_context(path.open("rb"))
    head = file.read(HEAD)
    kind = sniff(head)
    if kind is None:
        raise refuse(path, head, source)
    if kind == "zip":
        return _read_zip(path, file, source, wrapping, room)
    if kind in ("gzip", "tar"):
        inner = _inner(room, kind, source, wrapping)
        if kind == "gzip":
            archives.gunzip(path, inner, source, room.limit)
        else:
            source = f"{source}::{visible(archives.untar(path, inner, source))}"
        file.close()
        return _read_inner(path, inner, source, (*wrapping, kind), room)
    end = file.seek(0, 2)
    file.seek(0)
    if kind == "torch_legacy":
        return _listing(kind, wrapping, *torch_file.read_legacy(file, end, source), source)
    if kind == "safetensors":
        tensors, meta = plain_files.read_safetensors(file, source)
        if "videohub" in meta:
            kept_weights.check_checksum(meta, tensors, source)
        return _listing(kind, wrapping, tensors, meta, source)
    return _listing("caffe2", wrapping, *caffe2_pickle.read(file, end, source), source)


def _read_zip(path: Path, file: IO[bytes], source: str, wrapping: tuple[str, ...], room: _Room) -> Listing:
    """Look into a zip file: torch's, numpy's, or one around another checkpoint."""
    archive = open_zip(file, source, room.limit)
    if root := torch_file.torch_root(archive, source):
        return _listing("torch", wrapping, *torch_file.read_zip(file, archive, root, source), source)
    if plain_files.is_npz(archive):
        return _listing("npz", wrapping, *plain_files.read_npz(archive, source), source)
    inner = _inner(room, "zip", source, wrapping)
    try:
        name = archives.unzip(archive, inner, source)
    except DAMAGED_MEMBER as error:
        raise FormatError(f"{source}: a damaged zip file ({error!s:.200}).\n  Fetch it again.") from None
    file.close()
    return _read_inner(path, inner, f"{source}::{visible(name)}", (*wrapping, "zip"), room)


def _read_inner(path: Path, inner: Path, source: str, wrapping: tuple[str, ...], room: _Room) -> Listing:
    """Read what was unpacked from `path`, which is removed first if it was itself unpacked."""
    if wrapping[:-1]:
        path.unlink()
    return _read(inner, source, wrapping, room)


def _inner(room: _Room, kind: str, source: str, wrapping: tuple[str, ...]) -> Path:
    """Return where to unpack the next layer."""
    if len(wrapping) >= MAX_WRAPPINGS:
        raise UnsafeFileError(
            f"{source}: {kind} inside {', '.join(reversed(wrapping))}, expected at most {MAX_WRAPPINGS} wrappings.\n"
            "  Unpack it by hand, if you trust it."
        )
    return room.folder / f"layer{len(wrapping)}"


def _listing(
    container: str,
    wrapping: tuple[str, ...],
    tensors: Mapping[str, StoredTensor | np.ndarray],
    meta: dict[str, Any],
    source: str,
) -> Listing:
    """Return what was found, if there is anything."""
    if not tensors:
        raise FormatError(f"{source}: a {container} file without a tensor, expected a checkpoint.\n  Fetch it again.")
    return Listing(container, wrapping, tensors, meta, source)


def _check_is_file(path: Path) -> None:
    """Refuse what cannot be opened as a file."""
    try:
        existing_file(path, "checkpoint")
    except UsageError:
        if os.path.islink(path) and "annex" in os.readlink(path):
            raise FormatError(
                f"{path}: a git-annex link to a file that is not here, expected the checkpoint.\n"
                "  Run `git annex get` on it in its repository."
            ) from None
        raise
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path}: not readable by you.\n  Check its permissions.")
