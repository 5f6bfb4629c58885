"""The headers of tars: what Python's tarfile and GNU tar write is found where it lies; what is damaged is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
import shutil
import subprocess
import tarfile
import time

import pytest

from tests.data.tars import END, header, padded, with_checksum, write_tar
from videohub import storage
from videohub.data import tar_index
from videohub.data.tar_index import Member, read_headers
from videohub.errors import DataError, FileChangedError

LONG = "folder-" + "x" * 90 + "/" + "y" * 120 + ".mp4"


def read(path):
    return read_headers(str(path), storage.stat(str(path)))


def refusal(path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_found_where_tarfile_finds_them(tmp_path, format):
    names = (
        ["a.mp4", "b/c.webm", "./d.mp4", "empty.mp4"] if format == tarfile.USTAR_FORMAT else ["a.mp4", LONG, "ä.mp4"]
    )
    path = write_tar(tmp_path / "a.tar", {name: name.encode() * 200 for name in names}, format=format)
    with tarfile.open(path) as tar:
        expected = [(info.name.removeprefix("./"), info.offset_data, info.size) for info in tar]
    assert [(each.name, each.start, each.size) for each in read(path).members] == expected
    content = path.read_bytes()
    for name, member in zip(names, read(path).members, strict=True):
        assert content[member.start : member.start + member.size] == name.encode() * 200


def test_members_that_would_be_unpacked_into_one_file_are_twice_there(tmp_path):
    names = ["x/./a.mp4", ".//b.mp4", "x//c.mp4"]
    path = write_tar(tmp_path / "a.tar", dict.fromkeys(names, b"a"))
    assert [each.name for each in read(path).members] == ["x/a.mp4", "b.mp4", "x/c.mp4"]
    with pytest.raises(DataError, match=r"'x/a\.mp4' stands in it twice"):
        read(write_tar(path, {"x/./a.mp4": b"a", "x//a.mp4": b"b"}))


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_members_of_another_program_are_found(tmp_path, format):
    (tmp_path / "in" / "folder").mkdir(parents=True)
    (tmp_path / "in" / "folder" / "a.mp4").write_bytes(b"first" * 300)
    (tmp_path / "in" / "b.mp4").write_bytes(b"second")
    (tmp_path / "in" / "c.mp4").symlink_to("b.mp4")
    subprocess.run(["tar", f"--format={format}", "-cf", tmp_path / "a.tar", "folder", "b.mp4", "c.mp4"],
                   cwd=tmp_path / "in", check=True)  # fmt: skip
    index = read(tmp_path / "a.tar")
    content = (tmp_path / "a.tar").read_bytes()
    assert {each.name: content[each.start : each.start + each.size] for each in index.members} == {
        "folder/a.mp4": b"first" * 300,
        "b.mp4": b"second",
    }
    assert index.others == ["c.mp4 (link)"]


def test_sizes_in_base_256_and_in_pax_are_read(tmp_path):
    record = b"20 size=000000000600\n"
    assert len(record) == 21
    record = b"21 size=000000000600\n"
    tar = tmp_path / "a.tar"
    tar.write_bytes(
        header("a.mp4", 0, size_field=b"\x80" + (700).to_bytes(11, "big")) + padded(b"a" * 700)
        + header("pax", 0, kind=b"x", size_field=b"%011o\0" % len(record)) + padded(record)
        + header("b.mp4", 0) + padded(b"b" * 600)
        + header("c.mp4", 3, prefix=b"deep/er") + padded(b"ccc") + END
    )  # fmt: skip
    assert read(tar).members == [
        Member("a.mp4", 512, 700),
        Member("b.mp4", 512 + 1024 + 1024 + 512, 600),
        Member("deep/er/c.mp4", 512 + 1024 + 1024 + 512 + 1024 + 512, 3),
    ]


def test_labels_are_kept_beside_the_places_and_nothing_else_is(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"a.mp4": b"12", "a.cls": b"7", "b.json": b'{"label": 3}', "c.txt": b"5"})
    assert [each.content for each in read(tar).members] == [None, b"7", b'{"label": 3}', None]


def test_a_tar_that_is_cut_anywhere_is_refused(tmp_path):
    whole = write_tar(tmp_path / "whole.tar", {"a.mp4": b"a" * 1000, "b.mp4": b"b" * 100}).read_bytes()
    end = 512 + 1024 + 512 + 512  # of the second member's blocks
    assert not any(whole[end:])
    for cut in (*range(0, end, 100), 512, 1536, end, end + 511):
        message = refusal(tmp_path / "cut.tar", whole[:cut])
        assert "cut short" in message or "is empty" in message or "not a tar" in message, (cut, message)
    (tmp_path / "cut.tar").write_bytes(whole[: end + 512])  # half of the mark says that nothing is missing
    assert len(read(tmp_path / "cut.tar").members) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("../a.mp4", 1) + padded(b"a") + END, r"called '../a.mp4', which leads out of it"),
        (header("/etc/a.mp4", 1) + padded(b"a") + END, "called '/etc/a.mp4', which leads out of it"),
        (header("a.mp4", 0, size_field=b"\xff" * 12) + END, "'a.mp4' has no size"),
        (header("a.mp4", 1 << 32) + END, "cut short: 'a.mp4' ends at byte 4294967808, the file at 1536"),
        (header("a.mp4", 1, kind=b"S") + padded(b"a") + END, "'a.mp4' is a sparse file, which is not read"),
        (header("a.mp4", 1, kind=b"M") + padded(b"a") + END, "'a.mp4' is of many tars, which is not read"),
        (header("a.mp4", 1) + padded(b"a") + header("a.mp4", 1) + padded(b"b") + END, "'a.mp4' stands in it twice"),
        (header("a.mp4", 1) + padded(b"a") + header("./a.mp4", 1) + padded(b"b") + END, "'a.mp4' stands in it twice"),
        (header("a.mp4", 1) + padded(b"a") + b"x" * 512 + END, r"damaged at byte 1024: .*; 1 members stand before it"),
        (header("a.mp4", 1) + padded(b"a") + END + header("b.mp4", 1) + padded(b"b") + END, "follow its end at byte"),
        (header("long", 4, kind=b"L") + padded(b"b" * 4) + END, "it ends where a member was to follow"),
        (header("long", 1 << 30, kind=b"L") + END, "a header of 1073741824 bytes"),
        (header("pax", 9, kind=b"x") + padded(b"nonsense\n") + header("a", 0) + END, "pax's form cannot be understood"),
        (header("pax", 12, kind=b"x") + padded(b"12 size=-1 \n") + header("a", 0) + END, "'a' has no size"),
        (header("pax", 9, kind=b"g") + padded(b"9 path=a\n") + header("a", 0) + END, "gives all members one name"),
        (END, "holds no files"),
        (b"", r"the file is empty \(0 bytes\)"),
        (b"<html>not here</html>" * 100, "not a tar, or damaged where it begins"),
    ],
)  # fmt: skip
def test_what_is_no_whole_and_plain_tar_is_refused(tmp_path, content, message):
    messages = refusal(tmp_path / "odd.tar", content)
    assert messages.startswith(str(tmp_path / "odd.tar"))
    assert re.search(message, messages)


@pytest.mark.parametrize(
    ("pack", "command"), [(gzip.compress, "gunzip"), (bz2.compress, "bunzip2"), (lzma.compress, "unxz")]
)
def test_packed_tars_are_refused_with_the_command_that_unpacks_them(tmp_path, pack, command):
    whole = write_tar(tmp_path / "whole.tar", {"a.mp4": b"a" * 1000}).read_bytes()
    assert f"Unpack it once, such as by `{command} < packed.tar > plain.tar`" in refusal(
        tmp_path / "packed.tar", pack(whole)
    )


def test_a_name_that_looks_like_a_packed_file_is_no_reason_to_refuse(tmp_path):
    assert read(write_tar(tmp_path / "a.tar", {"BZhq3kd.mp4": b"a"})).members[0].name == "BZhq3kd.mp4"


def test_damage_anywhere_is_read_as_members_that_are_there_or_refused(tmp_path):
    """Bytes change in headers and elsewhere, most with a checksum that fits; nothing else comes of it."""
    names = {"a.mp4": b"x" * 900, "f" * 90 + "/" + "y" * 60 + ".mp4": b"z" * 10, "c.cls": b"5"}
    whole = [write_tar(tmp_path / f"{format}.tar", names, format=format).read_bytes() for format in range(3)]
    draw, outcomes = random.Random(1), set()
    for _ in range(600):
        content = bytearray(draw.choice(whole)[:8192])
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(content) - 8)
            content[at : at + 2] = draw.randbytes(2)
            if draw.random() < 0.8:
                block = slice(at // 512 * 512, at // 512 * 512 + 512)
                content[block] = with_checksum(bytes(content[block]))
        (tmp_path / "odd.tar").write_bytes(content)
        try:
            members = read(tmp_path / "odd.tar").members
        except DataError:
            outcomes.add("refused")
            continue
        outcomes.add("read")
        assert all(512 <= each.start <= each.start + each.size <= len(content) for each in members)
    assert outcomes == {"read", "refused"}


def test_a_tar_that_changes_while_it_is_read_is_refused(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"a.mp4": b"a"})
    result = storage.stat(str(tar))
    write_tar(tar, {"a.mp4": b"a", "b.mp4": b"b" * 20_000})
    with pytest.raises(FileChangedError, match="has changed while it was read"):
        read_headers(str(tar), result)


def test_twenty_thousand_members_are_read_in_seconds(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {f"{number:05}.mp4": b"a" * 700 for number in range(20_000)})
    began = time.process_time()
    assert len(read(tar).members) == 20_000
    assert time.process_time() - began < 20  # 1 s on an idle core


def requests(monkeypatch, tmp_path, members: dict[str, bytes]) -> list[tuple[int, int]]:
    """Return the ranges that are asked for where a tar lies far away."""
    content = write_tar(tmp_path / "far.tar", members).read_bytes()
    asked: list[tuple[int, int]] = []

    def read_range(location, start, stop, *, version):
        asked.append((start, stop))
        return content[start:stop]

    monkeypatch.setattr(tar_index.storage, "read_range", read_range)
    index = read_headers("https://far.example/far.tar", storage.Stat(len(content), "1"))
    assert [each.name for each in index.members] == list(members)
    return asked


def test_large_members_are_skipped_where_a_tar_lies_far_away(monkeypatch, tmp_path):
    members = {
        f"{number}.{kind}": b"7" * (1 if kind == "cls" else 3 << 20) for number in range(8) for kind in ("cls", "mp4")
    }
    asked = requests(monkeypatch, tmp_path, members)
    assert len(asked) <= 9  # one for each pair, and one for the end
    assert all(stop - start <= 64 << 10 for start, stop in asked)


def test_small_members_are_read_along(monkeypatch, tmp_path):
    asked = requests(monkeypatch, tmp_path, {f"{number}.jpg": b"7" * (100 << 10) for number in range(400)})
    assert len(asked) <= 15  # 40 MB in blocks of 4 MiB, and what came before their size was known
