"""A long string of a pickle, which stays in the file: where it lies, and the bytes or the text that it stands for."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from videohub.pickles.stored_tensor import CHUNK, bytes_at, damaged


@dataclass(frozen=True)
class LongString:
    """Stands for a string: the opcode that it is written with, and which bytes of the file it is, undecoded."""

    opcode: str
    position: int
    length: int

    def __setstate__(self, state: Any) -> None:
        raise TypeError("a string cannot be changed")

    def __len__(self) -> int:
        """Return how many bytes it takes in the file."""
        return self.length

    @property
    def is_plain(self) -> bool:
        """Whether the file holds the string's bytes as they are."""
        return self.opcode not in (*_CODECS, "STRING")


_CODECS = {
    "BINUNICODE": codecs.getincrementaldecoder("utf-8"),
    "BINUNICODE8": codecs.getincrementaldecoder("utf-8"),
    "UNICODE": codecs.getincrementaldecoder("raw_unicode_escape"),
}
# Whole characters of what Python 2 wrote between quotes, and no half of an escape at the end.
_ESCAPED = re.compile(rb"(?:[^\\]+|\\(?:x[0-9a-fA-F]{2}|[0-7]{3}|[^x0-7]|[0-7]{1,2}(?![0-7]|\Z)))*", re.DOTALL)
_PIECE = 1 << 16


def as_bytes(file: IO[bytes], text: LongString, source: str) -> Iterator[bytes | memoryview]:
    """Yield the bytes that the string stands for: its own, or those of its characters in latin1, as Python 2 had them.

    Raises: FormatError if it is damaged.
    """
    pieces = bytes_at(file, text.position, text.length, source)
    if text.is_plain:
        yield from pieces
        return
    try:
        if text.opcode == "STRING":
            yield from _unescaped(pieces, text.length)
            return
        decoder = _CODECS[text.opcode]()
        for piece in pieces:
            yield decoder.decode(bytes(piece)).encode("latin1")
        yield decoder.decode(b"", final=True).encode("latin1")
    except ValueError as error:
        raise damaged(source, f"a damaged pickle ({error!s:.200})") from None


def as_string(file: IO[bytes], text: LongString, source: str, *, most: int = CHUNK) -> str | None:
    """Return the string itself, None if it takes more than `most` bytes or is damaged."""
    if text.length > most or text.opcode == "STRING":
        return None
    data = b"".join(bytes_at(file, text.position, text.length, source))
    return _CODECS[text.opcode]("replace").decode(data, final=True) if text.opcode in _CODECS else data.decode("latin1")


def _unescaped(pieces: Iterator[memoryview], length: int) -> Iterator[bytes]:
    """Yield what stands between the quotes, without escapes."""
    rest, seen, quote = b"", 0, b""
    for piece in pieces:
        for start in range(0, len(piece), _PIECE):
            data = rest + bytes(piece[start : start + _PIECE])
            seen += len(data) - len(rest)
            if not quote:
                quote, data = data[:1], data[1:]
            if seen == length:
                if quote not in (b"'", b'"') or not data.endswith(quote):
                    raise ValueError("a string without its quotes")
                data = data[:-1] + b"\0"  # what is no digit ends a short escape
            found = _ESCAPED.match(data)
            whole = found.end() if found else 0
            decoded, _ = codecs.escape_decode(data[:whole])
            rest = data[whole:]
            yield decoded[:-1] if seen == length else decoded
            if len(rest) > 4:
                raise ValueError("an unreadable escape")
    if rest:
        raise ValueError("an unreadable escape")
