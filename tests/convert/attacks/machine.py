"""Tricks with the pickle machine itself: opcodes that few pickles use, and streams that scanners read otherwise."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.convert.attacks.sample import CODE, SHELL, Attack, Call, Name, opcodes, pickled

SOUR = "Slaviero, Sour Pickles, 2011"
FICKLING = "Sultanik, fickling, 2021"
NULLIFAI = "ReversingLabs, nullifAI, 2025"
GOLF = "pickle challenges of capture-the-flag games"
PEP307 = "PEP 307, 2003"
HIDE = "Liu et al., The Art of Hide and Seek, 2025"

GOOD = pickled(1)  # a dict of one number


def attacks() -> list[Attack]:
    """Return one sample for each trick."""
    return [
        Attack("INST", SOUR, _text("(S'{}'\nios\nsystem\n."), r"asks for os\.system ", "pickle"),
        Attack("INST of an allowed global", SOUR, _text("(S'{}'\ninumpy\nndarray\n."), "a pickle of Array"),
        Attack("OBJ", SOUR, _run(b"(cos\nsystem\n", b"o."), r"asks for os\.system ", "pickle"),
        Attack(
            "OBJ of an allowed global", SOUR, _same(b"\x80\x04(cnumpy\nndarray\nK\x01o."), "object of its own class"
        ),
        Attack("NEWOBJ", PEP307, new_object, r"asks for builtins\.map ", "pickle"),
        Attack(
            "NEWOBJ of an allowed one", PEP307, _same(b"\x80\x04cnumpy\nndarray\n)\x81."), "object of its own class"
        ),
        Attack("NEWOBJ_EX", "PEP 3154, 2011", new_object_with_names, r"asks for builtins\.map ", "pickle"),
        Attack(
            "NEWOBJ_EX of an allowed one", "PEP 3154, 2011", _same(b"\x80\x04cnumpy\nndarray\n)}\x92."), "own class"
        ),
        Attack("BUILD with __setstate__", GOLF, build, r"asks for types\.SimpleNamespace ", "pickle"),
        Attack("BUILD of a module", GOLF, _same(b"\x80\x04c__main__\n__dict__\n}b."), "asks for __main__.__dict__ "),
        Attack("sys.modules as a module", GOLF, other_sys, r"asks for sys\.modules ", "pickle"),
        Attack("EXT1", PEP307, _same(b"\x80\x02\x82\x01."), "copyreg extension"),
        Attack("EXT2", PEP307, _same(b"\x80\x02\x83\x01\x00."), "copyreg extension"),
        Attack("EXT4", PEP307, _same(b"\x80\x02\x84\x01\x00\x00\x00."), "copyreg extension"),
        Attack("PERSID", "Python's library reference", _same(b"\x80\x02Pposix.system\n."), "outside of the file"),
        Attack(
            "BINPERSID", "Python's library reference", _same(b"\x80\x02" + opcodes("x") + b"Q."), "outside of the file"
        ),
        Attack("NEXT_BUFFER", "PEP 574, 2018", _same(b"\x80\x05\x97."), "buffer outside"),
        Attack(
            "names from the memo",
            SOUR,
            _run(b"\x8c\x05posix\x94\x8c\x06system\x940h\x000h\x00h\x01\x93"),
            "posix",
            "pickle",
        ),
        Attack("a memo written twice", HIDE, memo_written_twice, r"asks for posix\.system ", "pickle"),
        Attack("names with escapes", HIDE, _run(b"V\\u0070osix\nV\\u0073ystem\n\x93"), "u0070osix", "pickle"),
        Attack("names with octal escapes", HIDE, _run(b"S'\\160osix'\nS'syst\\145m'\n\x93"), "160osix", "pickle"),
        Attack("names by DUP", HIDE, _run(b"\x8c\x05posix2\x8c\x06system\x93"), r"asks for posix\.system ", "pickle"),
        Attack("names that are called for", HIDE, called_names, r"asks for codecs\.decode ", "pickle"),
        Attack("names that are no strings", HIDE, _same(b"\x80\x04]\x8c\x06system\x93."), "not written in it"),
        Attack(
            "names of Python 2", "PEP 3108, 2008", _text2("ccommands\ngetoutput\n(S'{}'\ntR."), "commands", "pickle"
        ),
        Attack("a stream that breaks off", NULLIFAI, _ran(b""), r"asks for posix\.system ", "pickle"),
        Attack("a stream that breaks", NULLIFAI, _ran(b"\xff\xfe broken"), r"asks for posix\.system ", "pickle"),
        Attack("before the good pickle", FICKLING, before, r"asks for posix\.system ", "pickle"),
        Attack("behind the good pickle", FICKLING, behind, r"asks for posix\.system ", "pickle"),
        Attack("amid the good pickle", FICKLING, amid, r"asks for posix\.system ", "pickle"),
        Attack("a result thrown away", FICKLING, _ran(b"1N.", b"("), r"asks for posix\.system ", "pickle"),
        Attack("a result as a key", GOLF, _ran(b"K\x01s.", b"}"), r"asks for posix\.system ", "pickle"),
        Attack("a second pickle", "Python's library reference", second, "bytes follow the pickle"),
        Attack("behind the end of a frame", HIDE, beyond_the_frame, r"asks for posix\.system ", "pickle"),
        Attack("a second PROTO", HIDE, _ran(b"0\x80\x02N."), r"asks for posix\.system ", "pickle"),
        Attack("what stops pickletools", HIDE, _ran(b"0.", b"Nq\x00q\x00"), r"asks for posix\.system ", "pickle"),
        Attack("strings not of ASCII", HIDE, _ran(b"0S'\xc3\xa9'\n."), r"asks for posix\.system ", "pickle"),
        Attack("code as a name", "EvilModel, 2021", _same(b"\x80\x04}" + opcodes(CODE) + b"K\x01s."), ""),
        Attack(
            "a pickle as a name", "EvilModel, 2021", _same(b"\x80\x04}" + opcodes("cos\nsystem\n") + b"K\x01s."), ""
        ),
    ]


Make = Callable[[str], bytes]


def _same(data: bytes) -> Make:
    """Return a sample without a command."""
    return lambda canary: data


def _text(text: str) -> Make:
    """Return a sample of protocol 0, the command put in its place."""
    return lambda canary: text.format(SHELL.replace("CANARY", canary)).encode()


def _text2(text: str) -> Make:
    """Return a sample as Python 2 wrote it."""
    return lambda canary: b"\x80\x02" + _text(text)(canary)


def _run(function: bytes, end: bytes = b"\x85R.") -> Make:
    """Return a sample that calls what `function` puts on the stack with a command."""
    return lambda canary: b"\x80\x04" + function + opcodes(SHELL, canary) + end


def _ran(end: bytes, begin: bytes = b"") -> Make:
    """Return a sample that runs a command between two pieces."""
    return lambda canary: b"\x80\x04" + begin + command(canary) + end


def command(canary: str) -> bytes:
    """Return the opcodes that run a command and leave its result on the stack."""
    return opcodes(Call("posix:system", SHELL), canary)


def new_object(canary: str) -> bytes:
    """Return bytes made of a map, which runs the code when it is gone through."""
    lazy = opcodes(Name("builtins:map")) + opcodes((Name("builtins:exec"), [CODE]), canary) + b"\x81"
    return b"\x80\x04" + lazy + b"q\x000cbuiltins\nbytes\nh\x00\x85\x81."


def new_object_with_names(canary: str) -> bytes:
    """Return the same with arguments by name, of which there are none."""
    lazy = opcodes(Name("builtins:map")) + opcodes((Name("builtins:exec"), [CODE]), canary) + b"}\x92"
    return b"\x80\x04" + lazy + b"q\x000cbuiltins\nbytes\nh\x00\x85}\x92."


def build(canary: str) -> bytes:
    """Give an object a `__setstate__` of its own, then have it called."""
    ours = b"}" + opcodes("__setstate__") + opcodes(Name("posix:system")) + b"sb"
    return b"\x80\x04" + opcodes(Call("types:SimpleNamespace")) + ours + opcodes(SHELL, canary) + b"b."


def other_sys(canary: str) -> bytes:
    """Make `sys` mean the dict of modules, take `os` out of it by its `get`, and make `sys` mean that."""
    into = b"csys\nmodules\nq\x00" + opcodes("sys") + b"h\x00s0"
    out = b"h\x00" + opcodes("sys") + b"csys\nget\n" + opcodes("os") + b"\x85Rs0"
    return b"\x80\x02" + into + out + opcodes(Call("sys:system", SHELL), canary) + b"."


def memo_written_twice(canary: str) -> bytes:
    """Give two places in the memo harmless names first, other ones later."""
    harmless = opcodes("collections") + b"q\x00" + opcodes("OrderedDict") + b"q\x0100"
    later = opcodes("posix") + b"q\x00" + opcodes("system") + b"q\x0100"
    return b"\x80\x04" + harmless + later + b"h\x00h\x01\x93" + opcodes(SHELL, canary) + b"\x85R."


def called_names(canary: str) -> bytes:
    """Decode the name of the function."""
    name = opcodes("posix") + opcodes(Call("codecs:decode", "flfgrz", "rot13")) + b"\x93"
    return b"\x80\x04" + name + opcodes(SHELL, canary) + b"\x85R."


def before(canary: str) -> bytes:
    return b"\x80\x04" + command(canary) + b"0" + GOOD[2:]


def behind(canary: str) -> bytes:
    return GOOD[:-1] + command(canary) + b"0."


def amid(canary: str) -> bytes:
    return GOOD[:3] + command(canary) + b"0" + GOOD[3:]


def second(canary: str) -> bytes:
    return GOOD + b"\x80\x04" + command(canary) + b"."


def beyond_the_frame(canary: str) -> bytes:
    """Announce a frame that ends before the command begins."""
    return b"\x80\x04\x95" + struct.pack("<Q", 2) + b"N0" + command(canary) + b"."
