"""One damaged file for each number: which container, which wrapping and what was done to them follow from it alone."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.headers import change_gzip, change_npy, change_safetensors, change_tar, change_zip
from tests.fuzz.opcodes import change_pickle, split
from tests.fuzz.seeds import WRAP, WRAPPINGS, zipped

Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Damaged:
    """A file to read: `number` makes it again."""

    number: int
    container: str
    wrapping: tuple[str, ...]
    data: bytes


def damaged(number: int, files: dict[str, list[bytes]]) -> Damaged:
    """Return the damaged file of this number; numbers in a row go through all containers and all wrappings."""
    dice = random.Random(number)
    container = list(files)[number % len(files)]
    wrapping = WRAPPINGS[number // len(files) % len(WRAPPINGS)]
    data = dice.choice(files[container])
    layers = [container, *reversed(wrapping)]
    hit = set(dice.sample(range(len(layers)), dice.choice((1, 1, 2)) if wrapping else 1))
    for place, kind in enumerate(layers):
        data = WRAP[kind](data) if place else data
        if place in hit:
            data = _change(kind, data, dice)
    return Damaged(number, container, wrapping, data)


def change_bytes(data: bytes, dice: random.Random) -> bytes:
    """Change a few places: bytes, numbers, the order or number of pieces, or the end."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
        at = dice.randrange(len(changed) + 1)
        kind = dice.randrange(8)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = dice.randrange(256)
        elif kind == 2:
            changed[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif kind == 3:
            del changed[at : at + dice.randrange(1, 9)]
        elif kind == 4:
            changed[at : at + 4] = struct.pack("<I", dice.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))
        elif kind == 5:
            changed[at : at + 8] = struct.pack("<Q", dice.choice((0, 1 << 31, 1 << 40, 1 << 60, (1 << 64) - 1)))
        elif kind == 6:
            start = dice.randrange(len(changed) + 1)
            changed[at:at] = changed[start : start + dice.randrange(1, 64)]
        elif dice.randrange(8) == 0:
            del changed[at:]
    return bytes(changed)


def change_legacy(data: bytes, dice: random.Random) -> bytes:
    """Change one of the five pickles in a row that a torch file from before 1.6 begins with."""
    pickles = []
    for _ in range(5):
        pieces, data = split(data)
        pickles.append(b"".join(pieces))
    which = dice.choice((0, 1, 2, 3, 3, 3, 3, 4))
    pickles[which] = change_pickle(pickles[which], dice)
    return b"".join(pickles) + data


def change_torch(data: bytes, dice: random.Random) -> bytes:
    """Change the pickle of a torch file, or its members."""

    def change(name: str, content: bytes) -> bytes:
        return change_pickle(content, dice) if name.endswith("data.pkl") else content

    return _rewrite(data, change if dice.randrange(3) else None, dice, zipfile.ZIP_STORED)


def change_npz(data: bytes, dice: random.Random) -> bytes:
    """Change the header of an array in an npz file, or its members."""

    def change(_: str, content: bytes) -> bytes:
        return change_npy(content, dice)

    return _rewrite(data, change if dice.randrange(3) else None, dice, zipfile.ZIP_DEFLATED)


_CHANGES: dict[str, tuple[Change, ...]] = {
    "caffe2": (change_pickle,),
    "hostile": (change_pickle,),
    "torch": (change_torch, change_torch, change_zip),
    "torch_legacy": (change_legacy,),
    "safetensors": (change_safetensors,),
    "converted": (change_safetensors,),
    "npz": (change_npz, change_zip),
    "gzip": (change_gzip,),
    "tar": (change_tar,),
    "zip": (change_zip,),
}


def _change(kind: str, data: bytes, dice: random.Random) -> bytes:
    """Damage one layer: its structure, its bytes, or first one and then the other."""
    way = dice.randrange(8)
    if way < 6:
        data = dice.choice(_CHANGES[kind])(data, dice)
    return change_bytes(data, dice) if way >= 5 else data


def _rewrite(data: bytes, change: Callable[[str, bytes], bytes] | None, dice: random.Random, method: int) -> bytes:
    """Write a zip file again with changed contents, or (None) with other, renamed or missing members."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    if change:
        return zipped([(name, change(name, content)) for name, content in members], method)
    kind = dice.randrange(6)
    at = dice.randrange(len(members))
    name, content = members[at]
    if kind == 0:
        del members[at]
    elif kind == 1:
        strange = (
            name.upper(),
            "../" + name,
            name + "\x1b[2J",
            "archive/constants.pkl",
            "b/" + name,
            "archive/byteorder",
        )
        members.insert(dice.choice((0, at, len(members))), (dice.choice(strange), dice.choice(members)[1]))
    elif kind == 2:
        members[at] = (name, dice.choice((b"", content * 2, content[:-1], b"big", b"little", dice.choice(members)[1])))
    elif kind == 3:
        dice.shuffle(members)
    elif kind == 4:
        method = dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    else:
        members[at] = (name.replace("archive", dice.choice(("ARCHIVE", "", "..", "a/b"))), content)
    return zipped(members, method)
