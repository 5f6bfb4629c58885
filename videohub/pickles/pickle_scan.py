"""Looks a pickle through, opcode by opcode, before anything is built from it; runs nothing.

What it gives back is the same pickle without its long strings, the bytes of arrays above all: they stay in the file.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import visible
from videohub.pickles.stored_values import CHUNK, LongString, damaged

MAX_STACK = 100_000  # the standard picklers empty theirs every 1000 items
MAX_NESTING = 200
MAX_LINE = 4096
MAX_NAME = 256  # longer strings are not kept, for they name no global
MAX_NUMBER = 256  # bytes of a whole number
MAX_TEXT = 8192  # longer strings stay in the file
GETATTR = ("builtins.getattr", "__builtin__.getattr")


class Limits(NamedTuple):
    """What a pickle may ask for, by what it holds; more has been put in it to take time or memory."""

    holds: str  # in messages
    opcodes: int
    int_keys: int  # in all dicts; they may be chosen to collide
    bytes: int  # without its long strings; it is built to six times as much


# A two-pathway network of 101 layers with its momentum takes some 100 000 opcodes, a torch file with optimizer no more;
# an optimizer counts its tensors; a network of so many opcodes has 3 MB of short values.
WEIGHTS = Limits("weights", opcodes=500_000, int_keys=5_000, bytes=8 << 20)
# The boxes of half a million frames, 31 opcodes each; the actions of 2,000 videos by number.
ANNOTATIONS = Limits("annotations", opcodes=20_000_000, int_keys=50_000, bytes=1 << 30)


class Scanned(NamedTuple):
    """A pickle that may be built: it refers to each of `texts` as an object outside of itself, by its number."""

    pickle: bytearray
    texts: list[LongString]


_MARK: Any = pickletools.markobject
_NEVER = {
    "EXT1": "a copyreg extension",
    "EXT2": "a copyreg extension",
    "EXT4": "a copyreg extension",
    "OBJ": "an object of its own class",
    "NEWOBJ": "an object of its own class",
    "NEWOBJ_EX": "an object of its own class",
    "NEXT_BUFFER": "a buffer outside of the file",
    "READONLY_BUFFER": "a buffer outside of the file",
    "EMPTY_SET": "a set",
    "FROZENSET": "a set",
    "PERSID": "an object outside of the file",
}
_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_INTS = {pickletools.pyint, pickletools.pylong, pickletools.pyinteger_or_bool, pickletools.pybool}
_OPCODES = {op.code.encode("latin1"): op for op in pickletools.opcodes}


class _Class:
    """Stands on the stack for a global that objects may be made of."""


@dataclass(eq=False)
class Scan:
    """The stack and the memo of a pickle machine that holds kinds of values instead of values, and short strings."""

    file: IO[bytes]
    end: int  # where the pickle has to end at the latest, in bytes from the beginning of the file
    source: str
    allowed: Collection[str]  # the globals it may name, as `module.name`
    classes: Collection[str]  # those that it may make objects of; once it named one, also ask for an attribute of
    persistent: bool  # whether it may refer to storages outside of itself, as torch files do
    limits: Limits

    def __post_init__(self) -> None:
        self.position = self.file.tell()
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.scanned = Scanned(bytearray(), [])
        self.marks = self.int_keys = 0
        self.class_named = False

    def run(self) -> Scanned:
        """Read one pickle from where the file stands, leave the file behind it, and return what may be built.

        Its long strings are left out, and of objects of the classes plain calls come back.
        Raises: UnsafeFileError naming what it asks for; FormatError if it is cut short or damaged.
        """
        for _ in range(self.limits.opcodes):
            if self.step() == "STOP":
                return self.scanned
        raise UnsafeFileError(
            f"{self.source}: a pickle of more than {self.limits.opcodes} opcodes, "
            f"which {self.limits.holds} do not need.\n"
            "  Nothing was built from it. Do not use this file."
        )

    def step(self) -> str:
        """Read one opcode and do to the stack what it would do."""
        begin = len(self.scanned.pickle)
        op = _OPCODES.get(self.read(1))
        if op is None:
            raise self.damaged("an unknown opcode")
        if (op.name in _NEVER and not (op.name == "NEWOBJ" and self.class_named)) or (
            op.name == "BINPERSID" and not self.persistent
        ):
            raise self.unsafe(_NEVER.get(op.name, "an object outside of the file"))
        if op.name == "PROTO":
            self.protocol(self.read(1)[0])
            return op.name
        named = op.name in ("GLOBAL", "INST")
        argument: Any = self.check(self.line(), self.line()) if named else self.argument(op)
        if isinstance(argument, LongString) or op.name == "FRAME":  # which counts the bytes that were there
            del self.scanned.pickle[begin:]
        if isinstance(argument, LongString):
            self.scanned.pickle.extend(b"J" + struct.pack("<i", len(self.scanned.texts)) + b"Q")
            self.scanned.texts.append(argument)
        taken = self.pop(op)
        if op.name == "BINPERSID" and taken != [pickletools.pytuple]:
            raise self.damaged("the id of an object outside of the file is no tuple")
        if op.name == "STACK_GLOBAL":
            argument = self.check(*taken)
        elif op.name == "NEWOBJ":
            if not isinstance(taken[0], _Class):
                raise self.unsafe(_NEVER[op.name])
            self.scanned.pickle[-1:] = b"R"  # the machine would want a class; a stand-in is called
        elif op.name == "SETITEM":
            self.check_keys(taken[1:2])
        elif op.name in ("SETITEMS", "DICT"):
            self.check_keys(taken[0::2])
        self.push(op, argument, taken)
        return op.name

    def argument(self, op: Any) -> Any:
        """Read past the opcode's argument; return a number, a string if it is short, a `LongString` if it is long."""
        if op.arg is None:
            return None
        size = op.arg.n
        if size == pickletools.UP_TO_NEWLINE:
            if op.name in _STRINGS:
                return self.long_line(op.name)
            line = self.line()
            return line if op.name in ("PUT", "GET") else None
        if size >= 0:
            data = self.read(size)
            if op.name == "FRAME" and int.from_bytes(data, "little") > self.end - self.position:
                raise self.cut_short(f"a frame of {int.from_bytes(data, 'little')} bytes")
            return int.from_bytes(data, "little") if "BINPUT" in op.name or "BINGET" in op.name else None
        length = int.from_bytes(self.read(_LENGTH_BYTES[size]), "little", signed=op.name in ("BINSTRING", "LONG4"))
        if not 0 <= length <= self.end - self.position:
            raise self.cut_short(f"{op.name} of {length} bytes")
        if op.name.startswith("LONG") and length > MAX_NUMBER:
            raise self.unsafe(f"a whole number of {length} bytes")
        if length > MAX_TEXT:
            text = LongString(op.name, self.position, length)
            self.position += length
            self.file.seek(self.position)
            return text
        data = self.read(length)
        return data.decode("utf-8", "replace") if op.name in _STRINGS and length <= MAX_NAME else None

    def pop(self, op: Any) -> list[Any]:
        """Take from the stack what the opcode takes."""
        before = op.stack_before
        if _MARK in before or (op.name == "POP" and self.stack and self.stack[-1] is _MARK):
            if not self.marks:
                raise self.damaged("no MARK on the stack")
            start = len(self.stack) - 1
            while self.stack[start] is not _MARK:
                start -= 1
            self.marks -= 1
            taken = self.stack[start + 1 :]
            below = before.index(_MARK) if _MARK in before else 0
            start -= below
        else:
            below, taken, start = 0, [], len(self.stack) - len(before)
            taken = self.stack[max(start, 0) :]
        if start < 0 or _MARK in taken or _MARK in self.stack[start : start + below]:
            raise self.damaged("too little on the stack")
        del self.stack[start:]
        return taken

    def push(self, op: Any, argument: Any, taken: list[Any]) -> None:
        """Put on the stack what the opcode puts there."""
        if op.name == "MARK":
            self.marks += 1
            if self.marks > MAX_NESTING:
                raise self.unsafe(f"values nested more than {MAX_NESTING} deep")
            self.stack.append(_MARK)
        elif op.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.stack.extend(taken)
            self.memorize(len(self.memo) if op.name == "MEMOIZE" else self.number(argument))
        elif op.name in ("GET", "BINGET", "LONG_BINGET"):
            if self.number(argument) not in self.memo:
                raise self.damaged(f"memo {argument} was never stored")
            self.stack.append(self.memo[self.number(argument)])
        elif op.name == "DUP":
            self.stack += taken * 2
        elif isinstance(argument, _Class) and op.name != "INST":
            self.stack.append(argument)
        elif op.name in _STRINGS:
            self.stack.append(argument if isinstance(argument, str) else pickletools.pystring)
        else:
            self.stack.extend(op.stack_after)
        if len(self.stack) > MAX_STACK:
            raise self.unsafe(f"a stack of more than {MAX_STACK} values")

    def memorize(self, index: int) -> None:
        """Store the top of the stack; the real machine would make room for all indices below this one."""
        if index > self.limits.opcodes:
            raise self.unsafe(f"memo number {index}, for which room would have to be made")
        if not self.stack or self.stack[-1] is _MARK:
            raise self.damaged("nothing to memorize")
        self.memo[index] = self.stack[-1]

    def check(self, module: Any, name: Any) -> _Class | None:
        """Refuse a global that is not on the list, or whose name is put together where it cannot be seen.

        Returns: what stands for one that objects may be made of.
        """
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.unsafe("a global whose name is not written in it")
        full = f"{module}.{name}"
        if full not in self.allowed or "\n" in full or (full in GETATTR and not self.class_named):
            raise self.unsafe(visible(full[:200]))
        if full not in self.classes:
            return None
        self.class_named = True
        return _Class()

    def check_keys(self, keys: list[Any]) -> None:
        """Refuse keys that are slow to hash or to tell apart; tensors have strings, optimizer slots numbers."""
        for key in keys:
            if key in _INTS:
                self.int_keys += 1
            elif not isinstance(key, str) and key is not pickletools.pystring:
                raise self.unsafe("a dict with keys other than strings and whole numbers")
        if self.int_keys > self.limits.int_keys:
            raise self.unsafe(f"dicts with more than {self.limits.int_keys} numbers as keys")

    def number(self, argument: Any) -> int:
        """Return a memo index, whether written in binary or in digits."""
        if isinstance(argument, int):
            return argument
        if not argument.isascii() or not argument.isdigit() or len(argument) > 12:
            raise self.damaged(f"{argument[:20]!r} is no memo number")
        return int(argument)

    def protocol(self, number: int) -> None:
        """Refuse protocols to come."""
        if number > 5:
            raise self.damaged(f"protocol {number}")
        if self.persistent and number != 2:
            raise FormatError(
                f"{self.source}: a torch file pickled with protocol {number}, expected 2.\n"
                "  PyTorch's safe reader knows no other: load it where it was made and torch.save it with the defaults."
            )

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        if size > self.end - self.position:
            raise self.cut_short(f"{size} bytes")
        return self.keep(self.file.read(size))

    def keep(self, data: bytes) -> bytes:
        """Let short values stay in the pickle."""
        self.position += len(data)
        self.scanned.pickle.extend(data)
        if len(self.scanned.pickle) > self.limits.bytes:
            raise self.unsafe(f"more than {self.limits.bytes} bytes of short values")
        return data

    def line(self) -> str:
        """Read one short line, without its end."""
        data = self.keep(self.file.readline(min(MAX_LINE, self.end - self.position)))
        if not data.endswith(b"\n"):
            raise self.unsafe(f"a line of {MAX_LINE} bytes") if len(data) == MAX_LINE else self.cut_short("a line")
        return data[:-1].decode("utf-8", "replace")

    def long_line(self, opcode: str) -> str | LongString | None:
        """Read past one line of any length; return what it quotes if it is short, a `LongString` if it is long."""
        begin, kept, data = self.position, b"", b""
        while not data.endswith(b"\n"):
            data = self.file.readline(min(CHUNK, self.end - self.position))
            self.position += len(data)
            kept += data if len(kept) <= MAX_TEXT else b""
            if not data:
                raise self.cut_short("a line")
        if len(kept) > MAX_TEXT:
            return LongString(opcode, begin, self.position - begin - 1)
        self.position -= len(kept)
        self.keep(kept)
        return kept[:-1].strip(b"'\"").decode("utf-8", "replace") if len(kept) <= MAX_NAME else None

    def cut_short(self, what: str) -> FormatError:
        """Return the error for a pickle that ends too early."""
        left = self.end - self.position
        what = f"a pickle that is cut short: {what} expected at byte {self.position}, {left} are left"
        return damaged(self.source, what)

    def damaged(self, what: str) -> FormatError:
        """Return the error for a pickle that no pickler wrote."""
        return damaged(self.source, f"a damaged pickle ({what}, near byte {self.position})")

    def unsafe(self, what: str) -> UnsafeFileError:
        """Return the error for a pickle that asks for something which tensors do not need."""
        return UnsafeFileError(
            f"{self.source}: the pickle asks for {what} (near byte {self.position}), "
            f"which {self.limits.holds} do not need.\n"
            f"  Nothing from it was run. If it is your own, {self._remedy(what)}, where it was made.\n"
            "  Do not open it with other tools unless you trust whoever made it."
        )

    def _remedy(self, what: str) -> str:
        """Return what to save instead of a file of one's own that asks for `what`."""
        if not what.startswith("torch."):
            return "save its state dict alone"
        if not self.persistent:
            return "write its state dict with torch.save, not with pickle"
        return "save its tensors whole and as plain numbers (float32, not quantised, sparse or spread over processes)"
