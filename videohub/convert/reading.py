"""Reads a checkpoint of any container: its bytes say which one it is, its name nothing, and no code in it is run."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from videohub.convert import caffe2_pickle, plain_files, torch_file, unwrapping
from videohub.convert.checkpoint import Checkpoint
from videohub.convert.quoting import printable
from videohub.convert.sniffing import HEAD, refuse, sniff
from videohub.convert.zip_directory import DAMAGED_MEMBER, open_zip
from videohub.errors import FormatError, UnsafeFileError, UsageError

MAX_WRAPPINGS = 3


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a Caffe2 pickle, a torch file (zip or legacy), safetensors or npz, plain or inside gzip, tar and zip.

    Args:
        path: A local file; its suffix is not looked at.
    Returns: all tensors by the file's own names, as contiguous little-endian arrays; bfloat16 becomes float32.
    Raises: UsageError for a missing path or a folder; FormatError that says what else the file is;
        UnsafeFileError (a FormatError) naming the global that it asks to run, or the memory that it asks for.
    """
    file = Path(path)
    _check_is_file(file)
    try:
        with tempfile.TemporaryDirectory(prefix="videohub-") as folder:
            room = _Room(Path(folder), unwrapping.cap(file.stat().st_size))
            return _read(file, str(path), (), room)
    except FormatError as error:
        error.args = ("\n".join(printable(line) for line in str(error).split("\n")),)
        raise


class _Room(NamedTuple):
    """Where to unpack, and how many bytes each layer may have: wrappings inside wrappings multiply, this does not."""

    folder: Path
    limit: int


def _read(path: Path, source: str, wrapping: tuple[str, ...], room: _Room) -> Checkpoint:
    """Read a file that lies inside `wrapping`; what is unpacked goes to the room's folder, which the caller removes."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    kind = sniff(head)
    if kind is None:
        raise refuse(path, head, source)
    if kind == "zip":
        return _read_zip(path, source, wrapping, room)
    if kind in ("gzip", "tar"):
        inner = _inner(room, kind, source, wrapping)
        if kind == "gzip":
            unwrapping.gunzip(path, inner, source, room.limit)
        else:
            source = f"{source}::{printable(unwrapping.untar(path, inner, source))}"
        return _read_inner(path, inner, source, (*wrapping, kind), room)
    if kind == "torch_legacy":
        tensors, meta = torch_file.read_legacy(path, source)
    elif kind == "safetensors":
        tensors, meta = plain_files.read_safetensors(path, source)
    else:
        kind = "caffe2"
        tensors, meta = caffe2_pickle.read(path, source)
    return _checkpoint(kind, wrapping, tensors, meta, source)


def _read_zip(path: Path, source: str, wrapping: tuple[str, ...], room: _Room) -> Checkpoint:
    """Read a zip file: torch's, numpy's, or one around another checkpoint."""
    with open_zip(path, source, room.limit) as archive:
        if root := torch_file.torch_root(archive, source):
            return _checkpoint("torch", wrapping, *torch_file.read_zip(path, archive, root, source), source)
        if plain_files.is_npz(archive):
            return _checkpoint("npz", wrapping, *plain_files.read_npz(archive, source), source)
        inner = _inner(room, "zip", source, wrapping)
        try:
            name = unwrapping.unzip(archive, inner, source)
        except DAMAGED_MEMBER as error:
            raise FormatError(f"{source}: a damaged zip file ({error!s:.200}).\n  Fetch it again.") from None
    return _read_inner(path, inner, f"{source}::{printable(name)}", (*wrapping, "zip"), room)


def _read_inner(path: Path, inner: Path, source: str, wrapping: tuple[str, ...], room: _Room) -> Checkpoint:
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


def _checkpoint(
    container: str, wrapping: tuple[str, ...], tensors: dict[str, np.ndarray], meta: dict[str, Any], source: str
) -> Checkpoint:
    """Return the checkpoint, if there is anything in it."""
    if not tensors:
        raise FormatError(f"{source}: a {container} file without a tensor, expected a checkpoint.\n  Fetch it again.")
    return Checkpoint(container, wrapping, tensors, meta, source)


def _check_is_file(path: Path) -> None:
    """Refuse what cannot be opened as a file."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink() and "annex" in os.readlink(path):
            raise FormatError(
                f"{path}: a git-annex link to a file that is not here, expected the checkpoint.\n"
                "  Run `git annex get` on it in its repository."
            ) from None
        raise UsageError(f"{path}: no such file, expected a checkpoint.\n  Check the path.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be opened ({error}).\n  Check the path and its permissions.") from None
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path}: a folder, expected a checkpoint.\n  Give the file inside it.")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path}: a device or a pipe, expected a checkpoint.\n  Save it to a file first.")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path}: not readable by you.\n  Check its permissions.")
