"""Changes single fields of what announces data: zip records, tar headers, gzip headers, safetensors and npy headers."""

from __future__ import annotations

import copy
import json
import random
import re
import struct
import tarfile

_EDGES = (0, 1, 2, 8, 9, 12, 14, 0xFF, 0x800, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

# Offset and size of each field, by the mark that its record begins with.
_ZIP_FIELDS = {
    b"PK\x03\x04": ((4, 2), (6, 2), (8, 2), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\x01\x02": (
        *((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 4), (24, 4)),
        *((28, 2), (30, 2), (32, 2), (34, 2), (36, 2), (38, 4), (42, 4)),
    ),
    b"PK\x05\x06": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}
_TAR_FIELDS = (
    *((0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (156, 1), (157, 100)),
    *((257, 8), (265, 32), (297, 32), (329, 8), (337, 8), (345, 155), (482, 1), (483, 12)),
)
_TAR_VALUES = (
    *(b"", b"0", b"7" * 11, b"-1", b"../a", b"/a", b"a\\..\\..\\b", b"\x1b[2J", b"\xff" * 12, b"a/\0b"),
    *(b"\x80" + b"\0" * 10 + b"\x10", b"\x80" + b"\xff" * 11, b"\xff" + b"\xff" * 11),
    *(bytes([kind]) for kind in b"\x001234567SLKxgXV"),
)
_PAX = (
    b"path=../x\n",
    b"size=99999999999\n",
    b"GNU.sparse.major=1\n",
    b"path=\xff\xfe\n",
    b"x=" + b"y" * 70_000 + b"\n",
)

_JSON_VALUES = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2**31,
        2**63,
        2**64,
        1e400,
        1.5,
        "",
        "F32",
        "BF16",
        "F64",
        "F8_E4M3",
        "BOOL",
        "F4",
        "\ud800",
    ),
    *([], [0], [-1], [2**40, 2**40], [0, 8, 16], [1] * 40, {}, {"a": 1}, [[]], "\x1b[2J"),
)
_NPY_WORDS = (
    *(
        b"-" * 9000,
        b"(" * 300,
        b"(4000000000,)",
        b"(-1,)",
        b"(True,)",
        b"('a',)",
        b"()",
        b"None",
        b"2**99",
        b"1" * 4400,
    ),
    *(
        b"'|O'",
        b"'<U4'",
        b"'>f4'",
        b"'M8[s]'",
        b"[('a', '<f4')]",
        b"'<f4,<f4'",
        b"'<f16'",
        b"True",
        b"__import__('os')",
    ),
)


def change_zip(data: bytes, dice: random.Random) -> bytes:
    """Set a field of a local header, of the directory or of its end; or put bytes where none belong."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3))):
        mark = dice.choice((b"PK\x03\x04", b"PK\x01\x02", b"PK\x01\x02", b"PK\x05\x06"))
        starts = [match.start() for match in re.finditer(re.escape(mark), changed)]
        if not starts:
            continue
        start = dice.choice(starts)
        kind = dice.randrange(8)
        if kind == 0:
            changed[start:start] = dice.randbytes(dice.randrange(1, 64))
        elif kind == 1:
            changed += dice.choice((b"\0", b"PK\x05\x06" + bytes(18), bytes(changed[start:]), dice.randbytes(30)))
        elif kind == 2:
            at = start + (46 if mark == b"PK\x01\x02" else 30) + dice.randrange(12)
            changed[at : at + 1] = dice.choice((b"\0", b"/", b"\\", b"\x1b", b"A", b".", b"\xff"))
        else:
            offset, size = dice.choice(_ZIP_FIELDS[mark])
            value = dice.choice((*_EDGES, dice.randrange(len(data))))
            changed[start + offset : start + offset + size] = (value % (1 << (8 * size))).to_bytes(size, "little")
    return bytes(changed)


def change_tar(data: bytes, dice: random.Random) -> bytes:
    """Set a field of one header, or put one more header before it, with checksums that fit."""
    changed = bytearray(data)
    starts = [start for start in range(0, len(data) - 511, 512) if data[start + 257 : start + 262] == b"ustar"]
    start = dice.choice(starts or [0])
    if dice.randrange(4) == 0:
        text = dice.choice(_PAX)
        extra = dice.choice((b"%d " % (len(text) + 3) + text, dice.randbytes(40), b"9" * 600))
        info = tarfile.TarInfo("extra")
        info.type, info.size = dice.choice((b"x", b"L", b"K", b"g", b"X")), len(extra)
        changed[start:start] = info.tobuf(tarfile.USTAR_FORMAT) + extra + bytes(-len(extra) % 512)
        return bytes(changed)
    for _ in range(dice.choice((1, 1, 2))):
        offset, size = dice.choice(_TAR_FIELDS)
        value = dice.choice(_TAR_VALUES)[:size]
        changed[start + offset : start + offset + size] = value.ljust(size, b"\0")
    total = sum(changed[start : start + 148]) + 256 + sum(changed[start + 156 : start + 512])
    changed[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(changed)


def change_gzip(data: bytes, dice: random.Random) -> bytes:
    """Set flags and the fields that they announce, join two streams, or lie about the length."""
    kind = dice.randrange(5)
    if kind == 0:
        return data[:3] + bytes([dice.randrange(256)]) + data[4:]
    if kind == 1:
        return data[:3] + b"\x0c" + data[4:10] + b"\x04\x00abcd" + b"n" * dice.choice((1, 3000)) + b"\0" + data[10:]
    if kind == 2:
        return data + dice.choice((data, b"\0" * 100, b"x", data[: len(data) // 2]))
    if kind == 3:
        return data[:-8] + struct.pack("<II", dice.getrandbits(32), dice.choice(_EDGES))
    return data[: dice.randrange(len(data))]


def change_safetensors(data: bytes, dice: random.Random) -> bytes:
    """Change values in the header, which keeps its length or lies about it."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for _ in range(dice.choice((1, 1, 2, 4))):
        name = dice.choice([*header, "__metadata__", "new\x1b[2J"])
        entry = header.setdefault(name, {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})
        if isinstance(entry, dict) and entry and dice.randrange(4):
            field = dice.choice(list(entry))
            entry[field] = _other_value(entry[field], dice)
        else:
            header[name] = copy.deepcopy(dice.choice(_JSON_VALUES))
    text = json.dumps(header, ensure_ascii=bool(dice.randrange(2))).encode("utf-8", "surrogatepass")
    if dice.randrange(4) == 0:
        text = text.replace(b'"data_offsets"', dice.choice((b'"dtype"', b'"\\u0064type"', b'"x"')), 1)
    messages = dice.choice((len(text), len(text), len(text), length, len(text) + 8, 1 << 24, 1 << 63))
    return struct.pack("<Q", messages) + text + data[8 + length :]


def change_npy(data: bytes, dice: random.Random) -> bytes:
    """Change a word in the header of one array, its version or its length."""
    if dice.randrange(4) == 0:
        return data[:6] + dice.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09")) + data[8:]
    length = int.from_bytes(data[8:10], "little")
    words = list(re.finditer(rb"'<?\w+'(?=,)|False|\([\d, ]*\)|'\w+'", data[10 : 10 + length]))
    word = dice.choice(words)
    text = data[10 : 10 + word.start()] + dice.choice(_NPY_WORDS) + data[10 + word.end() : 10 + length]
    messages = dice.choice((len(text), len(text), len(text), length, 0xFFFF)) & 0xFFFF
    return data[:8] + struct.pack("<H", messages) + text + data[10 + length :]


def _other_value(value: object, dice: random.Random) -> object:
    """Change a JSON value: a number in a list by a little, or anything to something else."""
    if isinstance(value, list) and value and dice.randrange(2):
        changed = list(value)
        at = dice.randrange(len(changed))
        changed[at] = dice.choice((*_JSON_VALUES[:9], 1, 4, 96, 104))
        return changed
    return copy.deepcopy(dice.choice(_JSON_VALUES))
