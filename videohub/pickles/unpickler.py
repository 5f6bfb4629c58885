"""Builds dicts and stored tensors from a pickle that was scanned; whatever it names is an inert stand-in of our own.

The first wall is `pickle_scan`. Here is the second: no import ever happens, because `find_class` looks in a dict.
Every stand-in has a `__setstate__`, so that no BUILD opcode can reach the attributes of one.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import IO, Any

import numpy as np

from videohub.errors import FormatError, UnsafeFileError
from videohub.escaping import quote
from videohub.pickles.pickle_scan import GETATTR, WEIGHTS, Limits, Scan
from videohub.pickles.stored_values import (
    DTYPES,
    LongString,
    StoredTensor,
    Unchangeable,
    as_bytes,
    checked_shape,
    claims_too_much,
    damaged,
)

MAX_ITEMS = 100_000  # that dicts are made of by a call; a state dict has some thousand


class Record(dict[Any, Any]):
    """Stands for OrderedDict and Counter; what else the file says about it is forgotten."""

    def __setstate__(self, state: Any) -> None:
        """Forget the attributes, such as torch's `_metadata`."""


class Inert:
    """Stands for an object that is not looked at, whatever the file says of it."""

    __slots__ = ()

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Forget the attributes."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forget an item; classes of options are dicts, too."""


class Array:
    """Stands for an array while the pickle is read: `value` once it has one."""

    __slots__ = ("_memory", "value")

    def __init__(self, memory: Memory, value: StoredTensor | None = None) -> None:
        self._memory, self.value = memory, value

    def __setstate__(self, state: Any) -> None:
        """Take the state that numpy pickles: version, shape, dtype, whether columns come first, data."""
        _, shape, dtype, fortran, data = state[-5:]
        self.value = self._memory.array(dtype, shape, data, order="F" if fortran else "C")


class Memory:
    """What one file may ask for: no more than it holds, however often it refers to its own bytes and lists."""

    def __init__(self, file: IO[bytes], size: int, source: str, limits: Limits = WEIGHTS) -> None:
        self.file, self.limits = file, limits
        self.left, self.size, self.source = size, size, source
        self.text_left, self.items_left, self.int_keys_left = size, MAX_ITEMS, limits.int_keys

    def array(self, dtype: Any, shape: Any, data: Any, order: Any = "C") -> StoredTensor:
        """Return an array that is still in the file; its length is compared with `data`."""
        if not isinstance(dtype, _Dtype) or dtype.name is None:
            raise damaged(self.source, "a damaged array (no dtype)")
        if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(n) is int and 0 <= n < 2**62 for n in shape):
            raise damaged(self.source, "a damaged array (no shape)")
        data = data.text if isinstance(data, _Encoded) else data
        needed = math.prod(shape) * dtype.itemsize
        if isinstance(data, str):
            data = data.encode("latin1")
        stored = len(data) if isinstance(data, bytes | bytearray | LongString) else None
        escaped = isinstance(data, LongString) and not data.is_plain  # it is counted when it is read
        if needed != stored and not (escaped and needed <= len(data) <= 6 * needed + 2):
            raise claims_too_much(shape, needed, stored, self.source)
        shape = checked_shape(shape, self.source)
        self.left -= needed
        if self.left < 0:
            raise self.needs_too_much("arrays")
        axes = tuple(reversed(range(len(shape)))) if order == "F" else None
        raw = np.dtype(dtype.byteorder + dtype.name)
        if isinstance(data, LongString):
            file, source = self.file, self.source
            return StoredTensor(shape, raw, lambda: as_bytes(file, data, source), source, axes=axes)
        return StoredTensor(shape, raw, lambda: iter((bytes(data),)), self.source, axes=axes)

    def encoded(self, text: Any = "", encoding: Any = "latin1") -> _Encoded:
        """Return what stands for bytes written as text; another reader encodes them again each time."""
        encoded = _Encoded(text, encoding)
        self.text_left -= len(encoded.text)
        if self.text_left < 0:
            raise self.needs_too_much("texts")
        return encoded

    def record(self, items: Any = ()) -> Record:
        """Return a dict of the pairs that OrderedDict gave in Python 2 and Counter gives; each call copies them all."""
        pairs = list(items.items()) if isinstance(items, dict) else items
        if not isinstance(pairs, list | tuple):
            raise ValueError(f"a dict of a {quote(pairs)}")
        self.items_left -= len(pairs)
        if self.items_left < 0:
            raise self.needs_too_much("dicts")
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2 or type(pair[0]) not in (str, int):
                raise ValueError("a dict with keys other than strings and whole numbers")
            self.int_keys_left -= type(pair[0]) is int
        if self.int_keys_left < 0:
            raise UnsafeFileError(
                f"{self.source}: dicts with more than {self.limits.int_keys} numbers as keys.\n"
                "  They may be chosen to take time: do not use this file."
            )
        return Record(pairs)

    def needs_too_much(self, what: str) -> UnsafeFileError:
        """Return the error for a file that asks for more than it holds."""
        return UnsafeFileError(
            f"{self.source}: its {what} need more memory than the {self.size} bytes of the file.\n"
            "  It refers to the same bytes again and again, to fill the memory: do not use it."
        )


def load(
    file: IO[bytes],
    end: int,
    source: str,
    *,
    stand_ins: Mapping[str, Callable[..., Any]] | None = None,
    classes: Collection[str] = (),
    persistent: Callable[[Any], Any] | None = None,
    limits: Limits = WEIGHTS,
) -> Any:
    """Read one pickle of any protocol from where `file` stands; bytes of Python 2 become `str`, as latin1.

    Args:
        end: Where the pickle has to end at the latest, in bytes from the beginning of the file.
        stand_ins: What to build for further globals, `module.name` → callable.
        classes: Classes whose objects are taken as `Inert`, and whose methods are.
        persistent: What to build for objects outside of the pickle, from their id.
        limits: What it may ask for at most, by what it holds.
    Returns: dicts, lists, strings, numbers, `Record` for OrderedDict, `Array` for arrays, `LongString` for what is
        long; `file` stands behind it, and has to stay open while the arrays are read.
    Raises: UnsafeFileError naming the global that is not on the list; FormatError for a damaged file.
    """
    start = file.tell()
    table = {**_numpy_stand_ins(Memory(file, end - start, source, limits)), **(stand_ins or {})}

    def method(owner: Any, name: Any) -> Inert:
        """Stand for a method of a class that is taken as inert; nothing else has attributes here."""
        if not isinstance(owner, StandIn) or owner.build is not Inert:
            raise UnsafeFileError(
                f"{source}: the pickle asks for an attribute (getattr) of something else than a class that is known.\n"
                "  Nothing from it was run."
            )
        return Inert()

    table |= dict.fromkeys(classes, Inert) | (dict.fromkeys(GETATTR, method) if classes else {})
    scanned = Scan(file, end, source, table.keys(), classes, persistent is not None, limits).run()
    stop = file.tell()
    try:
        value = _Unpickler(io.BytesIO(scanned.pickle), table, scanned.texts, persistent, source, limits).load()
    except DAMAGE as error:
        raise damaged(source, f"a damaged pickle ({type(error).__name__}: {error!s:.200})") from None
    file.seek(stop)
    return value


# What the pickle machine and our stand-ins raise when a file is not what it seems.
DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class _Unpickler(pickle.Unpickler):
    """A pickle machine without imports."""

    def __init__(
        self,
        file: IO[bytes],
        table: Mapping[str, Any],
        texts: Sequence[LongString],
        persistent: Any,
        source: str,
        limits: Limits,
    ) -> None:
        super().__init__(file, fix_imports=False, encoding="latin1")
        self._texts = texts
        self._table = {name: StandIn(name, build) for name, build in table.items()}
        self._persistent, self._source, self._limits = persistent, source, limits

    def find_class(self, module: str, name: str) -> Any:
        """Return our stand-in, and import nothing."""
        try:
            return self._table[f"{module}.{name}"]
        except KeyError:
            raise UnsafeFileError(
                f"{self._source}: the pickle asks for {module}.{name}, which {self._limits.holds} do not need.\n"
                "  Nothing from it was run."
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        """Return the stand-in of an object outside of the pickle: a long string by its number, or one of torch's."""
        if type(pid) is int:
            return self._texts[pid]
        if self._persistent is None:
            raise UnsafeFileError(
                f"{self._source}: the pickle refers to objects outside of it.\n  Nothing from it was run."
            )
        return self._persistent(pid)


class StandIn(Unchangeable):
    """A callable in the place of a global; a file can call it with values of its own, and cannot change it."""

    __slots__ = ("build", "name")

    def __init__(self, name: str, build: Callable[..., Any]) -> None:
        self.name, self.build = name, build

    def __call__(self, *args: Any) -> Any:
        return self.build(*args)


class _Dtype:
    """Stands for a numeric dtype: its name without byte order, as `f4`."""

    __slots__ = ("byteorder", "itemsize", "name")

    def __init__(self, source: str, code: Any, *_: Any) -> None:
        code = code.text if isinstance(code, _Encoded) else code
        if isinstance(code, str) and code.startswith("O"):
            raise UnsafeFileError(
                f"{source}: an array of Python objects (dtype {code!r:.20}), expected numbers.\n"
                "  Objects can run code when they are built, so none was. Do not use this file."
            )
        if code not in DTYPES:
            raise FormatError(
                f"{source}: an array of dtype {quote(code)}, expected plain numbers ({', '.join(DTYPES)}).\n"
                "  Convert it where it was made, and save it again."
            )
        self.name, self.itemsize, self.byteorder = str(code), int(code[1:]), "<"

    def __setstate__(self, state: Any) -> None:
        """Take the state that numpy pickles: version, byte order, then what only records and objects have."""
        byteorder = state[1].text if isinstance(state[1], _Encoded) else state[1]
        if byteorder not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise ValueError("a dtype of records, expected plain numbers")
        self.byteorder = ">" if byteorder == ">" else "<"


class _Encoded(Unchangeable):
    """Stands for bytes that Python 3 wrote as text; only an array that fits them makes bytes of it."""

    __slots__ = ("text",)

    def __init__(self, text: Any = "", encoding: Any = "latin1") -> None:
        if not isinstance(text, str | LongString) or encoding not in ("latin1", "latin-1"):
            raise ValueError(f"bytes encoded as {quote(encoding)}")
        self.text = text


def _numpy_stand_ins(memory: Memory) -> dict[str, Callable[..., Any]]:
    """Return what to build for each global that an array, a number of numpy or a dict may name."""

    def reconstruct(*_: Any) -> Array:
        return Array(memory)

    def scalar(dtype: Any, data: Any = "") -> Array:
        return Array(memory, memory.array(dtype, (), data))

    def from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C", turn: Any = None) -> Array:
        value = memory.array(dtype, shape, data, order="F" if order == "F" else "C")
        is_turned = order == "K" and turn is not None  # in the order of its bytes, then with its axes turned
        return Array(memory, value.transpose(turn) if is_turned else value)

    def dtype(code: Any, *_: Any) -> _Dtype:
        return _Dtype(memory.source, code)

    table: dict[str, Callable[..., Any]] = {
        "numpy.ndarray": reconstruct,
        "numpy.dtype": dtype,
        "_codecs.encode": memory.encoded,
        "__builtin__.bytes": memory.encoded,
        "builtins.bytes": memory.encoded,
        "collections.OrderedDict": memory.record,
        "collections.Counter": memory.record,
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray._reconstruct"] = reconstruct
        table[f"{core}.multiarray.scalar"] = scalar
        table[f"{core}.numeric._frombuffer"] = from_buffer
    return table
