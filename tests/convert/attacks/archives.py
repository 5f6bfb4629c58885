"""Archives that unpack elsewhere, differently for each reader, or to far more than they are."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib

from tests.convert.attacks.models import GOOD, sole, torch_zip
from tests.convert.attacks.sample import Attack
from tests.convert.files import caffe2_bytes, tar_bytes, torch_bytes, zip_bytes

SLIP = "Snyk, Zip Slip, 2018"
TAR = "CVE-2007-4559"
DIFFERENTIALS = "zip parser differentials; CVE-2025-54368"
FIFIELD = "Fifield, A better zip bomb, 2019; CVE-2024-0450"
TWO_MEANINGS = "two meanings"


def attacks() -> list[Attack]:
    """Return one sample for each trick with an archive."""
    return [
        Attack("another name in the member's own header", "CVE-2025-1944", other_name, TWO_MEANINGS, "torch"),
        Attack("a flag that says encrypted", "CVE-2025-1945", flagged, "encrypted"),
        Attack("a checksum that is wrong", "CVE-2025-10156", wrong_checksum, "Bad CRC-32", "torch"),
        Attack("a directory behind the directory", DIFFERENTIALS, two_directories, TWO_MEANINGS, "torch"),
        Attack("a pointer to another directory", "CVE-2025-8291", other_pointer, TWO_MEANINGS),
        Attack("a directory that is longer for others", "CVE-2025-8291", longer_for_others, TWO_MEANINGS),
        Attack(
            "bytes behind the end", DIFFERENTIALS, lambda _: torch_bytes() + b"PK\x05\x06" + bytes(9), "cut short|two"
        ),
        Attack("names in capitals", DIFFERENTIALS, capitals, "twice"),
        Attack("names cut at a zero byte", DIFFERENTIALS, zero_byte, TWO_MEANINGS),
        Attack("a pickle in another folder", DIFFERENTIALS, other_folder, "lies outside of"),
        Attack("a name twice", DIFFERENTIALS, twice, "twice"),
        Attack("members that share their bytes", FIFIELD, sharing, "twice"),
        Attack("members within members", FIFIELD, quoting, "share bytes"),
        Attack("more bytes than any model", "42.zip, 2000", lambda _: zip_bytes({"m": bytes(99 << 20)}), "unpacks to"),
        Attack("LZMA with a dictionary of 4 GiB", "zip's application note, 6.3.9", lzma, "packed by method 14"),
        Attack("300 000 members", "zip bombs by number; CVE-2024-0450", many_members, "more than 10000 members"),
        Attack("gzip in gzip in gzip in gzip", "Cox, Zip files all the way down, 2010", quine, "at most 3 wrappings"),
        Attack("gzip of gzip of zeros, by layers", "42.zip, 2000", nested_gzip, "unpacks to more than"),
        Attack("gzip of zeros", "42.zip, 2000", lambda _: gzip.compress(bytes(120 << 20)), "unpacks to more than"),
        Attack("a second stream of gzip", "RFC 1952, 1996", second_stream, "bytes follow the pickle"),
        *(
            Attack(
                f"zip with {name!r}", SLIP, lambda _, name=name: zip_bytes({name: caffe2_bytes()}), "leads out of it"
            )
            for name in ("../m.pkl", "/etc/m.pkl", "a/../../m.pkl", "..\\m.pkl", "C:\\m.pkl")
        ),
        *(
            Attack(f"tar with {name!r}", TAR, lambda _, name=name: tar_bytes({name: caffe2_bytes()}), "leads out of it")
            for name in ("../m.pkl", "/etc/m.pkl", "a/../../m.pkl")
        ),
        *(
            Attack(
                f"tar with type {kind!r}",
                TAR,
                lambda _, kind=kind: typed_tar(kind),
                "a link, a device or a sparse file",
            )
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE)
        ),
        Attack("a link in a zip", SLIP, link_in_zip, "without a checkpoint"),
        Attack(
            "a sparse file by its extended header", TAR, lambda _: extended(b"GNU.sparse.size=9"), "sparse or oversized"
        ),
        Attack(
            "another size by its extended header", TAR, lambda _: extended(b"size=99999999999"), "sparse or oversized"
        ),
        Attack(
            "an extended header without a length", "CVE-2019-20907", lambda _: raw_extended(b"0 x=y\n"), "unreadable"
        ),
        Attack("a size below zero", "CVE-2025-8194", negative_size, "cut short"),
        Attack("a name of a gigabyte", "CPython pull request 151498", long_name, "cut short|a name of"),
        Attack("a name twice in a tar", DIFFERENTIALS, twice_in_tar, "twice|holds 2 checkpoints"),
    ]


def hostile(canary: str) -> bytes:
    return torch_zip(sole(canary))


def records(data: bytes) -> tuple[int, int, int]:
    """Return where the directory begins, how long it is, and where the last record begins."""
    end = data.rfind(b"PK\x05\x06")
    length, begin = struct.unpack_from("<II", data, end + 12)
    return begin, length, end


def other_name(canary: str) -> bytes:
    return hostile(canary).replace(b"archive/data.pkl", b"archive/data.txt", 1)


def flagged(canary: str) -> bytes:
    data = bytearray(hostile(canary))
    data[records(data)[0] + 8] |= 1
    return bytes(data)


def wrong_checksum(canary: str) -> bytes:
    data = bytearray(hostile(canary))
    data[records(data)[0] + 16] ^= 1
    return bytes(data)


def two_directories(canary: str) -> bytes:
    """Python takes the directory before the last record, torch the one where that record points."""
    good, bad = torch_zip(GOOD), torch_zip(sole(canary).ljust(len(GOOD), b"."))
    (begin, length, end), shift = records(good), len(bad) - 22 - len(good) + 22
    directory = bytearray(good[begin:end])
    at = 0
    while at < length:
        name, extra, comment = struct.unpack_from("<3H", directory, at + 28)
        (offset,) = struct.unpack_from("<I", directory, at + 42)
        struct.pack_into("<I", directory, at + 42, offset + shift)
        at += 46 + name + extra + comment
    return bad[:-22] + good[:begin] + bytes(directory) + bad[-22:]


def other_pointer(canary: str) -> bytes:
    """The pointer to the large directory's record points elsewhere, and not all readers follow it."""
    good = torch_zip(GOOD)
    begin, length, end = records(good)
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 4, 4, length, begin)
    return good[:end] + large + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) + good[end:]


def longer_for_others(canary: str) -> bytes:
    """The record of a large directory says other numbers than the last record, which not all readers look at."""
    good = torch_zip(GOOD)
    begin, length, end = records(good)
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 4, 4, length, begin + 1)
    return good[:end] + large + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1) + good[end:]


def capitals(canary: str) -> bytes:
    """torch looks for names whatever their case."""
    return torch_zip(GOOD, **{"DATA.PKL": sole(canary)})


def zero_byte(canary: str) -> bytes:
    return torch_zip(GOOD, **{"other.pklX": sole(canary)}).replace(b"other.pklX", b"other.pkl\0")


def other_folder(canary: str) -> bytes:
    """torch takes the folder of the first member for the model's."""
    members = {"b/DATA.PKL": sole(canary), "a/data.pkl": GOOD, "a/version": b"3\n", "a/data/0": bytes(96)}
    return zip_bytes(members, zipfile.ZIP_STORED)


def twice(canary: str) -> bytes:
    return torch_zip(GOOD, **{"data.pkX": sole(canary)}).replace(b"data.pkX", b"data.pkl")


def member(name: bytes, content: bytes, packed: bytes, offset: int) -> tuple[bytes, bytes]:
    """Return the own header of a deflated member, and its entry in the directory."""
    sizes = zlib.crc32(content), len(packed), len(content)
    checked = struct.pack("<4H3L2H", 0, 8, 0, 33, *sizes, len(name), 0)
    ours = b"PK\x03\x04\x14\x00" + checked + name
    return ours, b"PK\x01\x02\x14\x00\x14\x00" + checked + struct.pack("<3H2L", 0, 0, 0, 0, offset) + name


def closed(body: bytes, entries: list[bytes]) -> bytes:
    directory = b"".join(entries)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return body + directory + last


ZEROS = bytes(100_000)
KERNEL = zlib.compress(ZEROS)[2:-4]  # deflate alone, which Python 3.10 has no argument for


def sharing(canary: str) -> bytes:
    """Fifty entries for one member: each would be unpacked."""
    ours, entry = member(b"m", ZEROS, KERNEL, 0)
    return closed(ours + KERNEL, [entry] * 50)


def quoting(canary: str) -> bytes:
    """A member holds the next one's header as a stored block of its own, and then the same kernel."""
    inner, _ = member(b"m1", ZEROS, KERNEL, 0)
    quoted = b"\x00" + struct.pack("<HH", len(inner), len(inner) ^ 0xFFFF) + inner + KERNEL
    outer, first = member(b"m0", inner + ZEROS, quoted, 0)
    _, second = member(b"m1", ZEROS, KERNEL, len(outer) + 5)
    return closed(outer + quoted, [first, second])


def lzma(canary: str) -> bytes:
    data = bytearray(zip_bytes({"m.pkl": caffe2_bytes()}, zipfile.ZIP_LZMA))
    struct.pack_into("<I", data, 30 + 5 + 5, 0xFFFFFFFF)
    return bytes(data)


def many_members(canary: str) -> bytes:
    entries = [member(b"%06d" % number, b"", b"", 0)[1] for number in range(300_000)]
    directory = b"".join(entries)
    return b"PK\x03\x04" + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, len(directory), 4, 0)


def quine(canary: str) -> bytes:
    data = caffe2_bytes()
    for _ in range(4):
        data = gzip.compress(data)
    return data


def nested_gzip(canary: str) -> bytes:
    """Each layer is a hundred times the one around it at most, and both together are more."""
    return gzip.compress(gzip.compress(bytes(8 << 20), 0) + gzip.compress(bytes(100 << 20)))


def second_stream(canary: str) -> bytes:
    return gzip.compress(caffe2_bytes()) + gzip.compress(sole(canary))


def typed_tar(kind: bytes) -> bytes:
    info = tarfile.TarInfo("m.pkl")
    info.type, info.linkname = kind, "/etc/passwd"
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def link_in_zip(canary: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("m.pkl")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "../../../../etc/passwd")
    return file.getvalue()


def extended(record: bytes) -> bytes:
    return raw_extended(b"%d %b\n" % (len(record) + 4, record))


def raw_extended(records: bytes) -> bytes:
    """Return a tar whose member has an extended header of these records."""
    info = tarfile.TarInfo("m.pkl")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    return info.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + tar_bytes({"m.pkl": caffe2_bytes()})


def negative_size(canary: str) -> bytes:
    info = tarfile.TarInfo("m.pkl")
    info.size = -512
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def long_name(canary: str) -> bytes:
    info = tarfile.TarInfo("m.pkl")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def twice_in_tar(canary: str) -> bytes:
    one, other = tar_bytes({"m.pkl": caffe2_bytes()}), tar_bytes({"m.pkl": sole(canary)})
    return one[: 512 + (len(caffe2_bytes()) + 511) // 512 * 512] + other
