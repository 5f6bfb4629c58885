"""What a sample is, and how its pickles are written by hand, opcode by opcode."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

CODE = "open('CANARY', 'w')"
SHELL = "touch CANARY"
PATH = "CANARY"  # in any string, this is replaced by the path of the file that a sample would make


@dataclass(frozen=True)
class Attack:
    """One technique: where it was described, a sample of it, and what our error says.

    `words` is a regular expression; "" if the sample is harmless data, and is read. `bites` names the plain reader
    that does what the sample wants: "pickle", "numpy" or "torch" (weights_only=False); "" where none here does.
    """

    technique: str
    described: str
    make: Callable[[str], bytes]
    words: str
    bites: str = ""


@dataclass(frozen=True)
class Name:
    """A global as `module:name`."""

    name: str


class Call(Name):
    """A global that is called with arguments."""

    def __init__(self, name: str, *arguments: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "arguments", arguments)


@dataclass(frozen=True)
class Applied:
    """What another call gave, called in turn."""

    function: Any
    arguments: tuple[Any, ...]


def pickled(value: Any, canary: str = "") -> bytes:
    """Return a pickle of one blob, of protocol 4."""
    return b"\x80\x04}" + opcodes("conv1_w") + opcodes(value, canary) + b"s."


def opcodes(value: Any, canary: str = "") -> bytes:
    """Return the opcodes that put a value on the stack; bytes are opcodes already."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        text = value.replace(PATH, canary).encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, Name):
        module, name = value.name.split(":")
        result = f"c{module}\n{name}\n".encode() if "." not in name else opcodes(module) + opcodes(name) + b"\x93"
        return result + opcodes(value.arguments, canary) + b"R" if isinstance(value, Call) else result
    if isinstance(value, Applied):
        return opcodes(value.function, canary) + opcodes(value.arguments, canary) + b"R"
    if isinstance(value, tuple):
        return b"(" + _joined(value, canary) + b"t"
    if isinstance(value, list):
        return b"](" + _joined(value, canary) + b"e"
    if isinstance(value, dict):
        return b"}(" + _joined([item for pair in value.items() for item in pair], canary) + b"u"
    if isinstance(value, bool) or value is None:
        return {True: b"\x88", False: b"\x89", None: b"N"}[value]
    return b"J" + struct.pack("<i", value)


def _joined(values: Iterable[Any], canary: str) -> bytes:
    return b"".join(opcodes(value, canary) for value in values)
