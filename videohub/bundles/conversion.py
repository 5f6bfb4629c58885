"""From a published file that came in a bundle to weights: made here, by the same code as after a download."""

from __future__ import annotations

from pathlib import Path

from videohub import weights
from videohub.convert import kept_weights
from videohub.errors import FormatError, UnsafeFileError, VideohubError
from videohub.hub.download import Fetched
from videohub.registry.schema import Record

MAX_BLOCKS = 1000  # of a network: what comes from elsewhere must not ask for a million layers
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def convert(file: Fetched, record: Record, out: Path, *, called: str) -> None:
    """Prove that a published file holds a record's network, and write its weights.

    Args:
        file: The published file, whose digest was taken.
        record: Whose weights they shall be; it may have come from elsewhere, too.
        out: The file to write.
        called: What messages call the file.
    Raises: FormatError, UnsafeFileError; ConversionError if its tensors are not the record's network.
    """
    if record.model.num_blocks > MAX_BLOCKS:
        raise UnsafeFileError(
            f"{called}: its record has {record.model.num_blocks} blocks, expected at most {MAX_BLOCKS}"
        )
    try:
        weights.convert_published(file, record, out)
    except VideohubError as error:
        raise type(error)(f"{called}: {str(error).replace(str(file.path), called)}") from None
    except _UNREADABLE as error:
        raise FormatError(f"{called}: no weights of a network that can be built ({error!s:.200})") from None


def same(ours: Path, theirs: Path) -> bool:
    """Tell whether two files of weights hold the same tensors; where they come from may be told differently."""
    mine, other = kept_weights.tensors(ours), kept_weights.tensors(theirs)
    return mine.keys() == other.keys() and all(mine[key].equal(other[key]) for key in mine)
