"""Small files that ask for much memory or time; without a guard each below takes gigabytes, or minutes."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tests.convert.attacks.models import NO_HOOKS, STORAGE, state, tensor, torch_legacy, torch_zip
from tests.convert.attacks.sample import Attack, Call, opcodes, pickled
from tests.convert.files import zip_bytes

LAUGHS = "billion laughs, 2002, as a pickle"
LENGTHS = "CPython issue 115952, 2024"
COLLISIONS = "Klink and Wälde, Efficient denial of service, 2011"
COPIES = "billion laughs, 2002, by calls that are allowed"
WEIGHTS_ONLY = "PyTorch's security policy, 2023"
SAFETENSORS = "Trail of Bits, safetensors audit, 2023"
NPY = "numpy's note on max_header_size, 2022"

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
FLOAT32 = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
ORDERED = b"ccollections\nOrderedDict\n"


def attacks() -> list[Attack]:
    """Return one sample for each resource that can be asked for."""
    return [
        _bomb("tuples in tuples", LAUGHS, in_blob(doubled(b"t")), "'conv1_w' is a tuple"),
        _bomb("lists in lists", LAUGHS, in_blob(doubled(b"l")), "'conv1_w' is a list"),
        _bomb("lists in lists as a dtype", LAUGHS, array(dtype=dtype(doubled(b"l"))), "of dtype list"),
        _bomb("lists in lists as a shape", LAUGHS, array(shape=doubled(b"l")), "damaged array"),
        _bomb("tuples in tuples as a key", COLLISIONS, b"\x80\x02}" + doubled(b"t") + b"Ns.", "keys other than"),
        _bomb("tuples in tuples as a called key", COLLISIONS, called([doubled(b"t"), None]), "keys other than"),
        _bomb("a tuple too deep to hash", COLLISIONS, called([b")" + b"\x85" * 200_000, None]), "keys other than"),
        _bomb("lists in lists as storages", LAUGHS, storage_list(), "storages are not listed"),
        _bomb("numbers that collide", COLLISIONS, colliding(), "more than 5000 numbers"),
        _bomb("called numbers that collide", COLLISIONS, called(*colliding_pairs()), "more than 5000 numbers"),
        _bomb("nested lists", LAUGHS, b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b".", "stack of more than"),
        _bomb("nested marks", LAUGHS, b"\x80\x02" + b"(" * 1_000_000, "nested more than"),
        _bomb("endless opcodes", LAUGHS, b"\x80\x02" + b"N0" * 250_000 + b".", "more than 500000 opcodes"),
        _bomb("a place in the memo", "CVE-2018-20406", b"\x80\x02}r\xff\xff\xff\x7f.", "memo number 2147483647"),
        _bomb("a place in the memo, in digits", "CVE-2018-20406", b"(dp99999999999\n.", "memo number 99999999999"),
        _bomb("a string", LENGTHS, b"\x80\x02}T\xff\xff\xff\x7f", "cut short: BINSTRING of 2147483647 bytes"),
        _bomb("a string below zero", LENGTHS, b"\x80\x02}T\xff\xff\xff\xff", "cut short: BINSTRING of -1 bytes"),
        _bomb("a text", LENGTHS, b"\x80\x04}\x8d" + struct.pack("<Q", 1 << 60), "BINUNICODE8 of"),
        _bomb("bytes", LENGTHS, b"\x80\x04}\x8e" + struct.pack("<Q", 1 << 60), "BINBYTES8 of"),
        _bomb("a bytearray", LENGTHS, b"\x80\x05}\x96" + struct.pack("<Q", 1 << 60), "BYTEARRAY8 of"),
        _bomb("a frame", LENGTHS, b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"}.", "a frame of"),
        _bomb("a number", "CVE-2020-10735", number(30_000), "whole number of 30000"),
        _bomb("a number too long to print", "CVE-2020-10735", number(3_000), "whole number of 3000"),
        _bomb("a number in digits", "CVE-2020-10735", b"(dp0\nS'a'\nL" + b"9" * 1_000_000 + b"L\ns.", "a line of 4096"),
        _bomb("a shape", LENGTHS, array(shape=b"J\x00\x00\x00\x7f\x85"), "needs 8522825728 bytes, 4 are there"),
        _bomb("a shape of many", LENGTHS, array(shape=b"(" + b"J\x00\x00\x00\x7f" * 20 + b"t"), "4 are there"),
        _bomb("arrays of the same bytes", COPIES, shared_bytes(), "its arrays need more memory than"),
        _bomb("dicts of the same list", COPIES, repeated(ORDERED, many_pairs()), "its dicts need more memory than"),
        _bomb(
            "bytes of the same text", COPIES, repeated(b"c_codecs\nencode\n", MEGABYTE), "its texts need more memory"
        ),
        _bomb("shapes of the same text", COPIES, torch_zip(repeated(b"ctorch\nSize\n", MEGABYTE)), "not a shape"),
        _bomb("a bytearray of torch", WEIGHTS_ONLY, torch_zip(state(Call("builtins:bytearray", 1 << 30))), "bytearray"),
        _bomb("a tensor set to more", WEIGHTS_ONLY, torch_zip(state(set_to_more())), "damaged pickle"),
        _bomb("a tensor set to more, legacy", WEIGHTS_ONLY, torch_legacy(state(set_to_more())), "damaged pickle"),
        _bomb("a storage changed for a while", WEIGHTS_ONLY, torch_zip(state(changed_storage())), "cannot be changed"),
        _bomb("a view under another's name", WEIGHTS_ONLY, other_view(), "has the name of another"),
        _bomb("a header of brackets", SAFETENSORS, safetensors(b"[" * (1 << 20)), "unreadable"),
        _bomb(
            "a header of lists",
            SAFETENSORS,
            safetensors(b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"),
            "a safetensors header",
        ),
        _bomb("a header that lies", SAFETENSORS, struct.pack("<Q", 1 << 60) + b'{"w":{}}', "a safetensors header of"),
        _bomb("tensors that overlap", SAFETENSORS, two_tensors("[0,8]", "[4,12]"), "cut short or damaged"),
        _bomb("tensors with a hole between", SAFETENSORS, two_tensors("[0,4]", "[8,12]"), "cut short or damaged"),
        _bomb("tensors beyond the end", SAFETENSORS, two_tensors("[0,8]", "[8,9999999999]"), "cut short or damaged"),
        _bomb("a tensor twice", SAFETENSORS, two_tensors("[0,8]", "[8,16]", "a"), "stands there twice"),
        _bomb(
            "an array of a header",
            NPY,
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000,)}"),
            "16 are",
        ),
        _bomb("a header of signs", NPY, npy("{'descr': '<f4', 'shape': " + "-" * 9000 + "1}"), "damaged npz file"),
        _bomb("a header of parentheses", NPY, npy("(" * 9000), "damaged npz file"),
    ]


def _bomb(technique: str, described: str, data: bytes, words: str) -> Attack:
    """Return a sample that runs no command."""
    return Attack(technique, described, lambda canary: data, words)


def doubled(kind: bytes) -> bytes:
    """Return the opcodes of a tuple (`t`) or list (`l`) of twice what it holds, forty times over."""
    steps = (b"(h%ch%c%bq%c0" % (place, place, kind, place + 1) for place in range(80, 120))
    return b")qP0" + b"".join(steps) + b"h%c" % 120


def in_blob(value: bytes) -> bytes:
    return pickled(value)


def dtype(code: bytes) -> bytes:
    return b"cnumpy\ndtype\n(" + code + b"K\x00K\x01tR"


def array(shape: bytes = b"K\x01\x85", dtype: bytes = FLOAT32, data: bytes = b"U\x04\0\0\0\0") -> bytes:
    """Return a pickle of one blob, its array's parts given as opcodes."""
    return b"\x80\x02}U\x07conv1_w" + RECONSTRUCT + b"(K\x01" + shape + dtype + b"\x89" + data + b"tbs."


def called(*pairs: list[object]) -> bytes:
    """Return a pickle of an OrderedDict as Python 2 wrote them, from a list of pairs."""
    return b"\x80\x02" + opcodes(Call("collections:OrderedDict", list(pairs))) + b"."


def colliding_keys() -> Iterable[bytes]:
    """30 000 numbers with the same hash."""
    return (b"\x8a\x0a" + (factor * (2**61 - 1)).to_bytes(10, "little") for factor in range(1, 30_000))


def colliding() -> bytes:
    return b"\x80\x02}(" + b"".join(key + b"N" for key in colliding_keys()) + b"u."


def colliding_pairs() -> Iterable[list[object]]:
    return ([key, None] for key in colliding_keys())


def storage_list() -> bytes:
    return torch_legacy(state(tensor()), keys=b"\x80\x02]" + doubled(b"l") + b"a.")


def number(length: int) -> bytes:
    return b"\x80\x02}\x8b" + struct.pack("<i", length) + b"\x01" * length + b"K\x01s."


MEGABYTE = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)


def many_pairs() -> bytes:
    return opcodes([[f"{place:05}", None] for place in range(20_000)])


def repeated(function: bytes, argument: bytes) -> bytes:
    """Call a function with the same argument, twenty thousand times."""
    return b"\x80\x02" + argument + b"\x85q\x000" + function + b"q\x010(" + b"h\x01h\x00R" * 20_000 + b"t."


def shared_bytes() -> bytes:
    """5000 arrays of the same 200 000 bytes."""
    first = array(b"M\x50\xc3\x85", data=b"T" + struct.pack("<i", 200_000) + b"\0" * 200_000 + b"q\x01")[12:-2]
    again = b"(K\x01M\x50\xc3\x85" + FLOAT32 + b"\x89h\x01tb"
    others = (b"U\x04%04d" % place + RECONSTRUCT + again for place in range(5000))
    return b"\x80\x02}(U\x01a" + first + b"".join(others) + b"u."


def set_to_more() -> bytes:
    """Give a tensor a state that torch takes for the arguments of `set_`, a size of a gigabyte among them."""
    storage = opcodes(STORAGE) + b"Q"
    given = [[storage, None], [0, None], [opcodes((1 << 28,)), None], [opcodes((1,)), None]]
    return tensor() + opcodes(Call("collections:OrderedDict", given)) + b"b"


def changed_storage() -> bytes:
    """Let a storage say that it is longer while a tensor is made of it."""
    longer, shorter = (opcodes({"numel": numel}) + b"b" for numel in (1 << 28, 24))
    storage = opcodes(STORAGE) + b"Qq\x00" + longer
    large = opcodes(Call("torch._utils:_rebuild_tensor_v2", storage, 0, (1 << 28,), (1,), False, NO_HOOKS))
    return large + b"h\x00" + shorter + b"0"


def other_view() -> bytes:
    """Take a part of one storage under the name of a short one, which torch then makes as long."""
    short = opcodes((*STORAGE[:2], "1", "cpu", 1)) + b"Q"
    view = opcodes((*STORAGE, ("1", 0, 24))) + b"q\x00Q"
    content = {"x": short, "model_state": opcodes({"w": tensor(view)})}
    keys = b"\x80\x02" + opcodes(["0", "1"]) + b"."
    return torch_legacy(b"\x80\x02" + opcodes(content) + b".", keys) + struct.pack("<qf", 1, 0)


def safetensors(header: bytes) -> bytes:
    header = b"{}" + header if not header.startswith(b"{") else header
    return struct.pack("<Q", len(header)) + header + bytes(16)


def two_tensors(first: str, second: str, name: str = "b") -> bytes:
    entry = '"{}":{{"dtype":"F32","shape":[2],"data_offsets":{}}}'
    return safetensors(f"{{{entry.format('a', first)},{entry.format(name, second)}}}".encode())


def npy(header: str) -> bytes:
    text = header.encode() + b"\n"
    return zip_bytes({"w.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(16)})
