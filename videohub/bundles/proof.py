"""Proves that a file is what `weights.fetch` hands out for a record: whole, sealed, of this record, of its network."""

from __future__ import annotations

from pathlib import Path

import msgspec

from videohub import weights
from videohub.convert import kept_weights
from videohub.convert.plain_files import MAX_HEADER
from videohub.errors import FormatError, UnsafeFileError
from videohub.registry.schema import Record

MAX_BLOCKS = 1000  # of a network: what comes from elsewhere must not ask for a million layers
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def check(path: Path, record: Record, sha256: str, *, called: str) -> None:
    """Check converted weights from end to end.

    Args:
        path: The file.
        record: Whose weights they shall be.
        sha256: Digest of the published file that they shall come from.
        called: What messages call the file.
    Raises: FormatError, UnsafeFileError; ConversionError if its tensors are not the record's network.
    """
    _check_size(record, called)
    with path.open("rb") as file:
        if int.from_bytes(file.read(8), "little") > MAX_HEADER:
            raise UnsafeFileError(f"{called}: has a header of more than {MAX_HEADER} bytes.\n  Do not use it.")
    try:
        kept_weights.check(path)
        header, tensors = kept_weights.origin(path), kept_weights.tensors(path)
        kinds = {key: tensor.dtype for key, tensor in tensors.items()}
        weights.prove(tensors, record)
    except FormatError as error:
        raise FormatError(str(error).replace(str(path), called)) from None
    except _UNREADABLE as error:
        raise FormatError(f"{called}: no weights of a network that can be built ({error!s:.200})") from None
    if any(tensor.dtype != kinds[key] for key, tensor in tensors.items()):
        raise FormatError(f"{called}: has tensors of another precision than the network of {record.name}")
    if not _is_of(header, record):
        raise FormatError(f"{called}: its header is of {_named(header)}, expected the record {record.name}")
    made_from = header.get("source_sha256")
    if made_from != sha256 and record.checkpoint.container not in (None, "safetensors"):  # converted when published
        raise FormatError(
            f"{called}: made from a file with sha256 {made_from!r:.80}, expected {sha256}.\n"
            "  `videohub bundle --checkpoint` takes the published file, not one that was made from it."
        )


def same(ours: Path, theirs: Path) -> bool:
    """Tell whether two files of weights hold the same tensors; where they come from may be told differently."""
    mine, other = kept_weights.tensors(ours), kept_weights.tensors(theirs)
    return mine.keys() == other.keys() and all(mine[key].equal(other[key]) for key in mine)


def _check_size(record: Record, called: str) -> None:
    """Refuse what would take for ever to build."""
    blocks = record.model.blocks
    if not isinstance(blocks, str) and sum(blocks) > MAX_BLOCKS:
        raise UnsafeFileError(f"{called}: its record has {sum(blocks)} blocks, expected at most {MAX_BLOCKS}")


def _is_of(header: dict[str, str], record: Record) -> bool:
    """Tell whether weights were made for a record, in all that decides them."""
    try:
        made_for = msgspec.json.decode(header.get("record", ""), type=Record)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return weights.decisive(made_for) == weights.decisive(record) and header.get("labels") == record.labels


def _named(header: dict[str, str]) -> str:
    """Return the name of the record that a header tells of, as far as it can be read."""
    try:
        name = str(msgspec.json.decode(header.get("record", "")).get("name"))
    except (msgspec.MsgspecError, ValueError, AttributeError, RecursionError):
        name = "?"
    return f"another state of {name!r:.80}"
