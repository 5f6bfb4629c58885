"""Pickles made to run code: refused, nothing executed, and the error names what they asked for."""

from __future__ import annotations

import builtins
import functools
import gzip
import operator
import os
import pickle
import subprocess

import numpy as np
import pytest

from tests.convert.files import Call, tar_bytes
from tests.fuzz.reading import SECONDS
from tests.fuzz.watched import MEASURED
from videohub.convert import read
from videohub.errors import FormatError, VideohubError
from videohub.pickles.unpickler import Array, Record, StandIn


def calls(canary) -> dict[str, tuple[object, str]]:
    touch = f"touch {canary}"
    opened = f"open({str(canary)!r}, 'w')"
    return {
        "os.system": (Call(os.system, touch), "posix.system"),
        "eval": (Call(eval, opened), "__builtin__.eval|builtins.eval"),
        "exec": (Call(exec, opened), "__builtin__.exec|builtins.exec"),
        "open": (Call(open, str(canary), "w"), "io.open"),
        "popen": (Call(subprocess.Popen, ["touch", str(canary)]), "(subprocess|commands).Popen"),
        "attrgetter": (Call(operator.attrgetter("system"), os), "operator.attrgetter|operator.itemgetter"),
        "partial": (Call(functools.partial(os.system, touch)), "functools.partial"),
        "getattr": (Call(getattr, Call(__import__, "os"), "system"), "__builtin__.getattr|builtins.getattr"),
        "nested": (Call(pickle.loads, pickle.dumps(Call(os.system, touch))), "_?pickle.loads"),
        "numpy load": (Call(np.load, str(canary)), "numpy.load"),
    }


def modules_as_names(name: str, value: object, protocol: int) -> bytes:
    """Pickle, with a stand-in where the standard pickler cannot (a module as an argument)."""
    try:
        return pickle.dumps({"blobs": {"conv1_w": value}}, protocol)
    except TypeError:
        return b"coperator\nattrgetter\n(S'system'\ntR."


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", calls("x"))
def test_a_pickle_that_calls_something_is_refused_by_its_name(write, canary, name, protocol, refused):
    value, words = calls(canary)[name]
    message = refused(write(modules_as_names(name, value, protocol)), words)
    assert "Nothing from it was run" in message


def test_an_object_rebuilt_through_copyreg_is_refused(write, refused):
    class_call = b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR."
    refused(write(class_call), r"copy_reg\._reconstructor")
    refused(write(b"\x80\x02ccopyreg\n_reconstructor\n."), r"copyreg\._reconstructor")


def test_the_old_instance_opcode_is_refused_by_its_name(write, canary, refused):
    refused(write(f"(S'touch {canary}'\nios\nsystem\n.".encode()), r"os\.system")


def test_a_global_whose_name_comes_from_the_memo_is_refused(write, canary, refused):
    parts = b"\x8c\x05posix\x94\x8c\x06system\x940h\x00h\x01\x93"
    call = b"\x8c" + bytes([len(f"touch {canary}")]) + f"touch {canary}".encode() + b"\x85R."
    refused(write(b"\x80\x04" + parts + call), r"posix\.system")


def test_a_global_whose_name_is_computed_is_refused(write, refused):
    refused(write(b"\x80\x04}\x8c\x06system\x93."), "name is not written in it")
    refused(write(b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__call__\x93."), "numpy.dtype.__call__")


@pytest.mark.parametrize("opcode", [b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"])
def test_copyreg_extensions_are_refused(write, opcode, refused):
    refused(write(b"\x80\x02" + opcode + b"."), "copyreg extension")


@pytest.mark.parametrize("opcode", [b"Pname\n", b"NQ", b"\x97", b"N\x98", b"cnumpy\nndarray\n)\x81"])
def test_objects_from_elsewhere_are_refused(write, opcode, refused):
    refused(write(b"\x80\x02" + opcode + b"."), "outside of the file|of its own class")


def test_no_opcode_reaches_the_attributes_of_a_stand_in(write):
    for target in (b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n", b"ccollections\nOrderedDict\n"):
        path = write(b"\x80\x02" + target + b"N}U\x05buildK\x01s\x86b.")
        with pytest.raises(FormatError, match="cannot be changed"):
            read(path)
    for kind in (Array, Record, StandIn):
        assert callable(kind.__setstate__)


def test_a_second_pickle_behind_the_first_is_refused(write, refused):
    refused(write(pickle.dumps({"conv1_w": 1}, 2) + pickle.dumps({"conv1_w": 2}, 2)), "bytes follow the pickle")


def test_a_hostile_pickle_inside_archives_is_refused(write, canary, refused):
    hostile = pickle.dumps(Call(os.system, f"touch {canary}"), 2)
    for data in (
        gzip.compress(hostile),
        tar_bytes({"m": hostile}),
        gzip.compress(tar_bytes({"m": gzip.compress(hostile)})),
    ):
        refused(write(data), r"posix\.system")


OBJECTS = {
    "array of objects": (np.array([1, "a", None], dtype=object), "Python objects"),
    "array of records": (np.zeros(2, [("a", "f4")]), "dtype 'V4'"),
    "array of strings": (np.array(["a"]), "dtype 'U1'"),
    "dates": (np.zeros(2, "M8[s]"), "dtype 'M8'"),
}


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("kind", OBJECTS)
def test_arrays_of_anything_but_numbers_are_refused(write, kind, protocol, refused):
    value, words = OBJECTS[kind]
    with pytest.raises(FormatError, match=words):
        read(write(pickle.dumps({"conv1_w": value}, protocol)))


def test_a_numpy_number_of_an_object_is_refused(write, canary, refused):
    dtype = b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR"
    call = f"(cposix\nsystem\n(S'touch {canary}'\ntR".encode()
    refused(write(b"\x80\x02}U\x02lrcnumpy.core.multiarray\nscalar\n(" + dtype + b"U\x00tRs."), "Python objects")
    refused(write(b"\x80\x02}U\x02lrcnumpy.core.multiarray\nscalar\n(" + dtype + call + b"tRs."), r"posix\.system")


@pytest.mark.skipif(not MEASURED, reason="memory is measured through /proc")
def test_reading_a_caffe2_pickle_takes_no_more_than_twice_its_size(reader):
    blobs = {f"res2_{i}_branch2a_w": np.full(500_000, i, np.float32) for i in range(20)}
    data = pickle.dumps({"blobs": blobs}, 4)
    answer = reader.ask(data, SECONDS)
    assert answer["outcome"] == "read"
    assert 0.5 * len(data) < answer["memory"] < 2.2 * len(data)  # else the measurement would see nothing


def test_every_refusal_is_one_of_ours_and_names_the_file(write, canary):
    with pytest.raises(VideohubError) as caught:
        read(write(pickle.dumps(Call(builtins.eval, "1"))))
    assert "model.pkl" in str(caught.value)
