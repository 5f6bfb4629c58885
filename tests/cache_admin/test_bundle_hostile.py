"""Bundles that were damaged, or made to do harm: each is refused for a reason that is told, and leaves no trace."""

from __future__ import annotations

import gzip
import lzma
import re
import tarfile
import zipfile

import pytest

from tests.cache_admin.bundle_files import FILE
from videohub.cache_admin import bundle_format
from videohub.errors import ChecksumError, UnsafeFileError

# --- no bundle at all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda demo: b"", "an empty file"),
        (lambda demo: gzip.compress(demo), r"a gzip file, expected the tar.*\n  Run `gunzip`"),
        (lambda demo: lzma.compress(demo), "no tar"),
        (lambda demo: b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (lambda demo: b"\n <html>" + demo, "a web page"),
        (lambda demo: b"garbage" * 1000, "no tar"),
        (lambda demo: bytes(20480), "no tar"),
        (lambda demo: demo[:100], "no tar"),
        (lambda demo: demo[512:], "tar file that|no tar|a safetensors file"),
    ],
    ids=["empty", "gzip", "xz", "html", "html before a tar", "garbage", "zeros", "a beginning", "no first header"],
)
def test_what_is_no_tar_is_told(refused, demo, tmp_path, content, said):
    path = tmp_path / "file.tar"
    path.write_bytes(content(demo.read_bytes()))
    assert re.search(said, refused(path))


def test_a_zip_file_is_told(refused, demo, tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(demo, "demo.tar")
    assert "a zip file" in refused(tmp_path / "b.zip")


def test_another_tar_is_told(refused, tmp_path, opened):
    opened.first = "readme.txt"
    assert "begins with 'readme.txt', expected bundle.json" in refused(opened)


@pytest.mark.parametrize("share", [0.001, 0.2, 0.5, 0.9, 0.985])
def test_a_bundle_that_is_cut_short_is_told(refused, demo, tmp_path, share):
    content = demo.read_bytes()
    (tmp_path / "cut.tar").write_bytes(content[: int(len(content) * share)])
    text = refused(tmp_path / "cut.tar")
    assert "cut short" in text or "begins" in text


def test_any_changed_byte_of_the_weights_is_noticed(refused, demo, tmp_path):
    content = bytearray(demo.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "b.tar").write_bytes(content)
    assert "The bundle was damaged on its way, or changed" in refused(tmp_path / "b.tar", ChecksumError)


# --- members ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [FILE, "labels/motions.json", "registry.yaml"])
def test_a_wrong_digest_names_both(refused, opened, name):
    opened.put(name, opened.content(name)[:-1] + b"\0")
    text = refused(opened, ChecksumError)
    assert f"{name} has sha256" in text
    assert "its bundle.json says" in text


def test_a_member_more_than_listed_is_refused(refused, opened):
    opened.add("more.txt", b"hello")
    assert "'more.txt', which its bundle.json does not name" in refused(opened, UnsafeFileError)


@pytest.mark.parametrize("name", ["more.txt", "converted/other.safetensors", "labels/kinetics400.json", "bundle.json"])
def test_a_member_that_no_record_needs_is_refused_even_if_it_is_listed(refused, opened, name):
    opened.add(name, b"hello")
    opened.agree()
    assert "lists other members than its records need" in refused(opened)


@pytest.mark.parametrize("name", ["bundle.json", FILE])
def test_a_member_twice_is_refused(refused, opened, name):
    opened.members.append((tarfile.TarInfo(name), b""))
    assert f"holds '{name}' twice" in refused(opened, UnsafeFileError)


def test_a_member_listed_twice_is_refused(refused, opened):
    opened.manifest["members"] *= 2
    assert "lists other members" in refused(opened)


@pytest.mark.parametrize("name", [FILE, "registry.yaml"])
def test_a_member_that_is_missing_is_named(refused, opened, name):
    opened.members = [pair for pair in opened.members if pair[0].name != name]
    assert f"lacks {name}" in refused(opened)
    opened.agree()
    assert f"lists other members than its records need, such as '{name}'" in refused(opened)


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "converted/../../evil", "C:\\evil", "..\\evil", "converted/..", "\\\\host\\evil"]
)
def test_names_that_lead_out_are_refused(refused, opened, name):
    opened.add(name, b"evil")
    opened.agree()
    assert "a path that leads out of it" in refused(opened, UnsafeFileError)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_links_and_devices_are_refused_also_under_a_name_that_is_listed(refused, opened, kind):
    opened.put(FILE, type=kind, linkname="/etc/passwd")
    assert "a link, a device or a sparse file" in refused(opened, UnsafeFileError)


@pytest.mark.parametrize("change", [-1, 1, 10**6, 10**18])
def test_a_manifest_that_lies_about_a_size_is_refused(refused, opened, change):
    for member in opened.manifest["members"]:
        if member["name"] == FILE:
            member["size"] += change
    text = refused(opened)
    assert "with another sha256 or size than that of" in text or "more than any bundle needs" in text


@pytest.mark.parametrize("size", [10**9, 8**11 - 1])
def test_a_header_that_lies_about_a_size_is_refused_before_anything_is_read(refused, demo, tmp_path, size):
    content = bytearray(demo.read_bytes())
    at = content.index(FILE.encode(), 512)
    while content[at + 257 : at + 262] != b"ustar":
        at = content.index(FILE.encode(), at + 1)
    content[at + 124 : at + 136] = f"{size:011o}\0".encode()
    content[at + 148 : at + 156] = b" " * 8
    content[at + 148 : at + 156] = f"{sum(content[at : at + 512]):06o}\0 ".encode()
    (tmp_path / "b.tar").write_bytes(content)
    assert "cut short" in refused(tmp_path / "b.tar")


def test_a_manifest_that_is_too_long_is_not_read(refused, opened, monkeypatch):
    monkeypatch.setattr(bundle_format, "LARGEST_TEXT", 1000)
    assert "expected at most 1000" in refused(opened, UnsafeFileError)


def test_labels_that_are_too_long_are_not_read(refused, opened):
    opened.put("labels/motions.json", b"[" + b" " * bundle_format.LARGEST_TEXT + b"]")
    opened.agree()
    assert "more than any bundle needs" in refused(opened)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'["\xff"]', b"[" * 100_000, b"null"])
def test_labels_that_are_no_list_of_names_are_refused(refused, opened, content):
    opened.put("labels/motions.json", content)
    opened.agree()
    assert "labels/motions.json is no list of names" in refused(opened)


def test_a_registry_that_says_something_else_than_the_manifest_is_refused(refused, opened):
    opened.put("registry.yaml", opened.content("registry.yaml").replace(b"top1: 79.69", b"top1: 99.69"))
    opened.agree()
    assert "its registry.yaml does not say what its bundle.json says" in refused(opened)
