"""Files made to run code or to fill the memory: refused, nothing executed, and the error says what they asked for."""

from __future__ import annotations

import builtins
import functools
import gzip
import io
import operator
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from tests.convert.files import tar_bytes, torch_bytes, torch_state, zip_bytes
from videohub.convert import read
from videohub.convert.restricted import Array, Record, StandIn
from videohub.errors import FormatError, UnsafeFileError, VideohubError

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
FLOAT32 = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def canary(tmp_path):
    """A file that hostile code would make."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def array(shape: bytes, data: bytes, dtype: bytes = FLOAT32) -> bytes:
    """A protocol 2 pickle of one blob, its array's parts given as opcodes."""
    return b"\x80\x02}U\x07conv1_w" + RECONSTRUCT + b"(K\x01" + shape + dtype + b"\x89" + data + b"tbs."


def refused(path, words: str) -> str:
    with pytest.raises(UnsafeFileError, match=words) as caught:
        read(path)
    return str(caught.value)


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
def test_a_pickle_that_calls_something_is_refused_by_its_name(write, canary, name, protocol):
    value, words = calls(canary)[name]
    message = refused(write(modules_as_names(name, value, protocol)), words)
    assert "Nothing from it was run" in message


def test_an_object_rebuilt_through_copyreg_is_refused(write):
    class_call = b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR."
    refused(write(class_call), r"copy_reg\._reconstructor")
    refused(write(b"\x80\x02ccopyreg\n_reconstructor\n."), r"copyreg\._reconstructor")


def test_the_old_instance_opcode_is_refused_by_its_name(write, canary):
    refused(write(f"(S'touch {canary}'\nios\nsystem\n.".encode()), r"os\.system")


def test_a_global_whose_name_comes_from_the_memo_is_refused(write, canary):
    parts = b"\x8c\x05posix\x94\x8c\x06system\x940h\x00h\x01\x93"
    call = b"\x8c" + bytes([len(f"touch {canary}")]) + f"touch {canary}".encode() + b"\x85R."
    refused(write(b"\x80\x04" + parts + call), r"posix\.system")


def test_a_global_whose_name_is_computed_is_refused(write):
    refused(write(b"\x80\x04}\x8c\x06system\x93."), "name is not written in it")
    refused(write(b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__call__\x93."), "numpy.dtype.__call__")


@pytest.mark.parametrize("opcode", [b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"])
def test_copyreg_extensions_are_refused(write, opcode):
    refused(write(b"\x80\x02" + opcode + b"."), "copyreg extension")


@pytest.mark.parametrize("opcode", [b"Pname\n", b"NQ", b"\x97", b"N\x98", b"cnumpy\nndarray\n)\x81"])
def test_objects_from_elsewhere_are_refused(write, opcode):
    refused(write(b"\x80\x02" + opcode + b"."), "outside of the file|of its own class")


def test_no_opcode_reaches_the_attributes_of_a_stand_in(write):
    for target in (b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n", b"ccollections\nOrderedDict\n"):
        path = write(b"\x80\x02" + target + b"N}U\x05buildK\x01s\x86b.")
        with pytest.raises(FormatError, match="cannot be changed"):
            read(path)
    for kind in (Array, Record, StandIn):
        assert callable(kind.__setstate__)


def test_a_second_pickle_behind_the_first_is_refused(write):
    refused(write(pickle.dumps({"conv1_w": 1}, 2) + pickle.dumps({"conv1_w": 2}, 2)), "bytes follow the pickle")


def test_a_hostile_pickle_inside_archives_is_refused(write, canary):
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
def test_arrays_of_anything_but_numbers_are_refused(write, kind, protocol):
    value, words = OBJECTS[kind]
    with pytest.raises(FormatError, match=words):
        read(write(pickle.dumps({"conv1_w": value}, protocol)))


def test_a_numpy_number_of_an_object_is_refused(write, canary):
    dtype = b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR"
    call = f"(cposix\nsystem\n(S'touch {canary}'\ntR".encode()
    refused(write(b"\x80\x02}U\x02lrcnumpy.core.multiarray\nscalar\n(" + dtype + b"U\x00tRs."), "Python objects")
    refused(write(b"\x80\x02}U\x02lrcnumpy.core.multiarray\nscalar\n(" + dtype + call + b"tRs."), r"posix\.system")


def shared_bytes() -> bytes:
    """5000 arrays of the same 200 000 bytes."""
    first = array(b"M\x50\xc3\x85", b"T" + struct.pack("<i", 200_000) + b"\0" * 200_000 + b"q\x01")[12:-2]
    state = b"(K\x01M\x50\xc3\x85" + FLOAT32 + b"\x89h\x01tb"
    others = (b"U\x04%04d" % number + RECONSTRUCT + state for number in range(5000))
    return b"\x80\x02}(U\x01a" + first + b"".join(others) + b"u."


def colliding_numbers() -> bytes:
    """A dict whose 30 000 keys have the same hash."""
    keys = (b"\x8a\x0a" + (number * (2**61 - 1)).to_bytes(10, "little") for number in range(1, 30_000))
    return b"\x80\x02}(" + b"".join(key + b"N" for key in keys) + b"u."


FLOOD = 40_000_000  # bytes that a reader may take for a small hostile file; without a guard each below takes gigabytes
BOMBS = {
    "memo": (b"\x80\x02}r\xff\xff\xff\x7f.", "memo number 2147483647"),
    "memo in digits": (b"(dp99999999999\n.", "memo number 99999999999"),
    "nested lists": (b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b".", "stack of more than"),
    "nested marks": (b"\x80\x02" + b"(" * 1_000_000, "nested more than"),
    "endless opcodes": (b"\x80\x02" + b"N0" * 250_000 + b".", "more than 500000 opcodes"),
    "long string": (b"\x80\x02}T\xff\xff\xff\x7f", "cut short: BINSTRING of 2147483647 bytes"),
    "negative string": (b"\x80\x02}T\xff\xff\xff\xff", "cut short: BINSTRING of -1 bytes"),
    "long unicode": (b"\x80\x04}\x8d" + struct.pack("<Q", 1 << 62), "BINUNICODE8 of"),
    "long bytearray": (b"\x80\x05}\x96" + struct.pack("<Q", 1 << 40), "BYTEARRAY8 of"),
    "long frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.", "a frame of 1099511627776 bytes"),
    "huge number": (b"\x80\x02\x8b" + struct.pack("<i", 30_000) + b"\x01" * 30_000 + b".", "whole number of 30000"),
    "huge digits": (b"(dp0\nS'a'\nL" + b"9" * 1_000_000 + b"L\ns.", "a line of 4096 bytes"),
    "huge shape": (array(b"J\x00\x00\x00\x7f\x85", b"U\x04\0\0\0\0"), "needs 8522825728 bytes, 4 are there"),
    "huge shapes": (array(b"(" + b"J\x00\x00\x00\x7f" * 20 + b"t", b"U\x04\0\0\0\0"), "4 are there"),
    "shared bytes": (shared_bytes(), "more memory than the"),
    "tuples to hash": (b"\x80\x02})" + b"2\x86" * 60 + b"Ns.", "keys other than strings"),
    "numbers that collide": (colliding_numbers(), "more than 20000 numbers"),
    "gzip": (gzip.compress(b"\0" * 120_000_000), "unpacks to more than"),
    "gzip in tar": (tar_bytes({"m": gzip.compress(b"\0" * 120_000_000)}), "unpacks to more than"),
    "zip": (zip_bytes({"model.npy": b"\0" * 120_000_000}), "unpacks to"),
}


# The peak since it was last forgotten; getrusage would tell our own peak, which a child inherits.
METER = """
import re, sys
from pathlib import Path
from videohub.convert import plain_files, read
from videohub.errors import VideohubError
import safetensors, numpy.lib.format

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

for line in sys.stdin:
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    try:
        read(line.strip())
        answer = "read"
    except VideohubError as error:
        answer = type(error).__name__ + " " + str(error)
    print(peak() - before, " ".join(answer.split()), flush=True)
"""


@pytest.fixture(scope="module")
def memory_of():
    """Read files in one other process, and tell the error and by how much its peak of memory rose."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("memory is measured through /proc")
    process = subprocess.Popen([sys.executable, "-c", METER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(path):
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        taken, _, answer = process.stdout.readline().partition(" ")
        return int(taken), answer

    yield ask
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_before_it_takes_memory(write, memory_of, kind):
    data, words = BOMBS[kind]
    taken, answer = memory_of(write(data))
    assert words in answer
    assert taken < FLOOD


def test_reading_a_caffe2_pickle_takes_no_more_than_twice_its_size(tmp_path, memory_of):
    blobs = {f"res2_{i}_branch2a_w": np.full(500_000, i, np.float32) for i in range(20)}
    with open(tmp_path / "big.pkl", "wb") as file:
        pickle.dump({"blobs": blobs}, file, 4)
    taken, answer = memory_of(tmp_path / "big.pkl")
    assert answer == "read\n"
    size = os.path.getsize(tmp_path / "big.pkl")
    assert size < taken < 2.2 * size  # less than its size, and the measurement would see nothing


def tar_of(name: str, kind: bytes, link: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)
    return file.getvalue()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(write, kind):
    refused(write(tar_of("model.pkl", kind, "/etc/passwd")), "a link, a device")


@pytest.mark.parametrize(
    "name", ["../model.pkl", "a/../../model.pkl", "/tmp/model.pkl", "..\\model.pkl", "C:\\model.pkl"]
)
def test_names_that_lead_out_of_an_archive_are_refused(write, tmp_path, name):
    good = pickle.dumps({"conv1_w": 1}, 2)
    refused(write(tar_bytes({name: good})), "leads out of it")
    refused(write(zip_bytes({name: good})), "leads out of it")
    assert sorted(path.name for path in tmp_path.parent.iterdir() if path.name == "model.pkl") == []


def test_wrappings_without_end_are_refused(write):
    data = pickle.dumps({"conv1_w": 1}, 2)
    for _ in range(4):
        data = gzip.compress(data)
    refused(write(data), "at most 3 wrappings")


def test_a_tar_header_cannot_ask_for_memory(write, memory_of):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 60_000_000
    taken, answer = memory_of(write(gzip.compress(info.tobuf() + os.urandom(1_000_000) + b"\0" * 59_001_000)))
    assert "a name of 60000000 bytes" in answer
    assert taken < FLOOD


def rezip(data: bytes, change, method: int = zipfile.ZIP_STORED) -> bytes:
    """Write a torch file again, its members passed through `change(name, data)`."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", method) as new:
        for info in old.infolist():
            changed = change(info.filename, old.read(info))
            if changed is not None:
                new.writestr(info.filename, changed)
    return file.getvalue()


def swap(old: bytes, new: bytes):
    def change(name, data):
        if not name.endswith("data.pkl"):
            return data
        assert old in data
        return data.replace(old, new)

    return change


@pytest.mark.parametrize("legacy", [False, True])
def test_a_torch_file_that_calls_something_is_refused_by_its_name(write, canary, legacy):
    hostile = torch_bytes({"model_state": torch_state(), "x": Call(os.system, f"touch {canary}")}, legacy=legacy)
    refused(write(hostile), r"posix\.system")
    flood = torch_bytes({"model_state": torch_state(), "x": Call(bytearray, 10**12)}, legacy=legacy)
    refused(write(flood), r"(__builtin__|builtins)\.bytearray")
    module = torch_bytes(torch.nn.Linear(2, 2), legacy=legacy)
    with pytest.raises(FormatError, match=r"asks for torch\.nn\.modules\.linear\.Linear|own class"):
        read(write(module))


def test_a_torch_storage_that_claims_more_than_its_member_is_refused(write):
    good = torch_bytes({"w": torch.zeros(24)})
    refused(write(rezip(good, swap(b"K\x18t", b"J\x00\x00\x00\x7ft"))), "claims 8522825728 bytes, the file holds 96")
    refused(write(rezip(good, lambda name, data: None if name.endswith("data/0") else data)), "the file holds none")


def test_a_torch_tensor_that_leaves_its_storage_is_refused(write):
    good = torch_bytes({"w": torch.zeros(24)})
    refused(write(rezip(good, swap(b"K\x18\x85", b"J\x00\x00\x00\x7f\x85"))), "claims more than 24 stored elements")
    refused(write(rezip(good, swap(b"QK\x00", b"QK\x01"))), "claims more than 24 stored elements")
    refused(write(torch_bytes({"w": torch.zeros(1).expand(10**9)})), "claims more than 1 stored elements")


def test_a_legacy_torch_file_cannot_ask_for_more_than_it_holds(write):
    good = torch_bytes({"w": torch.zeros(24)}, legacy=True)
    assert b"K\x18Nt" in good
    with pytest.raises(FormatError, match="claims 8522825728 bytes, the file holds 96"):
        read(write(good.replace(b"K\x18Nt", b"J\x00\x00\x00\x7fNt")))
    both = good.replace(b"K\x18Nt", b"J\x00\x00\x00\x7fNt").replace(
        struct.pack("<q", 24), struct.pack("<q", 0x7F000000)
    )
    with pytest.raises(FormatError, match="cut short: a storage of 8522825728 bytes begins where 96 are left"):
        read(write(both))


def test_views_that_multiply_one_storage_are_refused(write):
    base = torch.zeros(100_000)
    views = {f"w{i}": base.reshape(100, 1000)[:, i : i + 900] for i in range(100)}
    refused(write(torch_bytes(views)), "four times the file")


def test_a_compressed_torch_file_is_refused(write):
    data = rezip(torch_bytes({"w": torch.zeros(10_000)}), lambda _, data: data, zipfile.ZIP_DEFLATED)
    refused(write(data), "is compressed")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_holds_a_name_twice_is_refused(write):
    file = io.BytesIO(torch_bytes())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    refused(write(file.getvalue()), "twice")


def test_a_torch_pickle_of_another_protocol_says_how_to_save_it(write):
    file = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, file, pickle_protocol=4)
    with pytest.raises(FormatError, match="protocol 4, expected 2"):
        read(write(file.getvalue()))


def npz(header: str, data: bytes = b"\0" * 16) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return zip_bytes({"w.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data})


def test_hostile_npz_files_are_refused(write, memory_of):
    file = io.BytesIO()
    np.savez(file, w=np.array([print], dtype=object))
    refused(write(file.getvalue()), "dtype object")
    huge = npz("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000,)}")
    taken, answer = memory_of(write(huge))
    assert "needs 16000000000 bytes, 16 are there" in answer
    assert taken < FLOOD
    with pytest.raises(FormatError):
        read(write(npz("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}")))
    with pytest.raises(FormatError, match="damaged npz"):
        read(write(npz("{'descr': __import__('os').getpid(), 'fortran_order': False, 'shape': ()}")))


def safetensors(header: bytes, data: bytes = b"\0" * 8) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize(
    "data",
    [
        safetensors(b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8000000000]}}'),
        safetensors(b'{"w":{"dtype":"F32","shape":[2000000000],"data_offsets":[0,8]}}'),
        safetensors(b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'),
        safetensors(
            b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
        ),
        safetensors(b'{"w":' + b"[" * 100_000 + b"}"),
        safetensors(b'{"w":3}'),
        struct.pack("<Q", 1 << 60) + b'{"w":',
    ],
)
def test_hostile_safetensors_files_are_refused(write, memory_of, data):
    taken, answer = memory_of(write(data))
    assert answer.startswith(("FormatError", "UnsafeFileError"))
    assert taken < FLOOD


def test_every_refusal_is_one_of_ours_and_names_the_file(write, canary):
    with pytest.raises(VideohubError) as caught:
        read(write(pickle.dumps(Call(builtins.eval, "1"))))
    assert "model.pkl" in str(caught.value)
