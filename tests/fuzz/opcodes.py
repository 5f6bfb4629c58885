"""Takes a pickle apart into its opcodes, and puts it together otherwise."""

from __future__ import annotations

import pickletools
import random
import struct

_OPCODES = {op.code.encode("latin1"): op for op in pickletools.opcodes}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_EDGES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1)

# What may be put in between: everything that a global of the list can be asked to do, and what no checkpoint needs.
GLOBALS = (
    b"numpy.core.multiarray\n_reconstruct",
    b"numpy.core.multiarray\nscalar",
    b"numpy._core.numeric\n_frombuffer",
    b"numpy\nndarray",
    b"numpy\ndtype",
    b"_codecs\nencode",
    b"__builtin__\nbytes",
    b"collections\nOrderedDict",
    b"collections\nCounter",
    b"torch._utils\n_rebuild_tensor_v2",
    b"torch._utils\n_rebuild_parameter",
    b"torch\nFloatStorage",
    b"torch\nSize",
    b"torch\ndevice",
    b"posix\nsystem",
    b"builtins\neval",
    b"os.path\nx\x1b[2J",
)
DOUBLED = b"".join(b"(h%ch%ctq%c0" % (n, n, n + 1) for n in range(80, 120)) + b"h%c" % 120  # 2 ** 40 when looked at
HEAVY = (  # values that cost more than the bytes they are written in
    b")qP0" + DOUBLED,  # tuples in tuples
    b"]qP0" + DOUBLED.replace(b"t", b"l"),  # lists in lists
    b"ccollections\nOrderedDict\n(]((" + b")qP0" + DOUBLED + b"NletR",  # a dict with such a key
    b"\x8b" + struct.pack("<i", 2000) + b"\x7f" * 2000,
    b"ctorch\nSize\n(U\xff" + b"a" * 255 + b"tR",
)
VALUES = (
    *HEAVY,
    b"ccollections\nOrderedDict\n(]((K\x01NletR",
    b"}(U\x03negI01\nu",
    *(bytes([code]) for code in b"N})]\x88\x89\x8f"),
    *(b"h" + bytes([index]) for index in range(8)),
    *(b"K" + bytes([number]) for number in (0, 1, 24, 255)),
    b"J\xff\xff\xff\xff",
    b"J\xff\xff\xff\x7f",
    b"\x8a\x08" + b"\x7f" * 8,
    b"I" + b"7" * 2000 + b"\n",
    b"F1e999\n",
    b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"U\x05a\x1b[2J",
    b"X\x03\x00\x00\x00neg",
    b"X\x03\x00\x00\x00\xed\xa0\x80",
    b"X\x05\x00\x00\x00blobs",
    b"X\x04\x00\x00\x00meta",
    b"\x8c\x0bmodel_state",
    b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a",
    b"S'a'\n",
    b"Va\n",
    b"B\x02\x00\x00\x00ab",
    b"C\x02ab",
    b"\x96\x02\x00\x00\x00\x00\x00\x00\x00ab",
)
PIECES = (
    *(b"c" + name + b"\n" for name in GLOBALS),
    *(b"(" * count for count in (1, 2, 8)),
    *(bytes([code]) for code in b"012RbaesudltoQ\x81\x85\x86\x87\x90\x91\x92\x93\x94\x97\x98."),
    *(b"q" + bytes([index]) for index in range(8)),
    b"j\x00\x01\x00\x00",
    b"r\xff\xff\xff\x7f",
    b"r\x00\x00\x07\x00",
    b"\x95\x04\x00\x00\x00\x00\x00\x00\x00",
    b"\x82\x01",
    b"Ppid\n",
    b"iposix\nsystem\n",
    b"\x80\x05",
    *VALUES,
)
_PUSHES = frozenset(b"NKMJILFGUTSVXhgj})]BC\x88\x89\x8a\x8c")


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the opcodes of one pickle, each with its argument, and what follows the last whole one."""
    pieces, at = [], 0
    while at < len(data):
        op = _OPCODES.get(data[at : at + 1])
        end = at + 1 + _argument(op, data, at + 1) if op else 0
        if not at < end <= len(data):
            break
        pieces.append(data[at:end])
        at = end
        if op.name == "STOP":
            break
    return pieces, data[at:]


def change_pickle(data: bytes, dice: random.Random) -> bytes:
    """Insert, delete, repeat, move or change some opcodes of the first pickle in `data`."""
    pieces, rest = split(data)
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        at = dice.randrange(len(pieces) + 1)
        kind = dice.randrange(6)
        if kind == 0:
            pieces[at:at] = dice.choices(PIECES, k=dice.choice((1, 1, 2, 4)))
        elif kind == 1:
            del pieces[at : at + dice.choice((1, 1, 2, 5))]
        elif kind == 2 and pieces:
            start = dice.randrange(len(pieces))
            pieces[at:at] = pieces[start : start + dice.choice((1, 2, 8))] * dice.choice((1, 1, 1, 30))
        elif kind == 3 and pieces:
            pieces.insert(at, pieces.pop(dice.randrange(len(pieces))))
        elif kind == 4 and pieces:
            values = [place for place, piece in enumerate(pieces) if piece[0] in _PUSHES]
            pieces[dice.choice(values or [0])] = dice.choice(dice.choice((HEAVY, VALUES)))
        elif at < len(pieces):
            pieces[at] = _other_argument(pieces[at], dice)
    return b"".join(pieces) + rest


def _argument(op: pickletools.OpcodeInfo, data: bytes, at: int) -> int:
    """Return how long the argument at `at` is, or a number that leads out of the data."""
    if op.arg is None:
        return 0
    if op.arg.n >= 0:
        return op.arg.n
    if op.arg.n == pickletools.UP_TO_NEWLINE:
        first = data.find(b"\n", at) + 1
        last = data.find(b"\n", first) + 1 if first and op.name in ("GLOBAL", "INST") else first
        return last - at if last else len(data)
    size = _LENGTH_BYTES[op.arg.n]
    return size + int.from_bytes(data[at : at + size], "little")


def _other_argument(piece: bytes, dice: random.Random) -> bytes:
    """Change the argument of one opcode: a number at an edge, a length that lies, another text."""
    if len(piece) == 1:
        return piece
    if piece.endswith(b"\n"):
        text = dice.choice((b"", b"-1", b"9" * 30, b"'", b"\\x41", b"1e999", b"\xff\xfe", piece[1:-1] * 2))
        return piece[:1] + text + b"\n"
    size = min(dice.choice((1, 2, 4, 8)), len(piece) - 1)
    edge = dice.choice(_EDGES) % (1 << (8 * size))
    return piece[:1] + edge.to_bytes(size, dice.choice(("little", "big"))) + piece[1 + size :]
